"""The pages show what the commands print today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra_audit.cli.app import COMMANDS
from infra_audit.engine.documents import read_valid
from infra_audit.engine.policies import shipped
from infra_audit.source import Source
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


def test_the_pages_name_each_command_and_each_option_of_check() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "cli.md").read_text()
    assert all(f"`{name}" in text or f"infra-audit {name}" in text for name in COMMANDS)
    options = re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", infra_audit("check", "--help").out, re.M)
    assert options
    assert [option for option in options if option not in text and option not in ("--help", "--debug")] == []


@pytest.mark.parametrize("document", ["policy", "plan", "config"])
def test_the_documents_that_the_pages_show_are_accepted(document: str) -> None:
    page = {"policy": "policies.md", "plan": "plan.md", "config": "configuration.md"}[document]
    shown = re.search(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.M | re.S)
    assert shown is not None
    assert read_valid(document, Source(page, shown[1])).value


def test_the_policy_that_the_page_shows_does_what_it_says(tmp_path: Path) -> None:
    shown = re.search(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "policies.md").read_text(), re.M | re.S)
    assert shown is not None
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "own-registry.yaml").write_text(shown[1])
    (tmp_path / ".infra-audit.yaml").write_text("policies: [./policies]\n")
    for image, code in (("nginx:1.27", 1), ("registry.example.com/nginx:1.27", 0)):
        (tmp_path / "compose.yaml").write_text(f"services:\n  web:\n    image: {image}\n")
        assert infra_audit("check", "--policy", "own-registry", cwd=tmp_path).code == code


def test_every_policy_has_its_page_and_none_is_left_over() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "policies").glob("*.md")} - {"README"}
    assert pages == set(shipped().policies)
    index = (ROOT / "docs" / "policies" / "README.md").read_text()
    assert set(re.findall(r"\]\(([a-z0-9-]+)\.md\)", index)) == pages
