"""Facts about what configurations inside a container refer to, and whether its mounts let it be there."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.services import product_named
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.located import Located
from infra_audit.source import Span

__all__: list[str] = []


class _Named(NamedTuple):
    """A path that a mounted configuration refers to, seen from inside the container."""

    path: str
    place: Span


_NGINX_FILES = frozenset(
    (
        "include",
        "ssl_certificate",
        "ssl_certificate_key",
        "ssl_trusted_certificate",
        "ssl_client_certificate",
        "ssl_dhparam",
        "auth_basic_user_file",
    )
)
_NGINX_FOLDER = "/etc/nginx"


def _of_nginx(source: Located) -> Iterator[_Named]:
    from infra_audit.readers.nginx import read_nginx, walk  # only where one is mounted

    for directive in walk(read_nginx(source)):
        if directive.name.text in _NGINX_FILES and directive.words:
            word = directive.words[0]
            if not any(char in word.text for char in "*?[$") and not word.text.startswith("data:"):
                yield _Named(posixpath.join(_NGINX_FOLDER, word.text), word.span)


_RABBIT_FILE = Pattern(r"(?m)^\s*(?:[\w.]+\.)?(?:cacertfile|certfile|keyfile|load_definitions)\s*=\s*(?P<path>/\S+)")
_POSTGRES_FILE = Pattern(
    r"(?m)^\s*(?:ssl_cert_file|ssl_key_file|ssl_ca_file|hba_file|ident_file)\s*=?\s*'(?P<path>/[^']+)'"
)
_HAPROXY_FILE = Pattern(r"(?m)\bcrt\s+(?P<path>/\S+\.\w+)")


_CONFIGURATIONS = {
    "nginx": ("/etc/nginx/nginx.conf", "/etc/nginx/conf.d/*.conf"),
    "openresty": ("/usr/local/openresty/nginx/conf/nginx.conf", "/etc/nginx/conf.d/*.conf"),
    "rabbitmq": ("/etc/rabbitmq/rabbitmq.conf", "/etc/rabbitmq/conf.d/*.conf"),
    "postgres": ("/etc/postgresql/postgresql.conf", "/etc/postgresql/*.conf"),
    "haproxy": ("/usr/local/etc/haproxy/haproxy.cfg",),
}
_PATTERNS = {"rabbitmq": _RABBIT_FILE, "postgres": _POSTGRES_FILE, "haproxy": _HAPROXY_FILE}


def _sources(files: ContainerFiles, paths: tuple[str, ...]) -> Iterator[Located]:
    """The mounted configurations among some paths; what the image brings is not read."""
    seen: set[str] = set()
    for path in paths:
        if files.mount(posixpath.dirname(path) if "*" in path else path) is None and "*" in path:
            continue
        try:
            for found in files.glob(path) if "*" in path else [path]:
                if found not in seen:
                    seen.add(found)
                    yield files.open(found)
        except InfraAuditError:
            continue


@fact("service.shadowed_files", on="service")
def shadowed_files(service: Subject) -> Fact[list[Item]]:
    """Files that a mounted configuration refers to and that a mounted folder hides: it has no such file."""
    product = product_named(service, _CONFIGURATIONS)
    items: list[Item] = []
    if product is None:
        return Known(items, service.node)
    files = ContainerFiles(service)
    for source in _sources(files, _CONFIGURATIONS[product]):
        try:
            pattern = _PATTERNS.get(product)
            named = list(_of_nginx(source)) if pattern is None else list(_matches(pattern, source))
        except InfraAuditError:
            continue
        for one in named:
            mount = files.mount(one.path)
            if mount is None or mount.inline is not None:
                continue
            if mount.host is None or not service.deployment.reader.is_folder(mount.host):
                continue
            try:
                files.open(one.path)
            except Undecidable:
                continue
            except InfraAuditError:
                text = f"{one.path} is not in what is mounted on {mount.target}"
                items.append(
                    Item(text, (Evidence(one.place), Evidence(mount.node, "this mount hides the image's own")))
                )
    return Known(items, service.node)


def _matches(pattern: Pattern, source: Located) -> Iterator[_Named]:
    for match in pattern.finditer(source.text):
        yield _Named(match["path"], source.span(*match.span("path")))


# -- log shippers --------------------------------------------------------------------------------

_TAILED = {
    "promtail": Pattern(r"(?m)\b__path__:\s*[\"']?(?P<path>/[^\s\"']+)"),
    "fluent-bit": Pattern(r"(?mi)^\s*path:?\s+[\"']?(?P<path>/[^\s\"',]+)"),
    "fluentd": Pattern(r"(?m)^\s*path\s+[\"']?(?P<path>/[^\s\"',]+)"),
    "filebeat": Pattern(r"(?m)^\s*-\s+[\"']?(?P<path>/[^\s\"':]+[*.][^\s\"':]*)"),
    "alloy": Pattern(r"__path__\"?\s*=\s*\"(?P<path>/[^\"]+)\""),
    "vector": Pattern(r"(?m)^\s*include\s*[=:]\s*\[\s*\"(?P<path>/[^\"]+)\""),
}
_SHIPPER_FOLDERS = {
    "promtail": ("/etc/promtail", "/etc/loki", "/mnt/config"),
    "fluent-bit": ("/fluent-bit/etc",),
    "fluentd": ("/fluentd/etc",),
    "filebeat": ("/usr/share/filebeat",),
    "alloy": ("/etc/alloy",),
    "vector": ("/etc/vector",),
}
_OWN = ("/var/log/positions", "/tmp/", "/dev/")


@fact("service.unmounted_logs", on="service")
def unmounted_logs(service: Subject) -> Fact[list[Item]]:
    """Paths that a log shipper's mounted configuration tails and that no mount brings into its container."""
    items: list[Item] = []
    name = product_named(service, _TAILED) or _shipper(service)
    pattern = _TAILED.get(name or "")
    if pattern is None or name is None:
        return Known(items, service.node)
    files = ContainerFiles(service)
    for mount in files.mounts:
        if mount.host is None and mount.inline is None:
            continue
        if not mount.target.startswith(_SHIPPER_FOLDERS[name]):
            continue
        for source in _texts(files, mount.target, service):
            for match in pattern.finditer(source.text):
                path = match["path"]
                folder = posixpath.dirname(path.split("*")[0] + "x")
                seen = files.mount(folder) is not None or any(
                    one.target.startswith(folder.rstrip("/") + "/") for one in files.mounts
                )
                if not seen and not path.startswith(_OWN):
                    items.append(Item(path, (Evidence(source.span(*match.span("path"))),)))
    return Known(items, service.node)


def _shipper(service: Subject) -> str | None:
    image = str((service.node.get("image") or service.node).value)
    return next(
        (name for name in ("fluent-bit", "fluentd", "filebeat", "alloy", "vector") if f"/{name}:" in image), None
    )


def _texts(files: ContainerFiles, target: str, service: Subject) -> Iterator[Located]:
    mount = files.mount(target)
    folder = mount is not None and mount.host is not None and service.deployment.reader.is_folder(mount.host)
    try:
        for path in [f"{target}/{name}" for name in files.listing(target)] if folder else [target]:
            yield files.open(path)
    except InfraAuditError:
        return
