"""Plain data as a readable text with the place of every value: what a finding about a running thing points at."""

from __future__ import annotations

import json
from typing import Any

from infra_audit.source import Source, Span
from infra_audit.tree import Node

__all__ = ["locate"]

_INDENT = "  "


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
    value: Any = data
    if isinstance(data, dict) and data:
        lines[-1] += "{"
        value = {}
        indent = _INDENT * (depth + 1)
        for index, (name, child) in enumerate(data.items()):
            if index:
                lines[-1] += ","
            quoted = json.dumps(name, ensure_ascii=False)
            lines.append(f"{indent}{quoted}: ")
            here = len(lines)
            span = Span(source, here, len(indent) + 2, here, len(indent) + len(quoted))
            value[name] = _write(child, source, lines, depth + 1, span)
        lines.append(_INDENT * depth + "}")
    elif isinstance(data, list) and data:
        lines[-1] += "["
        value = []
        for index, child in enumerate(data):
            if index:
                lines[-1] += ","
            lines.append(_INDENT * (depth + 1))
            value.append(_write(child, source, lines, depth + 1))
        lines.append(_INDENT * depth + "]")
    else:
        text = json.dumps(data, ensure_ascii=False)
        lines[-1] += text
        if isinstance(data, str):  # a place of a text is what stands between its quotes
            return Node(data, Span(source, line, column + 1, line, column + len(text) - 1), key)
    return Node(value, Span(source, line, column, len(lines), len(lines[-1]) + 1), key)
