"""Whole deployments give exactly the findings that a careful reader expects, and Compose agrees about what they are."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from infra_audit.audit import Request, audit
from infra_audit.finding import Report, Severity
from tests.command import infra_audit
from tests.conformance import differences
from tests.fixtures import STACK, Fixture, findings, fixtures, gaps
from tests.oracle import ENVIRONMENT, Question

ALL = fixtures()
STACK_COMBINATIONS = {
    "production": (["docker-compose.yml", "docker-compose.prod.yml"], ".env.production"),
    "development": (["docker-compose.yml", "docker-compose.dev.yml"], ".env.development"),
}

every_fixture = pytest.mark.parametrize("fixture", ALL, ids=lambda fixture: fixture.name)
every_deployment = pytest.mark.parametrize(
    ("verdict", "question"),
    [
        pytest.param(verdict, question, id=f"{fixture.name} {' '.join(question.files)}")
        for fixture in ALL
        for verdict, question in fixture.questions
    ],
)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", ENVIRONMENT["HOME"])


def judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The report of ``infra-audit check`` in a folder."""
    monkeypatch.chdir(folder)
    return audit(Request())


def assert_same(expected: Iterable[dict[str, Any]], found: Iterable[dict[str, Any]]) -> None:
    """Both have the same entries; the message lists what is missing and what is too much."""
    wanted, have = (Counter(" · ".join(map(str, entry.values())) for entry in entries) for entries in (expected, found))
    missing = [f"missing: {entry}" for entry in (wanted - have).elements()]
    surplus = [f"surplus: {entry}" for entry in (have - wanted).elements()]
    assert not missing + surplus, "\n" + "\n".join(missing + surplus)


@every_fixture
def test_the_findings_are_exactly_the_expected_ones(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(fixture.folder, monkeypatch)
    assert_same(fixture.expected["findings"], findings(report))


@every_fixture
def test_the_gaps_are_exactly_the_expected_ones(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(fixture.folder, monkeypatch)
    assert_same(fixture.expected["gaps"], gaps(report))
    assert not any(gap.internal for gap in report.gaps)


@every_fixture
def test_the_deployments_and_errors_are_the_expected_ones(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(fixture.folder, monkeypatch)
    broken = [f"{error.file}:{error.line}" for error in report.errors]
    assert broken == fixture.expected.get("errors", [])
    failed = {place.rpartition(":")[0] for place in broken}
    expected = [
        (entry["name"], tuple(entry["files"]), tuple(entry.get("notes", ())))
        for entry in fixture.expected["deployments"]
        if not failed & set(entry["files"])
    ]
    assert [(info.name, info.files, info.notes) for info in report.deployments] == expected


def test_a_healthy_application_has_nothing_to_complain_about(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = next(fixture for fixture in ALL if fixture.name == "healthy-web")
    report = judged(healthy.folder, monkeypatch)
    assert not [finding for finding in report.findings if finding.severity >= Severity.warning]


@every_deployment
def test_compose_says_of_each_deployment_what_is_expected(verdict: str, question: Question) -> None:
    answer = question.ask_compose()
    assert ("refuses" if answer.error else "accepts") == verdict, answer.error


@every_deployment
@pytest.mark.usefixtures("home")
def test_resolve_accepts_and_refuses_as_compose_does(verdict: str, question: Question) -> None:
    ours = question.ask_us()
    assert ("refuses" if ours.error else "accepts") == verdict, ours.error
    if verdict == "accepts":
        assert_same_document(question)


@pytest.mark.parametrize("name", STACK_COMBINATIONS)
@pytest.mark.usefixtures("home")
def test_resolve_says_of_the_stack_what_compose_says(name: str) -> None:
    files, env_file = STACK_COMBINATIONS[name]
    assert_same_document(Question(STACK, files, [env_file], environ=secrets(env_file)))


def secrets(env_file: str) -> dict[str, str]:
    """A value for each variable that a template leaves open."""
    lines = (line.partition("=") for line in (STACK / env_file).read_text().splitlines() if not line.startswith("#"))
    return {key: f"test-{key.lower()}" for key, _, value in lines if key and not value}


@pytest.mark.parametrize("name", ["env-files", "parcel-centre", "prod-override", "profiles"])
def test_the_command_prints_that_document(name: str) -> None:
    fixture = next(fixture for fixture in ALL if fixture.name == name)
    [(_, question)] = fixture.questions
    files = [part for file in question.files for part in ("-f", file)]
    ran = infra_audit("resolve", *files, "--profile", "*", cwd=fixture.folder, HOME=ENVIRONMENT["HOME"])
    assert ran.code == 0, ran.err
    assert not list(differences(question.ask_compose().model, json.loads(ran.out)))


def assert_same_document(question: Question) -> None:
    theirs, ours = question.ask_compose(), question.ask_us()
    assert (theirs.error, ours.error) == ("", "")
    found = [f"{at.path}: Compose {at.expected!r}, we {at.actual!r}" for at in differences(theirs.model, ours.model)]
    assert not found, "\n".join(found)


def test_the_fixtures_cover_what_they_must() -> None:
    assert len(ALL) >= 14
    assert all(
        os.path.isfile(question.folder / file)
        for one in ALL
        for _, question in one.questions
        for file in question.files
    )
