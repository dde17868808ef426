"""Finds what ships with the package: the policies, the plans and the reference stack.

In a checkout they lie beside the package; in an installed wheel they are packaged below ``_data``.
"""

from __future__ import annotations

import os

from infra_audit.errors import UsageError

__all__ = ["folder", "is_packaged", "policies_folder", "stack_folder"]

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
