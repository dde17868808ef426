"""The one place that turns exceptions into a message and an exit code.

Exit codes: 0 clean; 1 findings at or above ``--fail-on``; 2 the job was not wholly done; 130 after
Ctrl-C; 141 when the reader of a pipe went away, as for any other program.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from infra_audit.errors import InfraAuditError

__all__ = ["NOT_DONE", "Leave", "PipeClosed", "Settings", "door", "tell"]

NOT_DONE = 2
_INTERRUPTED = 130
_PIPE_CLOSED = 141


class PipeClosed(Exception):
    """The reader of our output went away. A BrokenPipeError would become exit code 1 in click's hands."""


class Leave(Exception):
    """The run ends here, with this exit code; what there was to say is said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Settings:
    """What holds for the whole run; ``--debug`` sets it."""

    __slots__ = ("debug",)

    def __init__(self) -> None:
        self.debug = False


@contextmanager
def door(settings: Settings) -> Iterator[None]:
    """Raise Leave with exit code 2, after one line on stderr, when the body raises; never a traceback."""
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        raise Leave(_INTERRUPTED) from None
    except (PipeClosed, BrokenPipeError):
        _drop_output()
        raise Leave(_PIPE_CLOSED) from None
    except Exception as error:
        if settings.debug:
            import traceback

            traceback.print_exc()
        tell(_message(error))
        raise Leave(NOT_DONE) from None


def tell(message: str) -> None:
    """Write one line to stderr: nothing a terminal would act on, no credentials."""
    from infra_audit.reports.terminal import printable
    from infra_audit.secrets import mask

    with suppress(OSError, ValueError):
        sys.stderr.write(f"infra-audit: {printable(mask(message))}\n")
        sys.stderr.flush()


def _message(error: Exception) -> str:
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "infra-audit"
            return f"{' '.join(error.format_message().split())} (see {command} --help)"
        case click.ClickException():
            return " ".join(error.format_message().split())
        case InfraAuditError():
            return str(error)
        case MemoryError():
            return "out of memory"
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return f"{place}{error.strerror or type(error).__name__}"
        case _:
            return f"internal error: {type(error).__name__}: {error}; --debug shows where"


def _drop_output() -> None:
    """Point stdout to nowhere, so that the interpreter's last flush does not complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
