"""Finds what ships with the package, the policies, the plans and the reference stack, and keeps what it works out.

In a checkout they lie beside the package; in an installed wheel they are packaged below ``_data``.
"""

from __future__ import annotations

import os
from contextlib import suppress

from infra_audit.errors import UsageError

__all__ = ["cache_folder", "folder", "is_packaged", "keep", "policies_folder", "stack_folder"]

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def folder(name: str) -> str:
    """The absolute path of a shipped folder ("policies", "stack"); raises UsageError where it is not there."""
    for parent in (os.path.join(_PACKAGE, "_data"), os.path.dirname(_PACKAGE)):
        path = os.path.join(parent, name)
        if os.path.isdir(path):
            return path
    raise UsageError(f"the installation is incomplete: the folder {name} is missing")


def policies_folder() -> str:
    return folder("policies")


def stack_folder() -> str:
    return folder("stack")


def is_packaged(path: str) -> bool:
    """True for a path in an installed wheel, where files do not change."""
    return path.startswith(os.path.join(_PACKAGE, "_data") + os.sep)


def cache_folder() -> str:
    """The folder for what a user's runs remember; it may not be there yet."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "infra-audit")


def keep(path: str, text: str) -> bool:
    """Writes a file in one step, so that two runs at once do not meet; False where it cannot be written."""
    partial = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(partial, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        os.replace(partial, path)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.unlink(partial)
        return False
    return True
