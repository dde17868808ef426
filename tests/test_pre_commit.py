"""The hook, run by the real pre-commit: it clones this repository, installs it and checks what is staged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import ROOT

GOOD = "services:\n  web:\n    image: nginx:1.27.2\n"
BAD = GOOD + "    mem_limit: 1g\n    mem_reservation: 2g\n"


def run(folder: Path, *args: str, cache: Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"PRE_COMMIT_HOME": str(cache), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_COUNT": "1"}
    env |= {"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    return subprocess.run(args, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pre-commit")


def test_the_hook_judges_the_deployments_of_staged_files(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "infra-audit"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):  # as it is in the work tree: the hook of this change is tested
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    commit = ("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "all")
    for args in (("git", "init", "-q"), ("git", "add", "-A", "-f"), commit):
        assert run(source, *args, cache=cache).returncode == 0
    revision = run(source, "git", "rev-parse", "HEAD", cache=cache).stdout.strip()

    user = tmp_path / "user"
    (user / "deploy").mkdir(parents=True)
    (user / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {source}\n    rev: {revision}\n    hooks:\n      - id: infra-audit\n"
    )
    (user / "deploy" / "compose.yaml").write_text(BAD)
    (user / "notes.yaml").write_text("not: compose\n")
    run(user, "git", "init", "-q", cache=cache)
    run(user, "git", "add", "-A", cache=cache)
    bad = run(user, "pre-commit", "run", cache=cache)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "deploy/compose.yaml:5:22: error: web: " in bad.stdout
    assert "[reservation-above-limit]" in bad.stdout

    (user / "deploy" / "compose.yaml").write_text(GOOD)
    run(user, "git", "add", "-A", cache=cache)
    good = run(user, "pre-commit", "run", cache=cache)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "Passed" in good.stdout

    (user / "notes.yaml").write_text("not: compose at all\n")
    run(user, "git", "rm", "-q", "-f", "--cached", "deploy/compose.yaml", cache=cache)
    skipped = run(user, "pre-commit", "run", cache=cache)
    assert "no files to check" in skipped.stdout
