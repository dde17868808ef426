"""Running projects → deployments: the opener of ``infra-audit live``.

One snapshot serves all projects of a run. Each becomes a deployment like one from files, beside what its own files
declare, where they are known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from infra_audit.deployment import Deployment, Files
from infra_audit.engine.config import Config
from infra_audit.errors import EngineError, InfraAuditError, ReadError, UsageError
from infra_audit.facts.products import parse_image, product_of_image
from infra_audit.live.deadline import Deadline
from infra_audit.live.masking import Masker
from infra_audit.live.normalize import borrow, labels_of, normalize, projects
from infra_audit.live.projects import env_files_of, files_of, folder_of, project_of
from infra_audit.live.store import Snapshot, load
from infra_audit.named import NamedTuple
from infra_audit.opening import Opened, Request, from_files

__all__ = ["Look", "Running"]


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
    """An opener over one snapshot. ``snapshot`` is there after the first call."""

    def __init__(self, look: Look, environ: Mapping[str, str]) -> None:
        self.look = look
        self._environ = environ
        self.snapshot: Snapshot | None = None

    def __call__(self, request: Request, config: Config) -> Iterator[Opened]:
        declared = [opening.open() for opening in from_files(request, config)] if request.files else []
        for opened in declared:
            if isinstance(opened.result, InfraAuditError):
                yield opened
                return
        self.snapshot = snapshot = self._take(request, declared)
        for missed in _unread(snapshot):
            yield Opened("", missed)
        for name in projects(snapshot):
            yield self._open(snapshot, name, declared, request, config)

    def _take(self, request: Request, declared: Sequence[Opened]) -> Snapshot:
        wanted = request.name or next((_project(opened) for opened in declared), None)
        if self.look.replay is not None:
            return _only(load(self.look.replay), wanted)
        from infra_audit.live.probes.run import Plan, probe
        from infra_audit.live.snapshot import connect, take

        deadline = Deadline(self.look.timeout)
        engine = connect(self.look.host, self.look.context, self._environ, deadline)
        try:
            snapshot, raw = take(engine, deadline, Masker(), _chooser(wanted, every=self.look.every))
            look = self.look
            asked = Plan(_product, look.without, look.execute, _password(look.redis_password_file))
            probe(snapshot, raw, engine, deadline, asked)
        finally:
            engine.close()
        return snapshot

    def _open(
        self, snapshot: Snapshot, name: str, declared: Sequence[Opened], request: Request, config: Config
    ) -> Opened:
        running = normalize(snapshot, name)
        notes = [f"as it ran at {snapshot.data.get('taken')} on {snapshot.data['engine'].get('Name') or snapshot.host}"]
        notes += [
            f"{entry['container']}: {entry['why']}" for entry in snapshot.data.get("missed", ()) if entry.get("gone")
        ]
        of_files = declared[0] if declared else self._from_labels(snapshot, name, request, config)
        if of_files is None or isinstance(of_files.result, InfraAuditError):
            why = "" if of_files is None else f" ({of_files.result})"
            notes.append(f"its Compose files are not known{why}: drift is not judged; name them with -f")
            return Opened(name, running, tuple(notes))
        running.declared = of_files.result
        borrow(running.tree, of_files.result.tree)
        running.files = of_files.result.files
        if snapshot.masker is not None:
            snapshot.masker.learn_from(of_files.result.tree.get("services").data())  # type: ignore[union-attr]
            running.mask = snapshot.masker.apply
        notes.append(f"compared with {' + '.join(of_files.result.files)}")
        return Opened(name, running, tuple(notes), of_files.plan, of_files.rules)

    def _labels(self, snapshot: Snapshot, name: str) -> Iterator[Mapping[str, Any]]:
        """The labels of a project's containers."""
        for entry in snapshot.data["containers"]:
            if project_of(labels_of(entry)) == name:
                yield labels_of(entry)

    def _from_labels(self, snapshot: Snapshot, name: str, request: Request, config: Config) -> Opened | None:
        """What the files say that the containers were made from, where they are on this machine."""
        labels = next((one for one in self._labels(snapshot, name) if files_of(one)), {})
        files = files_of(labels)
        if not files or not snapshot.is_local or not all(os.path.isfile(path) for path in files):
            return None
        env_files = request.env_files or tuple(path for path in env_files_of(labels) if os.path.isfile(path))
        asked = request._replace(
            files=files, env_files=env_files, folder=request.folder or folder_of(labels), name=name
        )
        return next(iter(from_files(asked, config))).open()


def _product(image: str) -> str | None:
    return product_of_image(parse_image(image))


def _password(path: str | None) -> str | None:
    return None if path is None else Files().read(path).text.strip()


def _project(opened: Opened) -> str:
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
    """Which projects to look at, from the list of all containers; raises UsageError where that is not clear,
    EngineError where there is none."""

    def choose(listed: Sequence[Mapping[str, Any]]) -> list[str]:
        labels = [entry.get("Labels") or {} for entry in listed]
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
            raise EngineError("the engine has no container of a Compose project")
        raise UsageError(f"the engine has several projects ({', '.join(names)}): choose one with -p, or --all")

    return choose


def _unread(snapshot: Snapshot) -> Iterator[EngineError | ReadError]:
    """One error for all that the engine did not tell, with the first reason."""
    missed = [entry for entry in snapshot.data.get("missed", ()) if not entry.get("gone")]
    if missed:
        total = len(snapshot.data["containers"]) + len(missed)
        yield EngineError(f"{len(missed)} of {total} containers were not read: {missed[0]['why']}")
