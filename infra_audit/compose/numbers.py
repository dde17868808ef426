"""Numbers as Go prints and parses them."""

from __future__ import annotations

import re
import struct

__all__ = ["as_text", "parse_float", "parse_integer", "shortest_float32"]

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_PLAIN_BELOW = 1e21


def as_text(value: str | int | float | bool | None) -> str:
    """A scalar as Go's %v prints it; None is ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _PLAIN_BELOW:
            return str(int(value))
        return repr(value).replace("inf", "+Inf").replace("-+", "-").replace("nan", "NaN")
    return str(value)


def parse_integer(text: str) -> int | None:
    return int(text) if _INTEGER.match(text) else None


def parse_float(text: str) -> float | None:
    return float(text) if _FLOAT.match(text) else None


def shortest_float32(value: float) -> float | int:
    """The number that Go prints for a 32-bit float: the fewest digits that name the same float."""
    if value == int(value):
        return int(value)
    (single,) = struct.unpack("f", struct.pack("f", value))
    for digits in range(1, 10):
        candidate = float(f"{single:.{digits}g}")
        if struct.unpack("f", struct.pack("f", candidate))[0] == single:
            return candidate
    return float(single)
