"""Numbers as Go prints and parses them."""

from __future__ import annotations

import math
import re
import struct

__all__ = ["as_text", "parse_float", "parse_integer", "shortest_float32"]

_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_EXPONENT_FROM = 6
"""Go writes 1e+06 and above with an exponent, and likewise what is below 0.0001."""


def as_text(value: str | int | float | bool | None) -> str:
    """A scalar as Go's %v prints it; None is ""."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    from decimal import Decimal  # few files hold a fraction that must be printed

    sign, digits, _ = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    exponent = Decimal(repr(value)).adjusted()
    if -5 < exponent < _EXPONENT_FROM or not value:
        return ("-" if sign else "") + format(Decimal(repr(abs(value))).normalize(), "f")
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{exponent:+03d}"


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
