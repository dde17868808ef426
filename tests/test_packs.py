"""Policies and facts that others ship: a folder, an installed package, a plugin found by its entry point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.command import ROOT, Ran, infra_audit

POLICY = """\
id: acme-team
title: A service names its team
severity: error
subject: service
require: {fact: acme.team, exists: true}
message: "{subject}: nobody answers for it"
"""
COMPOSE = "services:\n  web:\n    image: x:1\n  api:\n    image: x:1\n    labels: {com.example.team: shop}\n"


def shown_plugin() -> str:
    """The module that the page shows."""
    shown = re.search(r"^```python\n(.*?)^```$", (ROOT / "docs" / "policies.md").read_text(), re.M | re.S)
    assert shown is not None
    return shown[1]


def installed(folder: Path, plugin: str) -> Path:
    """A folder as pip leaves it: a plugin with its entry point, and a package with policies."""
    site = folder / "site"
    info = site / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[infra_audit.facts]\nacme = acme_facts\n")
    (site / "acme_facts.py").write_text(plugin)
    (site / "acme_policies" / "teams").mkdir(parents=True)
    (site / "acme_policies" / "__init__.py").write_text('raise RuntimeError("nobody runs a pack")\n')
    (site / "acme_policies" / "teams" / "acme-team.yaml").write_text(POLICY)
    (folder / "compose.yaml").write_text(COMPOSE)
    return site


def run(folder: Path, site: Path, *args: str) -> Ran:
    return infra_audit(*args, cwd=folder, PYTHONPATH=f"{ROOT}:{site}")


def test_a_package_brings_policies_and_a_plugin_its_facts(tmp_path: Path) -> None:
    site = installed(tmp_path, shown_plugin())
    (tmp_path / ".infra-audit.yaml").write_text("policies: ['package:acme_policies']\n")
    ran = run(tmp_path, site, "check", "--policy", "acme-team")
    assert "compose.yaml:2:3: error: web: nobody answers for it [acme-team]" in ran.out
    assert ran.out.count("[acme-team]") == 1
    listed = run(tmp_path, site, "policies").out
    assert "acme_policies/teams\n  acme-team " in listed
    assert "acme.team = shop" in run(tmp_path, site, "facts", "api").out
    assert "compose.yaml:6:32" in run(tmp_path, site, "facts", "api").out


def test_without_policies_of_ones_own_no_plugin_is_loaded(tmp_path: Path) -> None:
    site = installed(tmp_path, "raise RuntimeError('loaded')\n")
    assert run(tmp_path, site, "check", "--fail-on", "never").code == 0


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("import no_such_module\n", "the plugin acme (acme_facts) cannot be loaded: No module named 'no_such_module'"),
        (shown_plugin().replace("acme.team", "service.image"), "fact service.image is defined twice"),
    ],
)
def test_a_broken_plugin_is_one_clear_line(tmp_path: Path, plugin: str, message: str) -> None:
    site = installed(tmp_path, plugin)
    (tmp_path / ".infra-audit.yaml").write_text("policies: ['package:acme_policies']\n")
    ran = run(tmp_path, site, "check")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err


def test_a_package_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / ".infra-audit.yaml").write_text("policies:\n  - package:nowhere_policies\n")
    ran = infra_audit("check", cwd=tmp_path)
    assert (ran.code, ran.err) == (
        2,
        "infra-audit: .infra-audit.yaml:2:5: no package nowhere_policies is installed beside infra-audit\n",
    )
