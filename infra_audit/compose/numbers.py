"""Numbers as Go prints and parses them."""

from __future__ import annotations

import math
import struct

__all__ = ["as_integer", "as_text", "parse_integer", "shortest_float32"]

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


_LOWEST = -(2**63)


def as_integer(value: int | float) -> int:
    """The number as Go makes a 64-bit integer of it: cut off, and the lowest where it does not fit."""
    fits = isinstance(value, int) or abs(value) < -_LOWEST  # false for NaN
    return int(value) if fits else _LOWEST


def parse_integer(text: str) -> int | None:
    digits = text[1:] if text.startswith(("+", "-")) else text
    return int(text) if digits.isdecimal() and digits.isascii() else None


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
