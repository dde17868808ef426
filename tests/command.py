"""Runs the command line as a user does: a process of its own, in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ROOT", "Ran", "environment", "infra_audit", "report_of"]

ROOT = Path(__file__).resolve().parent.parent


class Ran(NamedTuple):
    """What a run gave."""

    code: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """The environment of a run: nothing of the tester's own that would change an output."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return kept | {"PYTHONPATH": str(ROOT)} | changes


def infra_audit(*args: str | Path, cwd: Path | None = None, timeout: float = 60, **env: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "infra_audit", *map(str, args)],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    ran = Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
    assert "Traceback" not in ran.err, ran.err
    return ran


def report_of(*args: str | Path, cwd: Path | None = None) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON report of a check."""
    ran = infra_audit("check", "--format", "json", *args, cwd=cwd)
    return ran.code, json.loads(ran.out)
