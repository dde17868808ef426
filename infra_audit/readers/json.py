"""JSON text to located trees.

A dashboard has a hundred thousand values and a finding points at one of them, so values come from the
standard library's parser and places are looked up when somebody asks: the members of a collection are
found by letting the same parser skip over them. A node makes its children when they are first wanted.
"""

from __future__ import annotations

import json
import re
from typing import Any

from infra_audit.errors import ReadError
from infra_audit.named import NamedTuple
from infra_audit.readers.located import Located
from infra_audit.tree import Node

__all__ = ["JsonNode", "read_json"]

_SPACE = " \t\n\r"
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<constant>NaN|-?Infinity)')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..|\\.", re.DOTALL)
_PAIR = 12


class _Constant(ValueError):
    """NaN or Infinity, which Python reads and JSON does not have."""


def _refuse(name: str) -> None:
    raise _Constant(name)


_scan = json.JSONDecoder(parse_constant=_refuse).raw_decode


def read_json(source: Located) -> JsonNode:
    """The value of a JSON text. Raises ReadError with the place of the first syntax error.

    Of a key that is given twice the last value counts, and half a surrogate pair is read as U+FFFD, as
    Go's parser has it.
    """
    text = source.text
    if _SURROGATE.search(text):
        text = _SURROGATES.sub(_whole, text)
    try:
        data = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise _error(source, f"broken JSON: {error.msg[:1].lower()}{error.msg[1:]}", error.pos) from None
    except _Constant as error:
        found = next(match for match in _CONSTANT.finditer(text) if match["constant"])
        raise _error(source, f"broken JSON: {error} is no number of JSON", found.start()) from None
    except RecursionError:
        raise _error(source, "nested too deeply", 0) from None
    except ValueError:
        raise _error(source, "broken JSON: a number with too many digits", 0) from None
    return JsonNode(_Text(source, text), data, None, "")


def _whole(match: re.Match[str]) -> str:
    """Half of a surrogate pair becomes U+FFFD, written as long as it was."""
    escape = match[0]
    return "\\ufffd" if len(escape) not in (2, _PAIR) else escape


def _error(source: Located, message: str, offset: int) -> ReadError:
    span = source.span(offset, offset)
    return ReadError(message, file=source.path, line=span.line, column=span.column)


class _Text:
    """What is parsed, and where each of its characters is written."""

    __slots__ = ("source", "text")

    def __init__(self, source: Located, text: str) -> None:
        self.source = source
        self.text = text

    def skip(self, at: int) -> int:
        """The offset of the first character that is no white space."""
        text = self.text
        while text[at] in _SPACE:
            at += 1
        return at

    def members(self, place: _Place | None) -> _Members:
        """Where the members of the collection at a place are written."""
        assert place is not None
        text, skip = self.text, self.skip
        is_mapping = text[place.start] == "{"
        members: dict[str, _Place] = {}
        entries: list[_Place] = []
        at = skip(place.start + 1)
        while text[at] not in "]}":
            key, key_end, start = "", at, at
            if is_mapping:
                key, key_end = _scan(text, at)
                start = skip(skip(key_end) + 1)
            end = _scan(text, start)[1]
            if is_mapping:
                members[key] = _Place(at, key_end, start, end)
            else:
                entries.append(_Place(-1, -1, start, end))
            at = skip(end)
            if text[at] == ",":
                at = skip(at + 1)
        return members if is_mapping else entries


class _Place(NamedTuple):
    """Where a value and its key are written, as offsets; ``key`` is -1 where there is none."""

    key: int
    key_end: int
    start: int
    end: int


_Members = dict[str, _Place] | list[_Place]


class JsonNode(Node):
    """A node of a JSON text; ``value``, ``span`` and ``key`` are made when they are first asked for."""

    __slots__ = ("_data", "_inside", "_parent", "_place", "_step", "_text")

    def __init__(self, text: _Text, data: Any, parent: JsonNode | None, step: str | int) -> None:
        self._text = text
        self._data = data
        self._parent = parent
        self._step = step
        self._place: _Place | None = None
        self._inside: _Members | None = None
        self.hops = ()
        self.tag = ""
        self.plain = False
        if type(data) is not dict and type(data) is not list:
            self.value = data

    def __getattr__(self, name: str) -> Any:
        made: Any
        if name == "value":
            made = self._children()
        elif name == "span":
            place = self._located()
            made = self._text.source.span(place.start, place.end)
        elif name == "key":
            place = self._located()
            made = None if place.key < 0 else self._text.source.span(place.key, place.key_end)
        else:
            raise AttributeError(name)
        setattr(self, name, made)
        return made

    def data(self) -> Any:
        """The plain value; not a copy."""
        return self._data

    def known(self) -> Any:
        return self._data

    def _children(self) -> Any:
        text = self._text
        if type(self._data) is dict:
            return {key: JsonNode(text, child, self, key) for key, child in self._data.items()}
        return [JsonNode(text, child, self, index) for index, child in enumerate(self._data)]

    def _located(self) -> _Place:
        waiting: list[JsonNode] = []
        node: JsonNode | None = self
        while node is not None and node._place is None:
            waiting.append(node)
            node = node._parent
        while waiting:
            node = waiting.pop()
            parent = node._parent
            if parent is None:
                start = self._text.skip(0)
                node._place = _Place(-1, -1, start, _scan(self._text.text, start)[1])
                continue
            if parent._inside is None:
                parent._inside = self._text.members(parent._place)
            inside: Any = parent._inside
            node._place = inside[node._step]
        assert self._place is not None
        return self._place
