"""Facts about files that the deployment names and that are not there: of env, mounts, secrets and volumes."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.topology import is_external
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import display_path
from infra_audit.tree import HOLE, Node

__all__: list[str] = []


class _Missing(NamedTuple):
    """A path that is not there. ``local``: git is told to leave it out, or a template stands beside it."""

    path: str
    node: Node
    owner: tuple[str, str]
    local: bool


def _here(deployment: Deployment, path: str) -> bool:
    """True for a path of the deployment's own folder or repository; others exist on the host or not."""
    folder = deployment.folder
    above = os.path.dirname(folder)
    return path.startswith((folder + os.sep, above + os.sep)) and above != "/"


_TEMPLATES = (".example", ".sample", ".template", ".dist", ".tmpl", ".default", "-example", "_example")


def _is_local(deployment: Deployment, path: str) -> bool:
    reader = deployment.reader
    if reader.is_ignored(path):
        return True
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    beside = {name + ending for ending in _TEMPLATES} | {stem + ending + suffix for ending in _TEMPLATES}
    beside |= {"env.example", "example.env"} if "env" in name else set()
    return bool(beside & set(reader.listing(folder)))


def _missing(deployment: Deployment, path: str, node: Node, owner: tuple[str, str]) -> _Missing | None:
    if HOLE in path or deployment.reader.exists(path):
        return None
    return _Missing(path, node, owner, _is_local(deployment, path))


def _items(found: Iterator[_Missing | None], *, local: bool) -> Fact[list[Item]]:
    items = [
        Item(display_path(one.path), (Evidence(one.node),), one.owner)
        for one in found
        if one is not None and one.local is local
    ]
    return Known(items)


# -- env files -----------------------------------------------------------------------------------


def _env_files(deployment: Deployment) -> Iterator[_Missing | None]:
    for service in deployment.subjects("service"):
        files = service.node.get("env_file")
        for entry in files.entries() if files is not None else ():
            path, required = entry.get("path") or entry, entry.get("required")
            optional = required is not None and required.value is False
            if isinstance(path.value, str) and not optional:
                yield _missing(deployment, path.value, path, ("service", service.name))


@fact("deployment.env_files_missing", on="deployment")
def env_files_missing(deployment: Subject) -> Fact[list[Item]]:
    """Env files of services that do not exist."""
    return _items(_env_files(deployment.deployment), local=False)


@fact("deployment.env_files_to_make", on="deployment")
def env_files_to_make(deployment: Subject) -> Fact[list[Item]]:
    """Env files of services that do not exist here on purpose: git ignores them, or a template stands beside them."""
    return _items(_env_files(deployment.deployment), local=True)


# -- secrets and configs -------------------------------------------------------------------------


def _granted_files(deployment: Deployment) -> Iterator[_Missing | None]:
    for kind in ("secret", "config"):
        for one in deployment.subjects(kind):
            file = one.node.get("file")
            if file is not None and isinstance(file.value, str):
                yield _missing(deployment, file.value, file, (kind, one.name))


@fact("deployment.secret_files_missing", on="deployment")
def secret_files_missing(deployment: Subject) -> Fact[list[Item]]:
    """Files of secrets and configs that do not exist."""
    return _items(_granted_files(deployment.deployment), local=False)


@fact("deployment.secret_files_to_make", on="deployment")
def secret_files_to_make(deployment: Subject) -> Fact[list[Item]]:
    """Files of secrets and configs that do not exist here on purpose."""
    return _items(_granted_files(deployment.deployment), local=True)


# -- bind mounts ---------------------------------------------------------------------------------

_FILE = Pattern(
    r".+\.(?:conf|cfg|cnf|ini|ya?ml|json|toml|xml|properties|env|sql|sh|py|js|lua|pem|crt|cer|key|jks|p12|txt|cf|acl|rules|htpasswd|tmpl"
    r"|template|erl|config|hcl|alloy|river|html|php|vcl|zone|db\.sql|gpg|pub|repo|list|service|passwd|lic|license)\Z",
    0,
)
_SETTINGS = Pattern(
    r"/etc/(?:nginx|prometheus|alertmanager|grafana|loki|promtail|tempo|haproxy|rabbitmq|mysql|postgresql|redis|envoy|otel\w*)\b"
    r"|/docker-entrypoint[\w.\-]*\.d\b|/usr/share/(?:nginx|logstash)/|/usr/local/etc/(?:redis|haproxy|php)\b"
)
"""Folders that a service reads and never fills itself."""
_LIVE = Pattern(r".*\.(?:sock|pid|socket)\Z")


class _Bind(NamedTuple):
    path: str
    source: Node
    is_file: bool
    made: bool
    """True where Compose makes a folder in place of what is missing."""


def _bind(mount: Subject) -> _Bind | None:
    """A bind mount whose source is missing in the deployment's own folders; None for any other."""
    kind, source, target = (mount.node.get(key) for key in ("type", "source", "target"))
    if kind is None or kind.value != "bind" or source is None or target is None:
        return None
    path, inside = str(source.value), str(target.value)
    deployment = mount.deployment
    if HOLE in path + inside or not _here(deployment, path) or deployment.reader.exists(path) or _LIVE.match(path):
        return None
    create = mount.node.get("bind", "create_host_path")
    is_file = _FILE.match(path) is not None and (
        _FILE.match(inside) is not None or "." not in posixpath.basename(inside)
    )
    return _Bind(path, source, is_file, create is not None and create.value is True)


@fact("mount.file_missing", on="mount")
def file_missing(mount: Subject) -> Fact[str | None]:
    """The file that a bind mount names and that is not there; None for folders, and for what git ignores."""
    found = _bind(mount)
    if found is None or not found.is_file or _is_local(mount.deployment, found.path):
        return Known(None, mount.node)
    return Known(display_path(found.path), found.source)


@fact("mount.folder_missing", on="mount")
def folder_missing(mount: Subject) -> Fact[str | None]:
    """The folder of settings, or the ignored file, that a bind mount names and that is not there.

    Not for a folder that the service fills itself: an empty one is what it wants.
    """
    found = _bind(mount)
    if found is None:
        return Known(None, mount.node)
    read_only = mount.node.get("read_only")
    settings = _SETTINGS.match(str((mount.node.get("target") or mount.node).value)) is not None
    if found.is_file:
        wanted = _is_local(mount.deployment, found.path)
    else:
        wanted = (read_only is not None and read_only.value is True) or settings or not found.made
    return Known(display_path(found.path) if wanted else None, found.source)


@fact("mount.not_in_read_only", on="mount")
def not_in_read_only(mount: Subject) -> Fact[str | None]:
    """The read-only mount around this one, where its source has no such path to mount on; else None."""
    service, target = mount.parent, mount.node.get("target")
    if service is None or target is None or HOLE in str(target.value):
        return Known(None, mount.node)
    path = posixpath.normpath(str(target.value))
    reader = mount.deployment.reader
    outer: tuple[str, Node] | None = None
    for node in (service.node.get("volumes") or service.node).entries():
        above = posixpath.normpath(str((node.get("target") or node).value))
        if path.startswith(above.rstrip("/") + "/") and (outer is None or len(above) > len(outer[0])):
            outer = above, node
    if outer is None:
        return Known(None, mount.node)
    kind, source, read_only = (outer[1].get(key) for key in ("type", "source", "read_only"))
    if kind is None or kind.value != "bind" or source is None or read_only is None or read_only.value is not True:
        return Known(None, target)
    host = str(source.value)
    if HOLE in host or not reader.is_folder(host):
        return Known(None, target)
    inside = posixpath.relpath(path, outer[0])
    return Known(None if reader.exists(f"{host}/{inside}") else outer[0], target, Evidence(outer[1], "read-only"))


# -- devices of volumes --------------------------------------------------------------------------

_SCRIPTS = Pattern(r".*\.(?:sh|bash|mk|yml|yaml)\Z|(?i:makefile|justfile|taskfile.*)\Z")


@fact("volume.device_missing", on="volume")
def device_missing(volume: Subject) -> Fact[str | None]:
    """The folder of a local bind volume, where it is not there and no script of the deployment makes it."""
    options = volume.node.get("driver_opts")
    kind, device, how = (options.get(key) if options else None for key in ("type", "device", "o"))
    if device is None or kind is None or how is None or kind.value not in ("none", "bind") or is_external(volume.node):
        return Known(None, volume.node)
    if "bind" not in str(how.value).split(","):
        return Known(None, device)
    path = str(device.known())
    whole = volume.deployment
    located = path if os.path.isabs(path) else os.path.join(whole.folder, path)
    if whole.reader.exists(located) or _made_by_script(whole, path):
        return Known(None, device)
    return Known(path, device)


def _made_by_script(deployment: Deployment, path: str) -> bool:
    reader = deployment.reader
    own = {os.path.basename(file) for file in deployment.files}
    name = posixpath.basename(path.rstrip("/"))
    folders = [deployment.folder, *(os.path.join(deployment.folder, one) for one in ("scripts", "bin", "deploy"))]
    for folder in folders:
        for file in reader.listing(folder):
            if file in own or not _SCRIPTS.match(file):
                continue
            try:
                text = reader.read(os.path.join(folder, file)).text
            except InfraAuditError:
                continue
            if path in text or ("mkdir" in text and name in text):
                return True
    return False
