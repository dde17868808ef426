"""``infra-audit stack``: what it writes is the reference stack, judged as the original is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.command import ROOT, infra_audit

STACK = ROOT / "stack"


def test_the_written_stack_is_the_reference_stack(tmp_path: Path) -> None:
    ran = infra_audit("stack", "mine", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    written = {path.relative_to(tmp_path / "mine"): path for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    for name, path in written.items():
        assert path.read_bytes() == (STACK / name).read_bytes()
        assert os.access(path, os.X_OK) == os.access(STACK / name, os.X_OK)
    assert ran.out.startswith(f"wrote {len(written)} files to mine")
    here, there = (
        json.loads(infra_audit("check", "--format", "json", folder, cwd=folder.parent).out)
        for folder in (tmp_path / "mine", STACK)
    )
    assert [one["fingerprint"] for one in here["findings"]] == [one["fingerprint"] for one in there["findings"]]
    assert here["summary"] == there["summary"]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text("mine\n")
    ran = infra_audit("stack", ".", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "infra-audit: docker-compose.yml: is there already (1 file); --force overwrites\n"
    assert [path.name for path in tmp_path.iterdir()] == ["docker-compose.yml"]
    assert infra_audit("stack", ".", "--force", cwd=tmp_path).code == 0
    assert (tmp_path / "docker-compose.yml").read_text() != "mine\n"


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = infra_audit("stack", "file/below", cwd=tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "cannot be written: Not a directory" in ran.err
