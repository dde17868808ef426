"""The pages show what the commands print today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra_audit.cli.app import COMMANDS
from tests.command import ROOT, infra_audit

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_every_shown_output_is_what_the_command_prints() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_each_command_and_each_option_of_check() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"`{name}" in text or f"infra-audit {name}" in text for name in COMMANDS)
    options = re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", infra_audit("check", "--help").out, re.M)
    assert options
    assert [option for option in options if option not in text and option not in ("--help", "--debug")] == []
