"""The wheel brings the policies and the reference stack, and finds them far from any checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command import ROOT, environment


def run(command: Sequence[str | Path], cwd: Path, **env: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(**env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that an installed wheel lies in."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], folder)
    [wheel] = folder.glob("*.whl")
    run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], folder)
    return folder / "site"


def test_an_installed_wheel_finds_its_policies_and_the_stack(installed: Path, tmp_path: Path) -> None:
    tool = [sys.executable, "-m", "infra_audit"]
    listed = json.loads(run([*tool, "policies", "--format", "json"], tmp_path, PYTHONPATH=str(installed)))
    shipped = {path.stem for path in (ROOT / "policies").glob("*/*/*.yaml")}
    assert {policy["id"] for policy in listed["policies"]} == shipped
    assert "Gives a finding" in run([*tool, "explain", "memory-limit"], tmp_path, PYTHONPATH=str(installed))
    stack = installed / "infra_audit" / "_data" / "stack"
    ours = {str(path.relative_to(ROOT / "stack")) for path in (ROOT / "stack").rglob("*") if path.is_file()}
    assert {str(path.relative_to(stack)) for path in stack.rglob("*") if path.is_file()} == ours - {".env"}
    report = json.loads(run([*tool, "check", "--format", "json", str(stack)], tmp_path, PYTHONPATH=str(installed)))
    assert report["summary"]["error"] == report["summary"]["warning"] == 0


def test_the_compiled_policies_are_built_in(installed: Path) -> None:
    compiled = installed / "infra_audit" / "_data" / "policies" / "compiled.json"
    assert json.loads(compiled.read_text())["policies"]
    assert not os.path.exists(installed / "infra_audit" / "_data" / "policies" / ".cache")
