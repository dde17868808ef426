"""Splits a Compose file into a base and an override, line by line, and knows where each line went.

An *entry* is a key of a block mapping with all its lines, such as ``services.web.healthcheck`` or
``services.web.healthcheck.timeout``. Moving it writes the same lines into the override, below the keys that lead
to it. What Compose would then read differently is no entry: see ``_is_mergeable``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import yaml

__all__ = ["Entry", "Split", "entries", "split"]

_REPLACED_WHOLE = ("logging", "ulimits", "ipam")
"""Keys below which Compose does not merge key by key."""


class Entry(NamedTuple):
    """A key that can move: its path, the column of each key on it, and its lines (from 1, the end exclusive)."""

    path: tuple[str, ...]
    columns: tuple[int, ...]
    start: int
    end: int

    def __str__(self) -> str:
        return ".".join(self.path)


class Split(NamedTuple):
    """The two texts, and for each line of the original the file (0 base, 1 override) and line where it is now."""

    base: str
    override: str
    moved: Mapping[int, tuple[int, int]]


def entries(text: str) -> list[Entry]:
    """The entries of a file of one document."""
    lines = text.split("\n")
    root = yaml.compose(text)
    extended = {
        name.value
        for extends in _values_of(root, "extends")
        for name in (extends, *_values_of(extends, "service"))
        if isinstance(name, yaml.ScalarNode)
    }
    found = []
    for path, columns, key, value, siblings in _walk(root, (), ()):
        if _is_mergeable(path, key, value, siblings) and path[1] not in extended:
            start, end = _lines(lines, columns[-1], key.start_mark.line)
            if _is_self_contained(lines[start - 1 : end - 1]):
                found.append(Entry(path, columns, start, end))
    return found


def split(text: str, chosen: Collection[Entry]) -> Split:
    """Moves entries into an override, but for those that lie in another one or would leave an empty mapping."""
    kept: list[Entry] = []
    left = {entry.path[:-1]: 0 for entry in entries(text)}
    for path, *_ in _walk(yaml.compose(text), (), ()):
        left[path[:-1]] = left.get(path[:-1], 0) + 1
    for entry in sorted(chosen, key=lambda entry: (len(entry.path), entry.start)):
        inside = any(other.start <= entry.start < other.end for other in kept)
        if not inside and left[entry.path[:-1]] > 1:
            left[entry.path[:-1]] -= 1
            kept.append(entry)
    override: list[str] = []
    moved: dict[int, tuple[int, int]] = {}
    lines = text.split("\n")
    open_path: tuple[str, ...] = ()
    for entry in sorted(kept, key=lambda entry: entry.start):
        override += [
            f"{' ' * column}{key}:"
            for depth, (column, key) in enumerate(zip(entry.columns[:-1], entry.path[:-1], strict=True), 1)
            if open_path[:depth] != entry.path[:depth]
        ]
        open_path = entry.path[:-1]
        for number in range(entry.start, entry.end):
            override.append(lines[number - 1])
            moved[number] = (1, len(override))
    base = [line for number, line in enumerate(lines, 1) if number not in moved]
    rest = (number for number in range(1, len(lines) + 1) if number not in moved)
    moved |= {number: (0, index) for index, number in enumerate(rest, 1)}
    return Split("\n".join(base), "".join(f"{line}\n" for line in override), moved)


_Found = tuple[tuple[str, ...], tuple[int, ...], yaml.ScalarNode, yaml.Node, yaml.MappingNode]


def _walk(node: yaml.Node | None, path: tuple[str, ...], columns: tuple[int, ...]) -> Iterator[_Found]:
    """Every key of every block mapping that is reached through block mappings only."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        for key, value in node.value:
            here, there = (*path, str(key.value)), (*columns, key.start_mark.column)
            yield here, there, key, value, node
            if value.start_mark.index > key.start_mark.index:  # else an alias, which stands elsewhere
                yield from _walk(value, here, there)


def _is_mergeable(path: tuple[str, ...], key: yaml.ScalarNode, value: yaml.Node, siblings: yaml.MappingNode) -> bool:
    """False where Compose would merge the parts to something else.

    A key that a merge key brings too would be merged with that one; extending happens before files are
    merged; null says something else in an override; a service keeps its place among the services.
    """
    if len(path) < 3 or path[0] not in ("services", "networks") or "extends" in path or key.value == "<<":
        return False
    if any(step in path[:-1] for step in _REPLACED_WHOLE) or value.tag == "tag:yaml.org,2002:null":
        return False
    return not any(
        key.value == name.value
        for merge, mapping in siblings.value
        if merge.value == "<<" and isinstance(mapping, yaml.MappingNode)
        for name, _ in mapping.value
    )


def _is_self_contained(lines: list[str]) -> bool:
    """False where the lines hold an anchor or an alias, which end with their file, or a tag."""
    tokens = yaml.scan(textwrap.dedent("\n".join(lines)) + "\n")
    return not any(isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken) for token in tokens)


def _lines(lines: list[str], column: int, first: int) -> tuple[int, int]:
    """The lines of the entry that begins on line ``first`` (from 0), with the comments right above it."""
    start = first
    while start > 0 and lines[start - 1].lstrip().startswith("#") and _indent(lines[start - 1]) == column:
        start -= 1
    end = first + 1
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if _indent(line) < column or (_indent(line) == column and not line.lstrip().startswith("- ")):
            break
        end = number + 1
    return start + 1, end + 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _values_of(node: yaml.Node | None, name: str) -> Iterator[yaml.Node]:
    """The values of all keys of a name, at any depth."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == name:
                yield value
            yield from _values_of(value, name)
