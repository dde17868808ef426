"""Messages with placeholders: ``{subject}``, ``{value}``, ``{expected}``, ``{deployment}``, ``{any.fact}``.

Each may name a format: ``{service.memory_limit:bytes}``. Without one, a fact's own unit decides.
Anything else in braces, such as ``${VARIABLE}``, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra_audit.facts.registry import Item
from infra_audit.named import NamedTuple
from infra_audit.units import format_bytes, format_duration

__all__ = ["FORMATS", "NAMES", "Placeholder", "fill", "placeholders", "show"]

NAMES = frozenset(("subject", "value", "expected", "deployment"))
"""Placeholders that are no facts."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*)(?::([a-z]+))?\}")


class Placeholder(NamedTuple):
    """One placeholder of a message; ``format`` is "" for the fact's own unit."""

    name: str
    format: str


def placeholders(message: str) -> Iterator[Placeholder]:
    """The placeholders of a message that are names or facts."""
    for match in _PLACEHOLDER.finditer(message):
        name, form = match.groups()
        if name in NAMES or "." in name:
            yield Placeholder(name, form or "")


def fill(message: str, values: Mapping[str, tuple[Any, str]]) -> str:
    """The message with each placeholder replaced; ``values`` gives name → (value, unit)."""

    def replacement(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name not in values:
            return match[0]
        value, unit = values[name]
        return show(value, form or unit)

    return _PLACEHOLDER.sub(replacement, message)


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
