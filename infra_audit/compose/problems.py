"""What loading meets on its way, collected with places."""

from __future__ import annotations

from typing import TypeAlias

from infra_audit.errors import ReadError
from infra_audit.finding import Problem, Related, SubjectRef
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["Path", "Problems", "dotted"]

Path: TypeAlias = tuple[str | int, ...]

_SUBJECTS = {
    "services": "service",
    "networks": "network",
    "volumes": "volume",
    "secrets": "secret",
    "configs": "config",
}


_REFUSED = ("invalid", "env-file-missing", "env-file-invalid", "version-needed")


def dotted(path: Path) -> str:
    """A path as Compose writes it: services.web.ports[0]."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text or "the file"


class Problems:
    """The problems of one deployment, each once, in the order in which they were met."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, Span], Problem] = {}
        self.late: list[tuple[Node | Span, Path, str]] = []
        """What Compose looks at after all else: a node is refused unless a later file replaces it."""
        self.unfinished = False
        """True once a document had a null, lacked a key or had a `!reset`: ``complete`` has something to look for."""

    def add(self, kind: str, message: str, place: Node | Span, path: Path = (), *related: Related) -> None:
        span = place.place if isinstance(place, Node) else place
        subject = SubjectRef("deployment", "")
        if len(path) >= 2 and path[0] in _SUBJECTS:
            subject = SubjectRef(_SUBJECTS[str(path[0])], str(path[1]))
        self._found.setdefault((kind, message, span), Problem(kind, message, span, subject, related))

    def refuse(self, place: Node | Span, path: Path, message: str, *related: Related) -> None:
        """Something that Compose does not accept."""
        self.add("invalid", message, place, path, *related)

    def refuse_late(self, tree: Node) -> None:
        """Refuse what was held back, nodes only where they still stand in the merged tree."""
        if not self.late:
            return
        standing = {id(hop) for _, node in tree.walk() if node.value == HOLE for hop in node.hops}
        for node, path, message in self.late:
            if isinstance(node, Span) or id(node.hops[-1]) in standing:
                self.refuse(node, path, message)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def refuses(self) -> bool:
        """True where Compose refuses something that was met so far."""
        return any(problem.kind == "invalid" for problem in self._found.values())

    def found(self) -> list[Problem]:
        return list(self._found.values())

    def raise_first(self) -> None:
        """Raise what Compose refuses as a ReadError, if there is any."""
        for problem in self._found.values():
            if problem.kind in _REFUSED:
                span = problem.span
                raise ReadError(problem.message, file=span.source.path, line=span.line, column=span.column)
