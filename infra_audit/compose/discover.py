"""Which Compose files make up which deployment, where nobody says so.

A folder's main file (with its override file) is a deployment, as plain `docker compose up` runs it.
`docker-compose.prod.yml` beside it is laid on it, unless every service in it is complete by itself.
Files that others include or extend are parts of those, not deployments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from infra_audit.compose.paths import absolute
from infra_audit.deployment import Files
from infra_audit.errors import ReadError
from infra_audit.named import NamedTuple
from infra_audit.readers.env import read_env
from infra_audit.readers.yaml import read_documents
from infra_audit.source import display_path
from infra_audit.tree import Node

__all__ = ["DeploymentSpec", "discover", "usual"]

_MAIN = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The names that Compose looks for, best first."""

_COMPOSE = re.compile(r"(?:docker-)?compose(?:[.\-_](?P<variant>.+))?\.ya?ml")
_SKIPPED = frozenset({"node_modules", "vendor", "__pycache__", "venv", "site-packages"})
_MAX_DEPTH = 8
_RUNNABLE = ("image", "build", "extends", "provider")


class DeploymentSpec(NamedTuple):
    """The files of one deployment, absolute and in merge order.

    ``variant``: what sets it apart from others of the same project ("prod"), or "".
    ``notes``: what was decided and why, a line each.
    """

    files: tuple[str, ...]
    variant: str = ""
    notes: tuple[str, ...] = ()


def discover(paths: Sequence[str], reader: Files | None = None) -> list[DeploymentSpec]:
    """The deployments in files and folders, each once, in the order in which they are met."""
    finder = _Finder(reader or Files())
    found: dict[tuple[str, ...], DeploymentSpec] = {}
    for path in paths:
        location = os.path.abspath(path)
        specs = finder.below(location) if os.path.isdir(location) else finder.of(location)
        for spec in specs:
            found.setdefault(spec.files, spec)
    return list(found.values())


def usual(folder: str, environ: Mapping[str, str] | None = None) -> DeploymentSpec | None:
    """What `docker compose` takes where no file is named: COMPOSE_FILE, else the files of this folder or one above."""
    here = os.path.abspath(folder)
    finder = _Finder(Files())
    named = finder.compose_file(here, environ or {})
    if named:
        return DeploymentSpec(tuple(named))
    while True:
        name = next((name for name in _MAIN if os.path.isfile(os.path.join(here, name))), None)
        if name is not None:
            override = _override(here, name)
            main = os.path.join(here, name)
            return DeploymentSpec((main, override) if override else (main,))
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


class _Finder:
    def __init__(self, reader: Files) -> None:
        self._reader = reader

    def below(self, folder: str) -> Iterator[DeploymentSpec]:
        """The deployments in a folder and the folders below it."""
        per_folder = list(_compose_folders(folder))
        count = sum(len(names) for _, names in per_folder)
        parts = (
            self._parts(os.path.join(here, name) for here, names in per_folder for name in names)
            if count > 1
            else set()
        )
        for here, names in per_folder:
            yield from self._in(here, [name for name in names if os.path.join(here, name) not in parts])

    def of(self, location: str) -> list[DeploymentSpec]:
        """The deployments that a file belongs to."""
        folder, name = os.path.split(location)
        match = _COMPOSE.fullmatch(name)
        if name in _MAIN:
            return self._main(folder, name)
        wholes = self._wholes(location)
        if wholes:
            note = f"{display_path(location)} is a part of it"
            specs = [spec for whole in wholes for spec in self.of(whole)]
            return [spec._replace(notes=(*spec.notes, note)) for spec in specs]
        if match is None:
            return [DeploymentSpec((location,))]
        return self._variant(folder, name, match["variant"] or "")

    def _in(self, folder: str, names: Sequence[str]) -> Iterator[DeploymentSpec]:
        main = next((name for name in _MAIN if name in names), None)
        variants = [
            spec
            for name in names
            if name not in _MAIN and not _is_override(name)
            for spec in self._variant(folder, name, _variant_of(name))
        ]
        if main is not None:
            own = self._main(folder, main)
            if len(own[0].files) > 1 or not any(own[0].files[0] in spec.files for spec in variants):
                yield from own
        yield from variants

    def _main(self, folder: str, name: str) -> list[DeploymentSpec]:
        """What plain `docker compose up` runs in a folder."""
        named = self.compose_file(folder, {})
        location = os.path.join(folder, name)
        if location in named and all(os.path.isfile(file) for file in named):
            return [DeploymentSpec(tuple(named), "", (f"{_joined(named)}: COMPOSE_FILE in .env says so",))]
        override = _override(folder, name)
        if override is None:
            return [DeploymentSpec((location,))]
        files = (location, override)
        return [DeploymentSpec(files, "", (f"merged {_joined(files)}",))]

    def _variant(self, folder: str, name: str, variant: str) -> list[DeploymentSpec]:
        location = os.path.join(folder, name)
        main = next((base for base in _MAIN if os.path.isfile(os.path.join(folder, base))), None)
        if main is None:
            return [DeploymentSpec((location,), variant)]
        if _is_override(name):
            return self._main(folder, main)
        if self._stands_alone(location):
            note = f"read by itself: every service of {name} is complete without {main}"
            return [DeploymentSpec((location,), variant, (note,))]
        files = (os.path.join(folder, main), location)
        return [DeploymentSpec(files, variant, (f"merged {_joined(files)}",))]

    def _stands_alone(self, location: str) -> bool:
        """True where each service has something to run and each network and volume that it uses is declared."""
        for root in self._roots(location):
            services = root.get("services")
            for _, service in services.items() if services else ():
                if service.is_mapping and not any(key in service.value for key in _RUNNABLE):
                    return False
                if not service.is_mapping:
                    return False
                networks = service.get("networks")
                declared = root.get("networks")
                known = set(declared.value) if declared is not None and declared.is_mapping else set()
                if networks is not None and not _names(networks) <= known | {"default"}:
                    return False
        return True

    def compose_file(self, folder: str, environ: Mapping[str, str]) -> list[str]:
        """The files that COMPOSE_FILE names, in the environment or in a folder's .env."""
        entries: dict[str, str | None] = {}
        with suppress(ReadError):
            entries = {entry.key: entry.value for entry in read_env(self._reader.read(os.path.join(folder, ".env")))}
        entries.update(environ)
        separator = entries.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [absolute(part, folder) for part in (entries.get("COMPOSE_FILE") or "").split(separator) if part]

    def _wholes(self, location: str) -> list[str]:
        """The Compose files in this folder and those above it, in the same repository, that draw on a file."""
        folder = os.path.dirname(location)
        found: list[str] = []
        while True:
            names = _compose_names(folder)
            candidates = [path for name in names if (path := os.path.join(folder, name)) != location]
            found += [path for path in candidates if location in self._parts([path])]
            above = os.path.dirname(folder)
            if found or above == folder or os.path.exists(os.path.join(folder, ".git")):
                return found
            folder = above

    def _parts(self, locations: Iterable[str]) -> set[str]:
        """The files that these include or extend."""
        parts = set()
        for location in locations:
            folder = os.path.dirname(location)
            for root in self._roots(location) if self._may_refer(location) else ():
                for path in _references(root):
                    if (part := absolute(path, folder)) != location:
                        parts.add(part)
        return parts

    def _may_refer(self, location: str) -> bool:
        """False where a file's text alone shows that it draws on no other, so that it need not be parsed."""
        try:
            text = self._reader.read(location).text
        except ReadError:
            return False
        return "include" in text or "extends" in text

    def _roots(self, location: str) -> list[Node]:
        """The documents of a file; none where it cannot be read, which loading says later."""
        try:
            documents = read_documents(self._reader.read(location))
        except ReadError:
            return []
        return [document.root for document in documents if document.root is not None]


def _references(root: Node) -> Iterator[str]:
    include = root.get("include")
    for entry in include.entries() if include else ():
        paths = entry.get("path") if entry.is_mapping else entry
        for path in [paths, *paths.entries()] if paths is not None else []:
            if isinstance(path.value, str):
                yield path.value
    services = root.get("services")
    for _, service in services.items() if services else ():
        file = service.get("extends", "file")
        if file is not None and isinstance(file.value, str):
            yield file.value


def _names(node: Node) -> set[str]:
    return set(node.value) if node.is_mapping else {str(entry.value) for entry in node.entries()}


def _compose_folders(top: str) -> Iterator[tuple[str, list[str]]]:
    depth = top.rstrip(os.sep).count(os.sep)
    for folder, folders, _ in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if folder.count(os.sep) - depth >= _MAX_DEPTH:
            folders.clear()
        if names := _compose_names(folder):
            yield folder, names


def _compose_names(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if _COMPOSE.fullmatch(name) and not os.path.isdir(os.path.join(folder, name))]


def _variant_of(name: str) -> str:
    match = _COMPOSE.fullmatch(name)
    return (match["variant"] or "") if match else ""


def _is_override(name: str) -> bool:
    return _variant_of(name) == "override"


def _override(folder: str, main: str) -> str | None:
    """The override file that Compose lays on a folder's main file."""
    stem = main.rpartition(".")[0]
    for suffix in ("yml", "yaml"):
        path = os.path.join(folder, f"{stem}.override.{suffix}")
        if os.path.isfile(path):
            return path
    return None


def _joined(files: Iterable[str]) -> str:
    return " + ".join(display_path(file) for file in files)
