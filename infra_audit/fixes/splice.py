"""One edit in the text of a YAML file or a redis.conf: every other byte stays.

The edited text is read again. The difference of the two documents must be the edit and nothing else:
an anchor that others use, a key written twice or an odd layout make it another one, and then the edit
is refused.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from infra_audit.errors import InfraAuditError
from infra_audit.finding import Edit
from infra_audit.readers.redis_conf import Directive, read_conf
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source, Span
from infra_audit.tree import Node

__all__ = ["Refused", "splice"]

Path: TypeAlias = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*\Z")


class Refused(Exception):
    """An edit that cannot be made here; the text says why."""


def splice(text: str, edit: Edit) -> str:
    """The text with an edit made; raises Refused where more than the edit would change."""
    if edit.refused:
        raise Refused(edit.refused)
    source = Source(edit.place.source.path, text)
    if source.path.endswith(".conf"):
        return _set_directive(source, edit)
    try:
        roots = _read(source)
    except InfraAuditError as error:
        raise Refused(f"the file is broken: {error.message}") from None
    place = Span(source, *edit.place[1:])
    number, path, node = _find(roots, place)
    data = [root.data() for root in roots]
    make = {"set": _set, "remove": _remove, "add": _add}[edit.kind]
    edited, expected = make(source, edit.value, copy.deepcopy(data[number]), path, node, roots[number])
    try:
        after = [root.data() for root in _read(Source(source.path, edited))]
    except InfraAuditError as error:
        raise Refused(f"the file would be broken: {error.message}") from None
    data[number] = expected
    if after != data:
        raise Refused("more than this would change")
    return edited


def _read(source: Source) -> list[Node]:
    return list(read_yaml(source))


def _find(roots: list[Node], place: Span) -> tuple[int, Path, Node]:
    """The document, path and node of a place: a value, or the key that leads to it."""
    found = [
        (number, path, node)
        for number, root in enumerate(roots)
        for path, node in root.walk()
        if path and place[1:] in (node.span[1:], node.key[1:] if node.key else None)
    ]
    if not found:
        raise Refused("the value is a part of a text, or is no longer there")
    if len({(number, path) for number, path, _ in found}) > 1:
        raise Refused("an anchor brings it to several places")
    return found[0]


def _offsets(span: Span) -> tuple[int, int]:
    return span.source.offset(span.line, span.column), span.source.offset(span.end_line, span.end_column)


# -- set -----------------------------------------------------------------------------------------


def _set(source: Source, value: Any, data: Any, path: Path, node: Node, root: Node) -> tuple[str, Any]:
    """Another scalar, quoted as the old one was."""
    start, end = _offsets(node.span)
    old = source.text[start:end]
    if not node.is_scalar or not old or "$" in old or old[0] in "|>&*!":
        raise Refused("no plain value stands there")
    text = str(value)
    if old[0] in "\"'":
        single = "'" + text.replace("'", "''") + "'"
        written, new = json.dumps(text, ensure_ascii=False) if old[0] == '"' else single, text
    elif _PLAIN.match(text):
        written, new = text, _scalar(text)
    else:
        raise Refused(f"{text!r} is no value that stands without quotes")
    parent = _at(data, path[:-1])
    parent[path[-1]] = new
    return source.text[:start] + written + source.text[end:], data


def _scalar(text: str) -> Any:
    return read_yaml(Source("", text))[0].data()


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _set_directive(source: Source, edit: Edit) -> str:
    """Another value of a directive of redis.conf that has one."""
    value = str(edit.value)
    before = _directives(source)
    found = [
        number
        for number, directive in enumerate(before)
        if len(directive.words) == 1 and directive.words[0].span[1:] == edit.place[1:]
    ]
    if edit.kind != "set" or len(found) != 1 or not _PLAIN.match(value):
        raise Refused("no plain value stands there")
    start, end = _offsets(Span(source, *edit.place[1:]))
    edited = source.text[:start] + value + source.text[end:]
    after = _directives(Source(source.path, edited))
    expected = [(one.name, [value] if number in found else _texts(one)) for number, one in enumerate(before)]
    if [(one.name, _texts(one)) for one in after] != expected:
        raise Refused("more than this would change")
    return edited


def _directives(source: Source) -> tuple[Directive, ...]:
    """The file's own directives; what it includes is another file."""
    return read_conf(source, lambda _: ()).directives


def _texts(directive: Directive) -> list[str]:
    return [word.text for word in directive.words]


# -- remove --------------------------------------------------------------------------------------


def _remove(source: Source, key: Any, data: Any, path: Path, node: Node, root: Node) -> tuple[str, Any]:
    """Takes the lines of an entry out, and the comments on them."""
    if path[-1] != key or node.key is None:
        raise Refused(f"another key than {key} stands there")
    parent = _at(data, path[:-1])
    if len(parent) == 1 and path[:-1]:
        raise Refused("it is the only entry")
    del parent[path[-1]]
    lines = _lines(source.text)
    first = node.key.line
    if source.line(first)[: node.key.column - 1].strip():
        raise Refused("it shares its line with others")
    last = _last_line(lines, first)
    return "".join(lines[: first - 1] + lines[last:]), data


def _lines(text: str) -> list[str]:
    """Lines with their ends, which are line feeds alone, as places count them."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _last_line(lines: list[str], first: int) -> int:
    """The last line of the block that begins on a line: what is indented deeper follows."""
    indent = _indent(lines[first - 1])
    last = first
    for number in range(first, len(lines)):
        line = lines[number]
        blank = not line.strip()
        item = line.lstrip().startswith("- ") and _indent(line) == indent
        if not blank and _indent(line) <= indent and not item:
            break
        if not blank:
            last = number + 1
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


# -- add -----------------------------------------------------------------------------------------


def _add(source: Source, keys: Any, data: Any, path: Path, node: Node, root: Node) -> tuple[str, Any]:
    """New keys at the end of a block mapping, indented as its others are."""
    target = _at(data, path)
    if not isinstance(target, dict) or node.key is None or not node.is_mapping or not node.value:
        raise Refused("no mapping with keys stands there")
    present = [key for key in keys if key in target]
    if present:
        raise Refused(f"{present[0]} is there already")
    children = [child.key for _, child in node.items() if child.key is not None]
    first = min(children, key=lambda key: (key.line, key.column))
    if first.line == node.key.line or source.line(first.line)[: first.column - 1].strip():
        raise Refused("it is written on one line")
    target.update(copy.deepcopy(keys))
    lines = _lines(source.text)
    last = _last_line(lines, node.key.line)
    end = "\r\n" if lines[0].endswith("\r\n") else "\n"
    if not lines[last - 1].endswith("\n"):
        lines[last - 1] += end
    block = [" " * (first.column - 1) + line + end for line in _block(keys)]
    return "".join(lines[:last] + block + lines[last:]), data


def _block(value: Any) -> Iterator[str]:
    """A mapping of mappings, lists of texts and scalars as lines of YAML."""
    import io

    from ruamel.yaml import YAML  # only a run that adds something renders

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(value, stream)
    yield from stream.getvalue().splitlines()
