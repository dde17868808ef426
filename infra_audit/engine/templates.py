"""Messages with placeholders: ``{subject}``, ``{value}``, ``{expected}``, ``{deployment}``, ``{any.fact}``.

Each may name a format: ``{service.memory_limit:bytes}``. Without one, a fact's own unit decides.
Anything else in braces, such as ``${VARIABLE}``, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from infra_audit.facts.registry import Item
from infra_audit.named import NamedTuple
from infra_audit.units import format_bytes, format_duration

__all__ = ["FORMATS", "NAMES", "Placeholder", "facts_in", "fill", "placeholders", "show"]

NAMES = frozenset(("subject", "value", "expected", "deployment"))
"""Placeholders that are no facts."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)(?::([a-z]+))?\}")


class Placeholder(NamedTuple):
    """One placeholder of a message; ``format`` is "" for the fact's own unit."""

    name: str
    format: str


class _Piece(NamedTuple):
    """A stretch of plain text, and the placeholder that follows it."""

    text: str
    name: str
    format: str
    written: str


@lru_cache(maxsize=1024)
def _taken_apart(message: str) -> tuple[tuple[_Piece, ...], str]:
    """The pieces of a message, and the text after the last placeholder. A policy's message is filled in many times."""
    pieces = []
    end = 0
    for match in _PLACEHOLDER.finditer(message):
        pieces.append(_Piece(message[end : match.start()], match[1], match[2] or "", match[0]))
        end = match.end()
    return tuple(pieces), message[end:]


def placeholders(message: str) -> Iterator[Placeholder]:
    """The placeholders of a message that are names or facts."""
    for piece in _taken_apart(message)[0]:
        if piece.name in NAMES or "." in piece.name:
            yield Placeholder(piece.name, piece.format)


@lru_cache(maxsize=1024)
def facts_in(message: str) -> tuple[str, ...]:
    """The facts that a message shows, each once."""
    return tuple(dict.fromkeys(part.name for part in placeholders(message) if part.name not in NAMES))


def fill(message: str, values: Mapping[str, tuple[Any, str]]) -> str:
    """The message with each placeholder replaced; ``values`` gives name → (value, unit)."""
    pieces, rest = _taken_apart(message)
    if not pieces:
        return rest
    filled = ""
    for text, name, form, written in pieces:
        filled += text
        if name in values:
            value, unit = values[name]
            filled += value if type(value) is str else show(value, form or unit)
        else:
            filled += written
    return filled + rest


def show(value: Any, unit: str) -> str:
    """A value for people, in a unit: 2 GiB, 80 %, 30s, 1.5."""
    if isinstance(value, Item):
        return value.text
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(show(item, unit) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={show(item, unit)}" for key, item in value.items()) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return FORMATS.get(unit, _plain)(value)
    return str(value)


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.6g}"


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


FORMATS: dict[str, Callable[[Any], str]] = {
    "bytes": format_bytes,
    "duration": lambda nanoseconds: format_duration(round(nanoseconds)),
    "percent": _percent,
    "ratio": _percent,
    "cpus": _plain,
    "list": _plain,
}
"""How numbers are printed, by format or unit."""
