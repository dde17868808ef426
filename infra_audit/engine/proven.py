"""Configurations that were found valid before.

Checking a configuration costs 0.15 s, most of it for starting pydantic, which is a third of a small
audit. A text that was valid stays so for as long as the schemas are the same: it is remembered, whole,
in the user's cache folder, one file for each configuration.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress

from infra_audit import __version__
from infra_audit.resources import cache_folder, keep
from infra_audit.source import Source

__all__ = ["is_proven", "prove"]

_SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas.py")


def is_proven(source: Source) -> bool:
    """True for the very text that was valid before."""
    with suppress(OSError, ValueError), open(_memory(source), encoding="utf-8", newline="") as stream:
        return stream.read() == _memorable(source)
    return False


def prove(source: Source) -> None:
    """Remembers that a text is valid; where nothing can be written, nothing is remembered."""
    with suppress(OSError):
        keep(_memory(source), _memorable(source))


def _memory(source: Source) -> str:
    name = f"{zlib.crc32(source.location.encode('utf-8', 'surrogateescape')):08x}"
    return os.path.join(cache_folder(), "configurations", name)


def _memorable(source: Source) -> str:
    status = os.stat(_SCHEMAS)
    return f"{__version__} {status.st_size} {status.st_mtime_ns} {source.location}\n{source.text}"
