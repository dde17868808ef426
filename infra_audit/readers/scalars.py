"""YAML scalars as Docker Compose reads them: YAML 1.2 with what is left of 1.1.

Compose reads with go-yaml, so integers may be hexadecimal (0x1F), octal (0755, 0o755), binary
(0b11) and grouped (1_000); `yes`, `no`, `on` and `off` are strings; a date is a date.
Source: the resolver of go.yaml.in/yaml, and its answers through `docker compose config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from infra_audit.patterns import Pattern
from infra_audit.tree import Scalar
from infra_audit.units import parse_float

__all__ = ["Timestamp", "as_rfc3339", "resolve_plain"]

_WORDS: Mapping[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".nan": float("nan"),
    ".NaN": float("nan"),
    ".NAN": float("nan"),
} | {sign + word: float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}

_DIGITS = "0123456789"
_FIRST = frozenset("+-." + _DIGITS)
_AFTER_SIGN = frozenset("._" + _DIGITS)
_LAST = frozenset("._Z" + _DIGITS + "abcdefABCDEF")
"""What numbers and dates begin and end with: not 512M, 30s and -f, of which Compose files are full."""
_INTEGER = Pattern(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))\Z")
_TIMESTAMP = Pattern(
    r"[0-9]{4}-(?:0?[1-9]|1[0-2])-(?:0?[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]*)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)
_INTEGER_BITS = 64
_SURELY_SMALL = 18
"""Numbers with fewer digits have fewer bits."""
_INFINITY = float("inf")


class Timestamp(str):
    """An unquoted date: text that no typed place in a Compose file accepts."""

    __slots__ = ()


def as_rfc3339(timestamp: Timestamp) -> str:
    """A date as Go prints it in JSON."""
    if len(timestamp) <= _DATE_LENGTH:
        year, month, day = timestamp.split("-")
        return f"{year}-{month:0>2}-{day:0>2}T00:00:00Z"
    return str(timestamp)


_DATE_LENGTH = len("2024-01-01")


@lru_cache(maxsize=4096)
def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted, untagged scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST or text[-1] not in _LAST or (text[0] in "+-" and text[1:2] not in _AFTER_SIGN):
        return text
    if text.isdecimal() and text.isascii() and len(text) < _SURELY_SMALL and (text[0] != "0" or text == "0"):
        return int(text)
    if text[4:5] == "-" and _TIMESTAMP.match(text):
        return Timestamp(text)
    digits = text.replace("_", "")
    match = None if "." in digits else _INTEGER.match(digits)
    if match:
        sign, hexadecimal, octal, binary, decimal = match.groups()
        for group, base in ((hexadecimal, 16), (octal, 8), (binary, 2), (decimal, 10)):
            if group is not None:
                number = int(group, base)
                if number < 2**_INTEGER_BITS:
                    return -number if sign == "-" else number
    fraction = parse_float(digits)
    return text if fraction is None or abs(fraction) == _INFINITY else fraction  # too large a number stays text
