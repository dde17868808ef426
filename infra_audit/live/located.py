"""Plain data as a readable text with the place of every value: what a finding about a running thing points at."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import Any

from infra_audit.source import Source, Span
from infra_audit.tree import Node

__all__ = ["locate"]

_INDENT = "  "
_WORDS = {None: "null", True: "true", False: "false"}


def locate(path: str, data: Any) -> Node:
    """The tree of JSON data. Its source, called ``path``, is the data printed with one value per line."""
    source = Source(path, "")
    lines: list[str] = [""]
    root = _write(data, source, lines, 0)
    source.text = "\n".join(lines) + "\n"
    return root


def _write(data: Any, source: Source, lines: list[str], depth: int, key: Span | None = None) -> Node:
    """Appends the value to the last line, and what it holds to lines of their own."""
    line, column = len(lines), len(lines[-1]) + 1
    if isinstance(data, str):  # a place of a text is what stands between its quotes
        text = encode_basestring(data)
        lines[-1] += text
        return Node(data, Span(source, line, column + 1, line, column + len(text) - 1), key)
    value: Any = data
    if isinstance(data, dict) and data:
        lines[-1] += "{"
        value = {}
        indent = _INDENT * (depth + 1)
        start = len(indent) + 2
        for name, child in data.items():
            quoted = encode_basestring(name)
            lines.append(f"{indent}{quoted}: ")
            here = len(lines)
            span = Span(source, here, start, here, start + len(quoted) - 2)
            value[name] = _write(child, source, lines, depth + 1, span)
            lines[-1] += ","
        lines[-1] = lines[-1][:-1]
        lines.append(_INDENT * depth + "}")
    elif isinstance(data, list) and data:
        lines[-1] += "["
        value = []
        indent = _INDENT * (depth + 1)
        for child in data:
            lines.append(indent)
            value.append(_write(child, source, lines, depth + 1))
            lines[-1] += ","
        lines[-1] = lines[-1][:-1]
        lines.append(_INDENT * depth + "]")
    else:
        lines[-1] += _WORDS[data] if data is None or isinstance(data, bool) else json.dumps(data)
    return Node(value, Span(source, line, column, len(lines), len(lines[-1]) + 1), key)
