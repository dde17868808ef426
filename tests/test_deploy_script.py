"""The scripts of the project, and what the stack's deployment script does before it touches an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ROOT
from tests.fixtures import STACK
from tests.oracle import binary

SCRIPT = STACK / "deploy-infrastructure.sh"
Run = Callable[..., subprocess.CompletedProcess[str]]
SHELL = [SCRIPT, ROOT / "tests" / "provision.sh", ROOT / ".ci" / "run"]


@pytest.mark.parametrize("script", SHELL, ids=lambda script: script.name)
def test_shellcheck_accepts(script: Path) -> None:
    program = os.path.join(os.path.dirname(sys.executable), "shellcheck")
    done = subprocess.run([program, script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the script with the real Docker Compose behind the name ``docker``, and no engine behind that."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text(f'#!/bin/sh\nshift\nexec {binary()} "$@"\n')
    (programs / "docker").chmod(0o755)

    def go(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": "unix:///nonexistent"}
        command = ["bash", str(SCRIPT), *arguments]
        return subprocess.run(command, env=env | environment, capture_output=True, text=True, timeout=60)

    return go


def test_it_is_executable() -> None:
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize("arguments", [(), ("destroy",), ("deploy", "now")])
def test_a_wrong_call_says_how_it_is_called(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "deploy-infrastructure.sh rollback" in done.stderr


def test_an_unknown_environment_is_refused(run: Run) -> None:
    done = run("deploy", ENVIRONMENT="staging")
    assert done.returncode == 2
    assert "development or production, not staging" in done.stderr


def test_production_wants_its_environment_file(run: Run, tmp_path: Path) -> None:
    done = run("deploy", ENVIRONMENT="production", ENV_FILE=str(tmp_path / "none"))
    assert done.returncode == 2
    assert f"{tmp_path}/none cannot be read" in done.stderr


def test_the_empty_template_is_not_deployed(run: Run) -> None:
    done = run("deploy", ENVIRONMENT="production", ENV_FILE=".env.production")
    assert done.returncode == 2
    assert "is missing a value" in done.stderr
    assert "Docker Compose refuses the files" in done.stderr


def test_a_rollback_needs_an_earlier_release(run: Run, tmp_path: Path) -> None:
    done = run("rollback", STATE=str(tmp_path / "state"))
    assert done.returncode == 1
    assert "no earlier release is noted" in done.stderr


def test_it_names_services_that_exist() -> None:
    """A service that is renamed in the files would no longer be updated replica by replica."""
    text = SCRIPT.read_text()
    stateless = text.split("STATELESS=(", 1)[1].split(")", 1)[0].split()
    services = (STACK / "docker-compose.yml").read_text()
    assert all(f"\n  {name}:\n" in services for name in (*stateless, "postgres", "redis", "rabbitmq"))
