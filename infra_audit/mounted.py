"""Rule files, dashboards and Prometheus configurations that are named by themselves, and who mounts them.

``infra-audit check monitoring/rules.yml`` judges the deployment whose service mounts the file. Where no Compose
file in the folders above it does, the files are judged by themselves, with everything unknown that only a
deployment could tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from infra_audit.compose import discover, load
from infra_audit.compose.discover import DeploymentSpec
from infra_audit.deployment import Deployment, Files
from infra_audit.errors import InfraAuditError, ReadError
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.readers.yaml import read_documents
from infra_audit.source import Source, display_path
from infra_audit.tree import Node

__all__ = ["by_themselves", "monitoring_files", "mounting"]

_KEYS = (frozenset(("groups",)), frozenset(("scrape_configs",)), frozenset(("rule_files",)))
_ENDINGS = (".yml", ".yaml", ".rules", ".json")
_SKIPPED = frozenset(("node_modules", "vendor", "__pycache__", "venv", "site-packages"))
_MAX_DEPTH = 8


def monitoring_files(path: str) -> list[str]:
    """The rule files, dashboards and configurations that a path means; empty for what is none of them.

    A folder means those in it and below it, unless it holds a Compose file.
    """
    location = os.path.abspath(path)
    reader = Files()
    if not os.path.isdir(location):
        return [location] if _is_monitoring(location, reader) else []
    return [found for found in _below(location, 0) if _is_monitoring(found, reader)]


def mounting(locations: Sequence[str], named: Iterable[tuple[str, ...]] = ()) -> dict[str, list[DeploymentSpec]]:
    """For each file the deployments that mount it: those ``named`` by their files, else those above it."""
    known: dict[tuple[str, ...], list[str]] = {}
    found: dict[str, list[DeploymentSpec]] = {}
    configured = [DeploymentSpec(tuple(files)) for files in named]
    for location in locations:
        specs = [spec for spec in configured if _mounts(spec, location, known)]
        found[location] = specs or next(
            (
                specs
                for above in _above(location)
                if (specs := [spec for spec in above if _mounts(spec, location, known)])
            ),
            [],
        )
    return found


def by_themselves(locations: Sequence[str]) -> Deployment:
    """A deployment without services that holds the files to be judged."""
    folder = os.path.commonpath([os.path.dirname(location) for location in locations])
    shown = display_path(locations[0] if len(locations) == 1 else folder)
    nowhere = Source(shown, "").top
    sections = ("services", "networks", "volumes", "secrets", "configs")
    tree = Node({section: Node({}, nowhere) for section in sections}, nowhere)
    files = tuple(display_path(location) for location in locations)
    return Deployment(shown, "files", files, folder, tree, loose=tuple(locations))


def _is_monitoring(location: str, reader: Files) -> bool:
    if not location.endswith(_ENDINGS) or not os.path.isfile(location):
        return False
    try:
        source = reader.read(location)
    except ReadError:
        return False
    if location.endswith(".json"):
        return '"panels"' in source.text or '"elements"' in source.text or '"dashboard"' in source.text
    if not any(key in source.text for keys in _KEYS for key in keys):
        return False
    try:
        roots = [document.root for document in read_documents(source) if document.root is not None]
    except ReadError:
        return "\ngroups:" in f"\n{source.text}"
    if len(roots) != 1 or not roots[0].is_mapping or "services" in roots[0].value:
        return False
    return any(keys <= set(roots[0].value) for keys in _KEYS) and "tests" not in roots[0].value


def _below(folder: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth < _MAX_DEPTH and entry.name not in _SKIPPED and not entry.name.startswith("."):
                yield from _below(entry.path, depth + 1)
        elif entry.name.endswith(_ENDINGS):
            yield entry.path


def _above(location: str) -> Iterator[list[DeploymentSpec]]:
    """The deployments of each folder above a file, up to the repository's root."""
    folder = os.path.dirname(location)
    while True:
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            names = []
        files = [os.path.join(folder, name) for name in names if "compose" in name and name.endswith((".yml", ".yaml"))]
        yield discover([file for file in files if os.path.isfile(file)]) if files else []
        above = os.path.dirname(folder)
        if above == folder or ".git" in names:
            return
        folder = above


def _mounts(spec: DeploymentSpec, location: str, known: dict[tuple[str, ...], list[str]]) -> bool:
    """True where a service of a deployment sees a file."""
    hosts = known.get(spec.files)
    if hosts is None:
        hosts = known[spec.files] = list(_hosts(spec))
    return any(location == host or location.startswith(host.rstrip("/") + "/") for host in hosts)


def _hosts(spec: DeploymentSpec) -> Iterator[str]:
    try:
        deployment = load(spec.files, profiles=("*",), reader=Files())
    except InfraAuditError:
        return
    for service in deployment.subjects("service"):
        for mount in ContainerFiles(service).mounts:
            if mount.host not in (None, "/"):
                yield os.path.normpath(str(mount.host))
