"""Which module registers which fact, read from the modules' texts.

The compiled policies hold this index, so that a run imports the modules of the facts that it asks for
and no others.
"""

from __future__ import annotations

import os
import re

from infra_audit.facts.registry import FOLDER, MODULES

__all__ = ["index"]

_REGISTERED = re.compile(r"^@fact\(\s*\"([^\"]+)\"", re.MULTILINE)


def index() -> dict[str, str]:
    """Name of a fact → the module that registers it."""
    found: dict[str, str] = {}
    for module in MODULES:
        with open(os.path.join(FOLDER, module.rpartition(".")[2] + ".py"), encoding="utf-8") as stream:
            found.update(dict.fromkeys(_REGISTERED.findall(stream.read()), module))
    return found
