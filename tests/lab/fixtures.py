"""One lab for all tests that need it: the tests of one worker, started once and ended whatever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Ran, environment
from tests.lab.engine import Engine, why_no_engine
from tests.lab.rootfs import missing_packages
from tests.lab.stack import FILES, SECRETS, Stack

__all__ = ["APPLICATION", "Lab", "active", "extra", "lab", "why_no_lab"]

APPLICATION = "registry.example.com/tracklists/rest-api:1.0.0"
"""An image of the stack, which starts what its container is told."""


def why_no_lab() -> str:
    """Why the lab cannot run here; "" where it can."""
    missing = missing_packages()
    return why_no_engine() or (f"not installed: {', '.join(missing)}" if missing else "")


class Lab:
    """The stack on its engine, and our command beside it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stack = Stack(engine)
        self.stack.load_images()
        self.stack.up()

    def run_without_rights(self, *args: str | Path) -> Ran:
        """Runs infra-audit as a user that the file system's permissions bind."""
        return self.run(*args, before=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))

    def run(self, *args: str | Path, timeout: float = 120, before: tuple[str, ...] = (), **env: str) -> Ran:
        """Runs infra-audit on the engine's host, in the stack's folder."""
        command = self.engine.inside(*before, sys.executable, "-m", "infra_audit", *args, cwd=self.stack.folder)
        done = subprocess.run(
            command,
            env=environment(**({"DOCKER_HOST": self.engine.host, "DOCKER_CONFIG": str(self.engine.folder)} | env)),
            capture_output=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        ran = Ran(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
        assert "Traceback" not in ran.err, ran.err
        for secret in SECRETS.values():
            assert secret not in ran.out + ran.err, "a secret is printed"
        return ran

    def report(self, command: str, *args: str | Path) -> dict[str, Any]:
        """The JSON report of ``check`` on the stack's files or of ``live``."""
        ran = self.run(command, "--format", "json", *args)
        assert ran.out, ran.err
        report: dict[str, Any] = json.loads(ran.out)
        return report

    def check(self, *args: str | Path) -> dict[str, Any]:
        return self.report(
            "check", *(part for file in FILES for part in ("-f", file)), "--env-file", ".env.production", *args
        )

    def live(self, *args: str | Path) -> dict[str, Any]:
        return self.report("live", *args)

    def findings(self, *args: str | Path) -> set[tuple[str, str]]:
        """(policy, subject) of all active findings of ``live``."""
        return active(self.live(*args))

    def docker(self, *args: str) -> str:
        return self.engine.docker(*args).stdout.decode("utf-8", "replace").strip()

    def inside(self, *args: str) -> None:
        """Runs a command on the engine's host."""
        subprocess.run(self.engine.inside(*args, cwd=self.stack.folder), check=True, capture_output=True, timeout=60)


def active(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(one["policy"], one["subject"]["name"]) for one in report["findings"] if one["suppressed"] is None}


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    why = why_no_lab()
    if why:
        pytest.skip(why)
    with Engine() as engine:
        yield Lab(engine)


@pytest.fixture
def extra(lab: Lab) -> Iterator[Callable[..., str]]:
    """Runs a further container of the project and gives its name; it is removed afterwards."""
    made: list[str] = []

    def run(
        name: str, service: str, *options: str, image: str = APPLICATION, command: tuple[str, ...] = ("app",)
    ) -> str:
        made.append(f"{lab.stack.name}-{name}")
        labels = (f"project={lab.stack.name}", f"service={service}", "oneoff=False", "container-number=9")
        lab.docker(
            "run",
            "--detach",
            f"--name={made[-1]}",
            *(f"--label=com.docker.compose.{label}" for label in labels),
            *options,
            image,
            *command,
        )
        return made[-1]

    yield run
    for name in made:
        lab.docker("rm", "--force", "--volumes", name)
