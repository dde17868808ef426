"""Which Compose files make up which deployment, where nobody says so.

A folder's main file (with its override file) is a deployment, as plain `docker compose up` runs it.
`docker-compose.prod.yml` beside it is laid on it, unless every service in it is complete by itself;
`docker-compose.db.volumes.yml` on what `docker-compose.db.yml` makes; a file that is not complete and has no
main file beside it, on one of the folders above that has its services.
Files that others include or extend are parts of those, not deployments; nor are templates, nor fragments that
nothing here completes.
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
from infra_audit.readers.yaml import looks_like_template, read_documents
from infra_audit.source import display_path
from infra_audit.tree import Node

__all__ = ["DeploymentSpec", "discover", "survey", "usual"]

_MAIN = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The names that Compose looks for, best first."""

_COMPOSE = re.compile(r"(?:docker-)?compose(?:[.\-_](?P<variant>.+))?\.ya?ml")
_SKIPPED = frozenset({"node_modules", "vendor", "__pycache__", "venv", "site-packages"})
_MAX_DEPTH = 8
_FOLDERS_ABOVE = 2
_TEMPLATE = "a template: audit what it is rendered to"
_RUNNABLE = ("image", "build", "extends", "provider")


class DeploymentSpec(NamedTuple):
    """The files of one deployment, absolute and in merge order.

    ``variant``: what sets it apart from others of the same project ("prod"), or "".
    ``notes``: what was decided and why, a line each. ``part``: why it is no deployment, or "".
    """

    files: tuple[str, ...]
    variant: str = ""
    notes: tuple[str, ...] = ()
    part: str = ""


def discover(paths: Sequence[str], reader: Files | None = None) -> list[DeploymentSpec]:
    """The deployments in files and folders, each once, in the order in which they are met."""
    return [spec for spec in survey(paths, reader) if not spec.part]


def survey(paths: Sequence[str], reader: Files | None = None) -> list[DeploymentSpec]:
    """The same with what is left out, where anything else is there."""
    finder = _Finder(reader or Files())
    found: dict[tuple[str, ...], DeploymentSpec] = {}
    for path in paths:
        location = os.path.abspath(path)
        specs = finder.below(location) if os.path.isdir(location) else finder.of(location)
        for spec in specs:
            found.setdefault(spec.files, spec)
    if all(spec.part for spec in found.values()):
        return [spec._replace(part="") for spec in found.values()]
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
        named = self.compose_file(folder, {})
        if named and os.path.join(folder, main or "") not in named and all(map(os.path.isfile, named)):
            yield self._by_compose_file(named)
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
            return [self._by_compose_file(named)]
        if self._is_template(location):
            return [DeploymentSpec((location,), "", (), _TEMPLATE)]
        override = _override(folder, name)
        if override is None:
            return [DeploymentSpec((location,))]
        files = (location, override)
        return [DeploymentSpec(files, "", (f"merged {_joined(files)}",))]

    def _by_compose_file(self, named: Sequence[str]) -> DeploymentSpec:
        return DeploymentSpec(tuple(named), "", (f"{_joined(named)}: COMPOSE_FILE in .env says so",))

    def _variant(self, folder: str, name: str, variant: str) -> list[DeploymentSpec]:
        location = os.path.join(folder, name)
        main = _main_of(folder)
        if main is not None and _is_override(name):
            return self._main(folder, main)
        if self._is_template(location):
            return [DeploymentSpec((location,), variant, (), _TEMPLATE)]
        if self._stands_alone(location):
            note = f"read by itself: every service of {name} is complete without {main}"
            return [DeploymentSpec((location,), variant, (note,) if main else ())]
        missing = self._incomplete(location)
        base = self._continued(folder, variant, () if main else missing)
        if base is not None and base.part:
            return [DeploymentSpec((location,), variant, (), base.part)]
        under = list(base.files) if base else [os.path.join(folder, main)] if main else []
        if not under and missing:
            under = self._above(folder, variant, missing)
            if not under:
                why = f"a fragment: {missing[0]} has neither image nor build, and no file here completes it"
                return [DeploymentSpec((location,), variant, (), why)]
        files = (*under, location)
        return [DeploymentSpec(files, variant, (f"merged {_joined(files)}",) if under else ())]

    def _continued(self, folder: str, variant: str, missing: Sequence[str]) -> DeploymentSpec | None:
        """What a name continues: `compose.db.yml` before `compose.db.volumes.yml`.

        Also `compose.db.yml` before `compose.db-tls.yml`, if it has all services that are ``missing``.
        """
        for end in range(len(variant) - 1, 0, -1):
            if variant[end] not in (".-" if missing else "."):
                continue
            stem = variant[:end]
            name = next((name for name in _compose_names(folder) if _variant_of(name) == stem), None)
            if name and (variant[end] == "." or set(missing) <= self._services(os.path.join(folder, name))):
                return self._variant(folder, name, stem)[0]
        return None

    def _above(self, folder: str, variant: str, missing: Sequence[str]) -> list[str]:
        """The files of a folder above that give services what they lack here."""
        for _ in range(_FOLDERS_ABOVE):
            folder = os.path.dirname(folder)
            names = _compose_names(folder)
            wanted = (variant, variant.rpartition(".")[0])
            named = [name for name in names if _variant_of(name) and _variant_of(name) in wanted]
            for name in [*named, *([main] if (main := _main_of(folder)) else [])]:
                if set(missing) <= self._services(os.path.join(folder, name)):
                    return [os.path.join(folder, name)]
        return []

    def _services(self, location: str) -> set[str]:
        found: set[str] = set()
        for root in self._roots(location):
            services = root.get("services")
            found |= {name for name, _ in services.items()} if services else set()
        return found

    def _incomplete(self, location: str) -> list[str]:
        """The services that have nothing to run."""
        found = []
        for root in self._roots(location):
            services = root.get("services")
            for name, service in services.items() if services else ():
                if not service.is_mapping or not any(key in service.value for key in _RUNNABLE):
                    found.append(name)
        return found

    def _is_template(self, location: str) -> bool:
        """True for a text with the marks of a template that is no YAML (yet)."""
        try:
            source = self._reader.read(location)
        except ReadError:
            return False
        if not looks_like_template(source.text):
            return False
        try:
            read_documents(source)
        except ReadError:
            return True
        return False

    def _stands_alone(self, location: str) -> bool:
        """True where each service has something to run and each network and volume that it uses is declared."""
        if self._incomplete(location):
            return False
        for root in self._roots(location):
            services = root.get("services")
            for _, service in services.items() if services else ():
                networks = service.get("networks")
                declared = root.get("networks")
                known = set(declared.value) if declared is not None and declared.is_mapping else set()
                if networks is not None and not _names(networks) <= known | {"default"}:
                    return False
        return True

    def compose_file(self, folder: str, environ: Mapping[str, str]) -> list[str]:
        """The files that COMPOSE_FILE names, in the environment or in a folder's .env."""
        entries: dict[str, str | None] = {}
        file = os.path.join(folder, ".env")
        if os.path.isfile(file):
            with suppress(ReadError):
                entries = {entry.key: entry.value for entry in read_env(self._reader.read(file))}
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
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        if folder.count(os.sep) - depth >= _MAX_DEPTH:
            folders.clear()
        names = sorted(filter(_COMPOSE.fullmatch, files))
        if names or ".env" in files:
            yield folder, names


def _compose_names(folder: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if _COMPOSE.fullmatch(name) and not os.path.isdir(os.path.join(folder, name))]


def _main_of(folder: str) -> str | None:
    return next((name for name in _MAIN if os.path.isfile(os.path.join(folder, name))), None)


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
