"""A running project seen more than once: whether it is ready, and what changed since the last look."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

from infra_audit.finding import Finding, Report
from infra_audit.live.store import Snapshot
from infra_audit.named import NamedTuple

__all__ = ["Changes", "Progress", "changes", "progress", "rest"]


class Progress(NamedTuple):
    """How many containers run and are healthy (or have no health check), of how many; ``waiting``: the others."""

    ready: int
    total: int
    waiting: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.waiting[:3]) + (f" and {len(self.waiting) - 3} more" if len(self.waiting) > 3 else "")
        return f"{self.ready} of {self.total} containers are ready" + (f"; not yet: {shown}" if shown else "")


def progress(snapshot: Snapshot | None) -> Progress:
    """Where a project stands on its way up."""
    containers = [] if snapshot is None else snapshot.data["containers"]
    waiting = [str(one.get("Name", "")).lstrip("/") for one in containers if not _is_ready(one)]
    return Progress(len(containers) - len(waiting), len(containers), tuple(waiting))


def _is_ready(container: Mapping[str, Any]) -> bool:
    state = container.get("State") or {}
    if state.get("Status") == "exited":  # a job that is done; one that should run is a finding
        return state.get("ExitCode") == 0
    health = (state.get("Health") or {}).get("Status", "none")
    return state.get("Status") == "running" and health in ("healthy", "none", "")


class Changes(NamedTuple):
    """Findings that came and that went between two looks."""

    came: list[Finding]
    went: list[Finding]


def changes(before: Report | None, after: Report) -> Changes:
    """What is different in the second of two reports; everything is new in the first."""
    old = {} if before is None else _by_key(before)
    new = _by_key(after)
    return Changes(
        [one for key, one in new.items() if key not in old], [one for key, one in old.items() if key not in new]
    )


def _by_key(report: Report) -> dict[tuple[str, ...], Finding]:
    return {(one.policy, one.deployment, *one.subject, one.fingerprint): one for one in report.active()}


def rest(seconds: float) -> None:
    """Waits for the next look, without the memory that the last one took. Raises KeyboardInterrupt."""
    interrupted = []
    in_main = threading.current_thread() is threading.main_thread()
    # What is raised inside a finalizer is lost, and the collection runs many: an interrupt is kept until after it.
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True)) if in_main else None
    gc.collect()
    if in_main:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    if interrupted:
        raise KeyboardInterrupt
    time.sleep(seconds)
