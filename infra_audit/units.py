"""Sizes, fractions and durations as Compose writes them, and the shell's way to split words.

Sources: github.com/docker/go-units (sizes), Go's time.ParseDuration, POSIX shell quoting.
"""

from __future__ import annotations

from functools import lru_cache

from infra_audit.patterns import Pattern

__all__ = [
    "exact_bytes",
    "format_bytes",
    "format_duration",
    "parse_bytes",
    "parse_duration",
    "parse_float",
    "split_words",
]

_SIZE = Pattern(r"([0-9.eE+_-]*[0-9.]) ?([kmgtpKMGTP]?)([iI]?[bB])?")
_TOO_LARGE = float("inf")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


@lru_cache(maxsize=4096)
def parse_bytes(text: str) -> int | None:
    """A size in bytes, or None where the text is none. All suffixes are binary: 1kb = 1k = 1KiB = 1024."""
    if _is_plain(text) and text[-1].lower() in _POWERS:
        return int(text[:-1]) << 10 * _POWERS[text[-1].lower()]
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    number, suffix, tail = match.groups()
    if tail and tail.lower() == "ib" and not suffix:
        return None
    size = parse_float(number)
    return None if size is None or size < 0 or size == _TOO_LARGE else int(size * 1024 ** _POWERS[suffix.lower()])


def _is_plain(text: str) -> bool:
    """True for a few digits and a letter, such as 512M and 30s: what nearly every file has."""
    return 1 < len(text) < _EXACT and text.isascii() and text[:-1].isdecimal()


_EXACT = 15
"""Numbers of fewer digits have no rounding."""


def format_bytes(size: float) -> str:
    """A size for people: 2 GiB, 1.5 GiB, 512 MiB, 300 B."""
    for suffix, power in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        unit = 1024**power
        if abs(size) >= unit:
            return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {suffix}"
    return f"{size:g} B"


_DURATION_PART = Pattern(r"([0-9]+\.?[0-9]*|\.[0-9]+)([a-zµμ]+)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 604_800 * 10**9,
}
_LONGEST = 2**63
"""About 292 years: more nanoseconds than Go has numbers for, it refuses."""

_WRITTEN = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def exact_bytes(number: float) -> str | int:
    """A size as people write it, exactly: 6GiB, 1.5GiB, 300KiB, else the bytes."""
    whole = int(number)
    for unit, factor in _WRITTEN:
        if whole >= factor and whole * 4 % factor == 0:
            units, quarters = divmod(whole * 4 // factor, 4)
            return f"{units}{('', '.25', '.5', '.75')[quarters]}{unit}"
    return whole


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> int | None:
    """A duration in nanoseconds, or None where the text is none; a unit is required, "0" apart."""
    text = text.strip()
    if _is_plain(text) and text[-1] in _NANOSECONDS:
        nanoseconds = int(text[:-1]) * _NANOSECONDS[text[-1]]
        return nanoseconds if nanoseconds <= _LONGEST else None
    sign = 1
    if text[:1] in "+-" and text:
        sign = -1 if text[0] == "-" else 1
        text = text[1:]
    if text == "0":
        return 0
    total = 0.0
    at = 0
    while at < len(text):
        match = _DURATION_PART.match(text, at)
        if match is None or match[2] not in _NANOSECONDS:
            return None
        total += float(match[1]) * _NANOSECONDS[match[2]]
        at = match.end()
    return sign * round(total) if at and total <= _LONGEST else None


def parse_float(text: str) -> float | None:
    """A fraction in decimal digits, which may be grouped (1_000.5)."""
    if not text.isascii() or text[:1].isspace() or text[-1:] not in _LAST_OF_FRACTION:
        return None  # Python alone would read it, such as " 1", "1 ", "nan" and "inf"
    try:
        return float(text)
    except ValueError:
        return None


_LAST_OF_FRACTION = frozenset("0123456789.")


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: 1m30s, 1h0m0s, 1.5s, 500ms, 0s."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < 10**9:
        for suffix, unit in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if rest >= unit:
                return f"{sign}{_decimal(rest, unit)}{suffix}"
    minutes, rest = divmod(rest, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{len(str(unit)) - 1}d}".rstrip("0")


def split_words(text: str) -> list[str]:
    """Words of a command line as a POSIX shell splits them; raises ValueError on an open quote."""
    import shlex

    return shlex.split(text, posix=True)
