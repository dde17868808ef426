"""Start-up is part of the design: what a run imports, and that commands are loaded only when called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra_audit.cli.app import COMMANDS, app
from tests.command import ROOT, environment, infra_audit

HEAVY = ("pydantic", "docker", "jsonschema", "ruamel", "rich", "jinja2", "requests", "shlex", "promql_parser")
FILES = {"compose.yaml": "services:\n  web:\n    image: nginx:1.27\n"}


def imported(*args: str, cwd: Path) -> set[str]:
    """The modules that a run imports."""
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "infra_audit", *args],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    ).stderr
    return {line.rpartition("|")[2].strip() for line in listing.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("check", "--format", "json"), ("check",)])
def test_a_run_imports_nothing_heavy(args: tuple[str, ...], tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    modules = imported(*args, cwd=tmp_path)
    assert "infra_audit.cli.app" in modules
    assert not {module for module in modules if module.split(".")[0] in HEAVY}


def test_what_a_deployment_does_not_have_is_not_imported(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    modules = imported("check", cwd=tmp_path)
    apart = ("redis", "redis_start", "grafana", "dashboards", "panels", "alertmanager")
    assert "infra_audit.facts.services" in modules
    assert not modules & {f"infra_audit.facts.{name}" for name in apart}
    assert "locale" not in modules, "click was asked for a text in the user's language"


def test_pyyaml_works_as_ever_for_others_in_the_process(tmp_path: Path) -> None:
    lines = (
        "import re; compiling = re.compile; import infra_audit.readers.yaml, yaml",
        "assert re.compile is compiling",
        "assert not isinstance(yaml.reader.Reader.NON_PRINTABLE, re.Pattern), 'PyYAML was imported before'",
        "print(yaml.safe_load('[1.5, 0x10, 2026-01-02, ~]'))",
        "try: yaml.safe_load('a: \\x00')",
        "except yaml.reader.ReaderError as error: print(error.reason)",
    )
    told = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert told.stderr == ""
    assert told.stdout.splitlines() == [
        "[1.5, 16, datetime.date(2026, 1, 2), None]",
        "special characters are not allowed",
    ]


@pytest.mark.parametrize("args", [("--help",), ("--version",), ("chek",)])
def test_the_group_imports_no_command(args: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported(*args, cwd=tmp_path)
    ours = {module for module in modules if module.startswith("infra_audit.")}
    assert ours <= {
        "infra_audit.cli",
        "infra_audit.cli.app",
        "infra_audit.cli.door",
        "infra_audit.errors",
        "infra_audit.finding",
        "infra_audit.hints",
        "infra_audit.named",
        "infra_audit.reports",
        "infra_audit.reports.terminal",
        "infra_audit.secrets",
        "infra_audit.source",
    }
    if "chek" not in args:
        assert "infra_audit.reports" not in ours
        assert "yaml" not in modules


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_has_the_name_and_the_short_help_that_the_group_shows(name: str) -> None:
    import click

    command = app.get_command(click.Context(app), name)
    assert command is not None
    assert command.name == name
    assert command.short_help == COMMANDS[name]
    assert infra_audit(name, "--help").code == 0


def test_every_command_module_is_listed() -> None:
    helpers = {"__init__", "app", "choose", "door", "options", "output", "reporting"}
    modules = {path.stem for path in (ROOT / "infra_audit" / "cli").glob("*.py")}
    assert modules - helpers == set(COMMANDS)
