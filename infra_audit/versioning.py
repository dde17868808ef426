"""What git says about a file, without git: is it under version control, and is it ignored on purpose.

The index is searched as bytes and not parsed: a name is found in microseconds also in a repository of
a hundred thousand files. Format: git-scm.com/docs/index-format.
"""

from __future__ import annotations

import os
import struct
from fnmatch import fnmatchcase

__all__ = ["Versions"]

_LONG_NAME = 0xFFF
_COMPRESSED = 4
"""The index version that shortens names by what they share with the one before."""


class Versions:
    """Reads each index and each .gitignore once."""

    def __init__(self) -> None:
        self._indexes: dict[str, bytes | None] = {}
        self._ignored: dict[str, tuple[str, ...]] = {}

    def is_tracked(self, path: str) -> bool | None:
        """True for a file under version control; None where there is no repository or its index cannot be read."""
        location = os.path.realpath(path)
        top = _repository(os.path.dirname(location))
        index = self._index(top) if top else None
        if top is None or index is None:
            return None
        name = os.path.relpath(location, top).replace(os.sep, "/").encode()
        at = index.find(name + b"\0")
        while at >= 0:
            (flags,) = struct.unpack_from(">H", index, at - 2)
            if flags & _LONG_NAME == min(len(name), _LONG_NAME):
                return True
            at = index.find(name + b"\0", at + 1)
        return False

    def _index(self, top: str) -> bytes | None:
        if top not in self._indexes:
            self._indexes[top] = _read_index(top)
        return self._indexes[top]

    def is_ignored(self, path: str) -> bool:
        """True where a .gitignore between the file and the top of its repository names it, or a folder above it."""
        location = os.path.abspath(path)
        top = _repository(os.path.dirname(location))
        if top is None:
            return False
        parts = os.path.relpath(location, top).split(os.sep)
        ignored = False
        for depth in range(len(parts)):
            for pattern in self._patterns(os.path.join(top, *parts[:depth])):
                inside = parts[depth:]
                for length in range(1, len(inside) + 1):
                    if _fits(pattern, inside[:length], is_folder=length < len(inside)):
                        ignored = not pattern.startswith("!")
                        break
        return ignored

    def _patterns(self, folder: str) -> tuple[str, ...]:
        if folder not in self._ignored:
            self._ignored[folder] = _read_patterns(folder)
        return self._ignored[folder]


def _repository(folder: str) -> str | None:
    """The top of the working tree that a folder lies in."""
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return folder


def _read_index(top: str) -> bytes | None:
    """The bytes of a repository's index; a worktree's ``.git`` is a file that names its own folder."""
    folder = os.path.join(top, ".git")
    try:
        if os.path.isfile(folder):
            with open(folder, encoding="utf-8") as stream:
                folder = os.path.join(top, stream.read().removeprefix("gitdir:").strip())
        with open(os.path.join(folder, "index"), "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        return b"" if os.path.isdir(folder) else None  # nothing was added yet
    except (OSError, UnicodeDecodeError):
        return None
    readable = data[:4] == b"DIRC" and len(data) >= 12 and struct.unpack_from(">I", data, 4)[0] < _COMPRESSED
    return data if readable else None


def _read_patterns(folder: str) -> tuple[str, ...]:
    try:
        with open(os.path.join(folder, ".gitignore"), encoding="utf-8", errors="replace") as stream:
            lines = [line.rstrip("\n").rstrip() for line in stream]
    except OSError:
        return ()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _fits(pattern: str, parts: list[str], *, is_folder: bool) -> bool:
    """True where a pattern of a .gitignore names the path whose parts, below that file's folder, are given."""
    text = pattern.removeprefix("!")
    if text.endswith("/"):
        if not is_folder:
            return False
        text = text.rstrip("/")
    if "/" not in text:
        return fnmatchcase(parts[-1], text)
    wanted = text.strip("/").split("/")
    return _fits_parts(wanted, parts)


def _fits_parts(wanted: list[str], parts: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return any(_fits_parts(wanted[1:], parts[skip:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _fits_parts(wanted[1:], parts[1:])
