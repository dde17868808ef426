"""YAML of a file, or of a text inside a Compose file, as trees whose places are those of the file."""

from __future__ import annotations

from functools import lru_cache

from infra_audit.errors import Undecidable
from infra_audit.readers.located import Inline, Located
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source
from infra_audit.tree import Node

__all__ = ["as_source", "read_located", "text_of"]


def read_located(located: Located) -> list[Node]:
    """The documents of a text. Raises ReadError for broken YAML and Undecidable where places would be lost."""
    source = as_source(located)
    return list(_read(source.path, source.location, source.text))


@lru_cache(maxsize=64)
def _read(path: str, location: str, text: str) -> tuple[Node, ...]:
    """Variants of one deployment mount the same files: each text is parsed once."""
    return tuple(read_yaml(Source(path, text, location)))


def as_source(located: Located) -> Source:
    """The text as a source. One inside a Compose file keeps its lines and its indentation there."""
    if isinstance(located, Source):
        return located
    first = located.span(0, 1)
    lines = located.text.split("\n")
    written = [first.source.line(first.line + number) for number in range(len(lines))]
    if first.source.path != located.path or not isinstance(located, Inline) or not lines[0]:
        raise Undecidable("it is written inside the Compose file in a way that its lines cannot be told apart")
    indent = written[0].find(lines[0][:1]) if lines[0].strip() else -1
    if first.line == first.end_line and first.column == indent + 1 and indent >= 0:
        padded = [f"{' ' * indent}{line}" if line else "" for line in lines]
        return Source(located.path, "\n" * (first.line - 1) + "\n".join(padded), first.source.location)
    raise Undecidable("it is written inside the Compose file in a way that its lines cannot be told apart")


def text_of(node: Node | None) -> str:
    """A scalar as text; "" for nothing and for collections."""
    return "" if node is None or node.value is None or not node.is_scalar else str(node.value)
