"""Writes a command's text: to a terminal, a pipe, or a file that is replaced in one step."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress

from infra_audit.errors import UsageError
from infra_audit.hints import did_you_mean
from infra_audit.named import NamedTuple
from infra_audit.reports import REPORTERS, Look
from infra_audit.source import display_path

__all__ = ["Destination", "destinations", "look_for", "write"]

_PIPE_WIDTH = 100


class Destination(NamedTuple):
    """A report that is wanted: its format, and the file that it goes to (None for stdout)."""

    format: str
    file: str | None = None


def destinations(form: str | None, outputs: Sequence[str]) -> list[Destination]:
    """The reports that `--format` and `-o [FORMAT=]FILE` ask for, what is printed first.

    Without a format, GitHub Actions gets annotations after the text. Raises UsageError for a format
    that does not exist, and for two reports in one file.
    """
    files = dict[str, str]()
    plain: list[str] = []
    for output in outputs:
        name, sign, file = output.partition("=")
        if not sign or "/" in name or "." in name:
            plain.append(output)
            continue
        if name not in REPORTERS:
            hint = did_you_mean(name, REPORTERS) or f"; there are {', '.join(REPORTERS)}"
            raise UsageError(f"no format is called {name}{hint} (a file of this name is ./{output})")
        if file in files:
            raise UsageError(f"two reports cannot both be written to {file or 'nowhere'}")
        files[file] = name
    if len(plain) > 1 or set(plain) & set(files):
        raise UsageError(f"the report goes to one file, not to {' and '.join(plain)}; -o FORMAT=FILE adds another")
    if "" in files or "" in plain:
        raise UsageError("-o needs the name of a file")
    printed = [Destination(form or "text", plain[0] if plain else None)]
    if form is None and os.environ.get("GITHUB_ACTIONS") == "true" and "-" not in files:
        printed.append(Destination("github"))
    return printed + [Destination(name, file) for file, name in files.items()]


def write(text: str, path: str | None = None) -> None:
    """Write the text to a file, or to stdout for None and "-"; raises UsageError where the file cannot be written."""
    if path is None or path == "-":
        stream = sys.stdout
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        stream.write(text)
        stream.flush()
        return
    try:
        _replace(os.path.realpath(path), text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror or error}", file=display_path(path)) from None


def _replace(path: str, data: bytes) -> None:
    """Write beside the file and rename, so that a reader sees the old text or the new one, never a half."""
    mode = None
    with suppress(FileNotFoundError):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            with open(path, "wb") as stream:  # a device or a pipe has nothing to replace
                stream.write(data)
            return
        mode = stat.S_IMODE(status.st_mode)
    import tempfile  # costs more than most runs need

    handle, beside = tempfile.mkstemp(prefix=".infra-audit-", dir=os.path.dirname(path))
    try:
        with open(handle, "wb") as stream:
            stream.write(data)
        os.chmod(beside, _default_mode() if mode is None else mode)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _default_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def look_for(path: str | None, color: bool | None, width: int | None) -> Look:
    """How a text is laid out for its destination.

    Colours: as asked by --color or --no-color; else NO_COLOR and FORCE_COLOR; else on a terminal only.
    """
    terminal = path in (None, "-") and sys.stdout.isatty()
    if color is None:
        if os.environ.get("NO_COLOR"):
            color = False
        elif os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
            color = True
        else:
            color = terminal and os.environ.get("TERM") != "dumb"
    if width is None:
        width = _PIPE_WIDTH
        if terminal:
            with suppress(OSError, ValueError):
                width = os.get_terminal_size(sys.stdout.fileno()).columns or _PIPE_WIDTH
    return Look(max(width, 40), color)
