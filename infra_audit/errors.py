"""The exceptions of infra-audit. Nothing else may be raised on purpose.

    InfraAuditError
    ├── UsageError        the command line or a parameter is wrong
    ├── ConfigError       a policy, plan or .infra-audit.yaml document is wrong (has a place)
    ├── ReadError         a file cannot be read or parsed (has a place)
    │   └── LeftOut       a file of a folder is no deployment: told, and no failure
    ├── EngineError       a Docker engine cannot be asked, or did not answer in time
    └── Undecidable       a fact cannot be known from what was read; becomes a gap, never a pass

Only ``infra_audit.cli.door`` turns them into messages and exit codes.
"""

from __future__ import annotations

__all__ = ["ConfigError", "EngineError", "InfraAuditError", "LeftOut", "ReadError", "Undecidable", "UsageError"]


class InfraAuditError(Exception):
    """Base of all errors that are shown to the user as one line.

    ``file`` is a path as the user would type it; ``line`` and ``column`` count from 1 and are
    0 when the error has no place in a file.
    """

    def __init__(self, message: str, *, file: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        if not self.file:
            return self.message
        if not self.line:
            return f"{self.file}: {self.message}"
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class UsageError(InfraAuditError):
    """A wrong option, argument or name on the command line."""


class ConfigError(InfraAuditError):
    """A policy, plan or configuration document that does not say what it must."""


class ReadError(InfraAuditError):
    """A file that cannot be read or parsed."""


class LeftOut(ReadError):
    """A file of a folder that is no deployment: a template, or a fragment that nothing completes."""


class EngineError(InfraAuditError):
    """A Docker engine that is not there, refuses, or does not answer in time."""


class Undecidable(InfraAuditError):
    """A fact that the files (or the engine) do not decide; the message says why."""
