"""What is under version control, and what is ignored, as git itself says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra_audit.versioning import Versions

IGNORE = """\
# comment
*.key
/build
logs/
certs/*.pem
!certs/public.pem
**/cache/*.bin
docs/**/draft.md
"""
NAMES = (
    "a.key",
    "deep/b.key",
    "build/x",
    "sub/build/x",
    "logs/today.log",
    "sub/logs/today.log",
    "certs/private.pem",
    "certs/public.pem",
    "other/certs/private.pem",
    "x/cache/a.bin",
    "docs/a/b/draft.md",
    "docs/draft.md",
    "plain.txt",
    "sub/kept.txt",
    "sub/left.txt",
)


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(IGNORE)
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "sub" / ".gitignore").write_text("left.txt\n")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_ignored_where_git_ignores_it(repository: Path, name: str) -> None:
    assert Versions().is_ignored(str(repository / name)) is (
        git(repository, "check-ignore", "-q", name).returncode == 0
    )


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_file_is_tracked_where_git_lists_it(repository: Path, version: str) -> None:
    assert not any(Versions().is_tracked(str(repository / name)) for name in NAMES)
    git(repository, "add", "plain.txt", "sub/kept.txt")
    git(repository, "update-index", f"--index-version={version}")
    assert set(git(repository, "ls-files").stdout.split()) == {"plain.txt", "sub/kept.txt"}
    assert {name for name in NAMES if Versions().is_tracked(str(repository / name))} == {"plain.txt", "sub/kept.txt"}
    assert Versions().is_tracked(str(repository / "ept.txt")) is False


def test_what_is_not_known_is_none(tmp_path: Path) -> None:
    assert Versions().is_tracked(str(tmp_path / "file")) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_bytes(b"DIRC\0\0\0\4\0\0\0\0")
    assert Versions().is_tracked(str(tmp_path / "file")) is None
