"""Durations as Prometheus writes them: ``90s``, ``1h30m``, ``1d``. Source: prometheus.io/docs, "Time durations"."""

from __future__ import annotations

from infra_audit.patterns import Pattern

__all__ = ["seconds", "written"]

_DURATION = Pattern(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_SECONDS = (31_536_000, 604_800, 86_400, 3600, 60, 1, 0.001)
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def seconds(text: str) -> float | None:
    """A duration in seconds, or None where the text is none; "0" is one without a unit."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    return float(sum(int(number) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True) if number))


def written(duration: float) -> str:
    """Seconds as Prometheus writes them: 90 is 1m30s."""
    parts = []
    rest = round(duration * 1000)
    for unit, size in _UNITS:
        count, rest = divmod(rest, size * 1000)
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        parts.append(f"{rest}ms")
    return "".join(parts) or "0s"
