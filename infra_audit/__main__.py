"""The program: ``infra-audit``, and ``python -m infra_audit``."""

import gc
import os
from typing import NoReturn

__all__ = ["main"]

_COLLECT_AFTER = 1_000_000
"""Objects made between two garbage collections. A command that stays collects by itself after each look."""


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    # A run ends before its garbage matters: collect rarely, from the first import on, and leave
    # without taking everything apart again. Together that is a tenth of a small audit.
    gc.set_threshold(_COLLECT_AFTER)
    from infra_audit.cli.app import run

    os._exit(run())  # it has flushed what it wrote


if __name__ == "__main__":
    main()
