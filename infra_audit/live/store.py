"""A snapshot, and its form in a file: one JSON document that holds all that an audit needs, without secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from infra_audit.deployment import Files
from infra_audit.errors import ReadError
from infra_audit.live.masking import Masker

__all__ = ["FORMAT", "Snapshot", "dump", "load"]

FORMAT = 1
_PARTS = {"engine": dict, "containers": list, "networks": list, "volumes": list, "images": dict, "probes": dict}


@dataclass(slots=True)
class Snapshot:
    """What an engine said, masked. ``masker`` is None for one that was loaded: its tokens cannot be made again."""

    data: dict[str, Any]
    masker: Masker | None = None

    @property
    def host(self) -> str:
        return str(self.data.get("host", ""))

    @property
    def is_local(self) -> bool:
        """True where the engine's host is this machine, so that its files can be read."""
        return self.masker is not None and self.host.startswith(("unix:", "npipe:"))


def dump(snapshot: Snapshot) -> str:
    """The snapshot as text."""
    return json.dumps(snapshot.data, ensure_ascii=False, indent=1) + "\n"


def load(path: str) -> Snapshot:
    """A snapshot from a file; raises ReadError where it is none."""
    source = Files().read(path)
    try:
        data = json.loads(source.text)
    except (ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        raise ReadError("is no JSON", file=source.path, line=line, column=column) from None
    if not isinstance(data, dict) or data.get("snapshot") != FORMAT:
        raise ReadError(f"is no snapshot of format {FORMAT}", file=source.path, line=1, column=1)
    for key, kind in _PARTS.items():
        if not isinstance(data.get(key), kind):
            raise ReadError(f"is no snapshot: {key} is missing", file=source.path, line=1, column=1)
    return Snapshot(data)
