"""The deployment: one effective tree with its files, and the subjects that policies speak about."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from infra_audit.errors import ReadError
from infra_audit.finding import Problem, SubjectRef
from infra_audit.named import field, record
from infra_audit.source import Source, Span, display_path
from infra_audit.tree import Node, holes_as_text
from infra_audit.versioning import Versions

__all__ = ["MAX_FILE_BYTES", "Deployment", "Files", "Subject"]

MAX_FILE_BYTES = 16 * 1024 * 1024
"""The largest file that is read; real Compose, env and rule files are a thousand times smaller."""


class Files:
    """Reads files of the local file system, each once.

    Refuses with one clear ReadError what is no readable text file: a folder, a FIFO or device, a
    file above MAX_FILE_BYTES, invalid UTF-8. A byte order mark is taken off.
    """

    def __init__(self) -> None:
        self._read: dict[str, Source] = {}
        self._versions = Versions()

    def read(self, path: str) -> Source:
        location = os.path.abspath(path)
        known = self._read.get(location)
        if known is None:
            shown = display_path(location)
            known = self._read[location] = Source(shown, _text(location, shown), location)
        return known

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def listing(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty where it cannot be read."""
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def is_tracked(self, path: str) -> bool | None:
        """Whether a file is under version control; None where that is not known."""
        return self._versions.is_tracked(path)

    def is_ignored(self, path: str) -> bool:
        """True for a file that git is told to leave out."""
        return self._versions.is_ignored(path)

    @property
    def sources(self) -> list[Source]:
        """All that was read so far, in that order."""
        return list(self._read.values())


def _text(location: str, shown: str) -> str:
    try:
        status = os.stat(location)
        if stat.S_ISDIR(status.st_mode):
            raise ReadError("is a directory, not a file", file=shown)
        if not stat.S_ISREG(status.st_mode):
            raise ReadError("is not a regular file", file=shown)
        if status.st_size > MAX_FILE_BYTES:
            raise ReadError(f"is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB", file=shown)
        with open(location, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = {errno.ENOENT: "no such file", errno.EACCES: "permission denied", errno.ELOOP: "links to itself"}
        raise ReadError(reason.get(error.errno or 0, error.strerror or "cannot be read"), file=shown) from None
    except ValueError:
        raise ReadError("is no valid file name", file=shown.replace("\0", "\\0")) from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ReadError("is not valid UTF-8", file=shown, line=line, column=column) from None
    return text.removeprefix("\ufeff")


@record
class Subject:
    """A thing that policies speak about.

    ``kind``: deployment, service, network, volume, port, mount, dependency, …
    ``name``: unique within the kind and the deployment.
    ``node``: its part of the effective tree.
    ``parent``: the service of a port, mount or dependency, the file of a rule.
    ``cache``: facts already computed; owned by ``facts.registry``.
    ``owner``: the subject that findings name instead, for a part that has no name of its own.
    """

    kind: str
    name: str
    node: Node
    deployment: Deployment
    parent: Subject | None = None
    cache: dict[str, Any] = field(default_factory=dict)
    owner: Subject | None = None

    @cached_property
    def ref(self) -> SubjectRef:
        shown = self.owner or self
        return SubjectRef(shown.kind, shown.name)


@record
class Deployment:
    """One set of files (or one running project) as a tree in Compose's canonical form.

    ``tree`` has the keys name, services, networks, volumes, secrets, configs; each value is what
    ``docker compose config --format json`` prints, with services of all active profiles and with
    networks and volumes that nothing uses still in it. A running project has containers and engine, too.
    ``files``: the Compose files as the user would type them, in merge order.
    ``folder``: absolute path of the project directory.
    ``problems``: what loading met. ``unset``: variables without a value or default, and where they are used.
    ``env_files``: the files that variables were read from; ``own_env_files``: without those of included projects.
    """

    name: str
    source: str
    files: tuple[str, ...]
    folder: str
    tree: Node
    problems: list[Problem] = field(default_factory=list)
    unset: dict[str, list[Span]] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    own_env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reader: Files = field(default_factory=Files)
    plan: Any = None
    """The engine's binding of a plan (``engine.plan.PlanBinding``), or None."""
    loose: tuple[str, ...] = ()
    """Absolute paths of rule files and dashboards that are judged though nothing here is seen to load them."""
    metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Glob of service names → absolute paths of files in Prometheus' exposition format that say what they export."""
    finder: Callable[[Deployment, str], Iterable[Subject]] | None = None
    """Finds the subjects of kinds that are not in the tree (``facts.finders.attach``)."""
    declared: Deployment | None = None
    """Of a running project: what its Compose files say, where they are known."""
    mask: Callable[[Any], Any] | None = None
    """Of a running project: makes data look as the engine's answers do, secrets replaced by tokens; None where the
    tokens cannot be made again, as in a snapshot that was saved."""
    config_hashes: Callable[[], Mapping[str, str]] | None = None
    """Of a running project: asks Docker Compose for the hash of each declared service; raises Undecidable."""
    _subjects: dict[str, list[Subject]] = field(default_factory=dict)
    _names: dict[str, dict[str, Subject]] = field(default_factory=dict)

    def subjects(self, kind: str) -> list[Subject]:
        """All subjects of a kind, in file order; the same objects at each call."""
        known = self._subjects.get(kind)
        if known is None:
            known = self._subjects[kind] = list(self._find(kind))
        return known

    def subject(self, kind: str, name: str) -> Subject | None:
        """The subject of a kind with a name, the first where several have it."""
        known = self._names.get(kind)
        if known is None:
            known = self._names[kind] = {one.name: one for one in reversed(self.subjects(kind))}
        return known.get(name)

    def service(self, name: str) -> Subject | None:
        return self.subject("service", name)

    @cached_property
    def root(self) -> Subject:
        """The deployment itself as a subject."""
        return self.subjects("deployment")[0]

    def release(self) -> None:
        """Lets go of the subjects, which know the deployment in turn: nothing waits for a garbage collection."""
        self._subjects.clear()
        self._names.clear()
        self.__dict__.pop("root", None)
        if self.declared is not None:
            self.declared.release()

    def _find(self, kind: str) -> Iterator[Subject]:
        if kind == "deployment":
            yield Subject(kind, self.name, self.tree, self)
            return
        section = _SECTIONS.get(kind)
        if section is not None:
            top = self.tree.get(section)
            if top is not None:
                for name, node in top.items():
                    yield Subject(kind, name, node, self)
            return
        part = _PARTS.get(kind)
        if part is None:
            yield from self.finder(self, kind) if self.finder is not None else ()
            return
        for service in self.subjects("service"):
            found = service.node.get(part)
            if found is None:
                continue
            for name, child in found.items():
                yield Subject(kind, f"{service.name}/{name}", child, self, service)
            for child in found.entries():
                yield Subject(kind, f"{service.name}/{_part_name(kind, child)}", child, self, service)


_SECTIONS = {
    "service": "services",
    "network": "networks",
    "volume": "volumes",
    "secret": "secrets",
    "config": "configs",
    "container": "containers",
}
_PARTS = {"port": "ports", "mount": "volumes", "dependency": "depends_on"}


def _part_name(kind: str, node: Node) -> str:
    def text(key: str) -> str:
        child = node.get(key)
        return "" if child is None or child.value is None else holes_as_text(str(child.value), child.hops)

    if kind == "mount":
        return text("target")
    published = text("published")
    host = text("host_ip")
    inner = f"{text('target')}/{text('protocol') or 'tcp'}"
    if not published:
        return inner
    return f"{host + ':' if host else ''}{published}:{inner}"
