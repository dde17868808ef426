"""Running projects → deployments: the opener of ``infra-audit live``.

One snapshot serves all projects of a look. Each becomes a deployment like one from files, beside what its own files
declare, where they are known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from infra_audit.deployment import Deployment, Files, Subject
from infra_audit.engine.config import Config
from infra_audit.errors import EngineError, InfraAuditError, ReadError, Undecidable, UsageError
from infra_audit.facts.products import parse_image, product_of_image
from infra_audit.live.config_hash import NAMESPACES, Hashing, Project
from infra_audit.live.deadline import Deadline
from infra_audit.live.masking import Masker
from infra_audit.live.normalize import borrow, labels_of, normalize, projects
from infra_audit.live.projects import Origin, folder_of, is_one_off, origin_of, project_of, service_of
from infra_audit.live.store import Snapshot, load
from infra_audit.named import NamedTuple
from infra_audit.opening import Group, Opened, Request, by_config, from_files

__all__ = ["Look", "Running"]

_AT_ONCE = 8
"""Projects that Docker Compose is asked about before they are judged, so that it works beside this process."""


class Look(NamedTuple):
    """How to look at an engine.

    ``host``, ``context``: where it is, None for where the Docker client would look. ``timeout``: seconds for all
    requests together. ``every``: all projects. ``replay``: a saved snapshot instead of an engine. ``without``: names
    of probes that are not made. ``execute``: False forbids commands inside containers.
    """

    host: str | None = None
    context: str | None = None
    timeout: float = 30.0
    every: bool = False
    replay: str | None = None
    without: frozenset[str] = frozenset()
    execute: bool = True
    redis_password_file: str | None = None


class Running:
    """An opener that looks at an engine each time that it is called.

    ``snapshot``: what the last look saw; None where it saw nothing. Where nobody names a project, later looks are at
    the one that the first look found, whatever else comes up beside it.
    """

    def __init__(self, look: Look, environ: Mapping[str, str]) -> None:
        self.look = look
        self.snapshot: Snapshot | None = None
        self._environ = environ
        self._project: str | None = None
        self._deadline = Deadline(look.timeout)
        self._asked: list[Hashing] = []

    def __call__(self, request: Request) -> Iterator[Group]:
        self.snapshot = None
        self._deadline = Deadline(self.look.timeout)
        if request.files and self.look.every:
            raise UsageError("-f names the files of one project: not with --all")
        try:
            if request.files:
                yield self._beside_files(request)
            else:
                yield from self._by_labels(request)
        finally:
            for asked in self._asked:
                asked.end()
            self._asked.clear()

    def _beside_files(self, request: Request) -> Group:
        """The project of the -f files, under the configuration of these."""
        [(config, part)] = by_config(request)
        [declared] = [opening.open() for opening in from_files(part, config)]
        if isinstance(declared.result, InfraAuditError):
            return Group(config, part, [declared])
        snapshot = self._take(request.name or _name(declared))
        openings = [self._open(snapshot, name, declared, part) for name in projects(snapshot)]
        return Group(config, part, [*_unread(snapshot), *openings])

    def _by_labels(self, request: Request) -> Iterator[Group]:
        """The projects beside the files that they were made from, each under the configuration of its own files."""
        snapshot = self._take(request.name)
        origins = {name: _origin(snapshot, name) for name in projects(snapshot)}
        homes = {name: _home(origin) for name, origin in origins.items()}
        first = _unread(snapshot)
        for config, part in by_config(request._replace(paths=tuple(dict.fromkeys(homes.values())) or (".",))):
            names = [name for name, home in homes.items() if home in part.paths]
            openings = [
                self._open(snapshot, name, _declared(origins[name], name, part, config), part) for name in names
            ]
            # what runs is never all that a configuration speaks about
            yield Group(config, part._replace(paths=()), [*first, *openings])
            first = []

    def _take(self, wanted: str | None) -> Snapshot:
        wanted = wanted or self._project
        replay = self.look.replay
        snapshot = self._ask(wanted) if replay is None else _only(load(replay), wanted)
        if not self.look.every and len(projects(snapshot)) == 1:
            [self._project] = projects(snapshot)
        self.snapshot = snapshot
        return snapshot

    def _ask(self, wanted: str | None) -> Snapshot:
        """What the engine says now."""
        from infra_audit.live.connection import connect
        from infra_audit.live.probes.run import Plan, probe
        from infra_audit.live.snapshot import take

        look, deadline = self.look, self._deadline
        engine = connect(look.host, look.context, self._environ, deadline)
        try:
            snapshot, raw = take(engine, deadline, Masker(), _chooser(wanted, every=look.every))
            asked = Plan(_product, look.without, look.execute, _password(look.redis_password_file))
            probe(snapshot, raw, engine, deadline, asked)
        finally:
            engine.close()
        return snapshot

    def _open(self, snapshot: Snapshot, name: str, declared: Opened, request: Request) -> Opened:
        """A running project beside what its files declare."""
        opened = _beside(snapshot, name, declared)
        running = opened.result
        if isinstance(running, Deployment) and running.declared is not None:
            project = _project(running.declared, running, request.environ or {})
            asked = Hashing(project, _first_containers(snapshot, name), self._environ, self._deadline)
            running.config_hashes = asked.answer
            if len(projects(snapshot)) <= _AT_ONCE:
                with suppress(Undecidable):  # which the answer raises again
                    asked.begin()
                self._asked.append(asked)
        return opened


def _project(declared: Deployment, running: Deployment, environ: Mapping[str, str]) -> Project:
    """What Docker Compose is asked about a project, with the profiles of the services that run."""
    mine = [service for service in declared.subjects("service") if running.service(service.name) is not None]
    profiles = {str(entry.value) for one in mine for entry in (one.node.get("profiles") or one.node).entries()}
    files, env_files = (tuple(map(os.path.abspath, paths)) for paths in (declared.files, declared.own_env_files))
    resolved = any(map(_is_resolved, declared.subjects("service")))
    return Project(running.name, declared.folder, files, env_files, sorted(profiles), environ, resolved)


def _is_resolved(service: Subject) -> bool:
    """True where Compose reads files, or looks at another service's container, before it hashes a service."""
    modes = (service.node.get(key) for key in NAMESPACES)
    shares = any(mode is not None and str(mode.value).startswith("service:") for mode in modes)
    return shares or service.node.get("env_file") is not None


def _first_containers(snapshot: Snapshot, name: str) -> dict[str, str]:
    """Service → the ID of its first container, as Compose counts them: by name."""
    found: dict[str, str] = {}
    for entry in sorted(snapshot.data["containers"], key=lambda one: str(one.get("Name"))):
        labels = labels_of(entry)
        service = service_of(labels)
        if project_of(labels) == name and service is not None and not is_one_off(labels):
            found.setdefault(service, str(entry.get("Id")))
    return found


def _beside(snapshot: Snapshot, name: str, declared: Opened) -> Opened:
    """A running project beside what its files declare, or with a note where they are not known."""
    running = normalize(snapshot, name)
    notes = [f"as it ran at {snapshot.data.get('taken')} on {snapshot.data['engine'].get('Name') or snapshot.host}"]
    notes += [f"{entry['container']}: {entry['why']}" for entry in snapshot.data.get("missed", ()) if entry.get("gone")]
    of_files = declared.result
    if isinstance(of_files, InfraAuditError):
        why = f"its Compose files are not known ({of_files}): drift is not judged; name them with -f"
        return Opened(name, running, (*notes, why))
    running.declared = of_files
    borrow(running.tree, of_files.tree)
    running.files = of_files.files
    if snapshot.masker is not None:
        services = of_files.tree.get("services")
        snapshot.masker.learn_from(services.data() if services else {})
        running.mask = snapshot.masker.apply
    notes.append(f"compared with {' + '.join(of_files.files)}")
    return Opened(name, running, tuple(notes), declared.plan, declared.rules)


def _origin(snapshot: Snapshot, name: str) -> Origin:
    """The files that a project was made from, as far as they can be on this machine."""
    labels = [labels_of(entry) for entry in snapshot.data["containers"]]
    return origin_of(one for one in labels if snapshot.is_local and project_of(one) == name)


def _home(origin: Origin) -> str:
    """Where the configuration of a project is looked for: at its files, in its folder, or here."""
    return next((path for path in (*origin.files[:1], origin.folder) if path and os.path.exists(path)), ".")


def _declared(origin: Origin, name: str, request: Request, config: Config) -> Opened:
    """What the files say that a project was made from; an error where they are not here."""
    away = next((path for path in origin.files if not os.path.isfile(path)), None)
    if away is not None:
        return Opened(name, ReadError(f"{away} is not here"))
    if not origin.files:
        return Opened(name, ReadError("its containers do not name them for this machine"))
    asked = request._replace(
        files=origin.files,
        env_files=request.env_files or tuple(filter(os.path.isfile, origin.env_files)),
        folder=request.folder or origin.folder,
        name=name,
    )
    [opening] = from_files(asked, config)
    return opening.open()


def _product(image: str) -> str | None:
    return product_of_image(parse_image(image))


def _password(path: str | None) -> str | None:
    return None if path is None else Files().read(path).text.strip()


def _name(opened: Opened) -> str:
    assert isinstance(opened.result, Deployment)
    name = opened.result.tree.get("name")
    return opened.name if name is None else str(name.value)


def _only(snapshot: Snapshot, wanted: str | None) -> Snapshot:
    known = projects(snapshot)
    if wanted is not None and wanted not in known:
        raise UsageError(f"the snapshot has no project {wanted}; it has {', '.join(known) or 'none'}")
    if wanted is not None:
        snapshot.data["projects"] = [wanted]
    return snapshot


def _chooser(wanted: str | None, *, every: bool) -> Callable[[Sequence[Mapping[str, Any]]], list[str]]:
    """Which projects to look at, from the labels of all that there is; raises UsageError where that is not clear,
    EngineError where there is none."""

    def choose(labels: Sequence[Mapping[str, Any]]) -> list[str]:
        names = sorted({name for one in labels if (name := project_of(one))})
        if every:
            return names
        if wanted is not None:
            if wanted not in names:
                raise EngineError(f"the engine has no project {wanted}; it has {', '.join(names) or 'none'}")
            return [wanted]
        here = {project_of(one) for one in labels if folder_of(one) == os.getcwd()} - {None}
        if len(names) == 1 or len(here) == 1:
            return [str(here.pop())] if len(here) == 1 else names
        if not names:
            raise EngineError("the engine has no Compose project and no stack")
        raise UsageError(f"the engine has several projects ({', '.join(names)}): choose one with -p, or --all")

    return choose


def _unread(snapshot: Snapshot) -> list[Opened]:
    """One error for all that the engine did not tell, with the first reason; nothing where it told all."""
    missed = [entry for entry in snapshot.data.get("missed", ()) if not entry.get("gone")]
    if not missed:
        return []
    total = len(snapshot.data["containers"]) + len(missed)
    return [Opened("", EngineError(f"{len(missed)} of {total} containers were not read: {missed[0]['why']}"))]
