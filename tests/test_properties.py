"""What must not change a verdict: how a deployment is cut into files, and lines that say nothing."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from infra_audit.audit import Request, audit
from infra_audit.finding import Report
from tests.fixtures import STACK, findings, fixtures, gaps
from tests.splitting import Entry, Split, entries, split

OVERRIDE = "split.yaml"
COMMENTS = 10


class Case(NamedTuple):
    """A deployment, and the one of its files that is split."""

    folder: Path
    files: tuple[str, ...]
    file: str

    @property
    def id(self) -> str:
        return f"{self.folder.name} {self.file}"


def cases() -> Iterator[Case]:
    deployments = [
        (fixture.folder, tuple(entry["files"]))
        for fixture in fixtures()
        for entry in fixture.expected["deployments"]
        if not fixture.expected.get("errors")
    ]
    deployments.append((STACK, ("docker-compose.yml", "docker-compose.prod.yml")))
    deployments.append((STACK, ("docker-compose.yml", "docker-compose.dev.yml")))
    for folder, files in deployments:
        for file in files:
            if "\n---" not in (folder / file).read_text():
                yield Case(folder, files, file)


def judged(folder: Path, files: tuple[str, ...] = ()) -> Report:
    """The report about a folder, or about files in it, with the folder as the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return audit(Request(files=files))
    finally:
        os.chdir(before)


def with_values(report: Report) -> list[dict[str, Any]]:
    return [
        entry | {"value": finding.value, "expected": finding.expected}
        for entry, finding in zip(findings(report), report.findings, strict=True)
    ]


def assert_same(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    wanted, have = (Counter(map(repr, entries)) for entries in (expected, found))
    assert not (wanted - have) + (have - wanted), "\n".join(
        ["", *(f"missing: {entry}" for entry in wanted - have), *(f"surplus: {entry}" for entry in have - wanted)]
    )


# -- splitting ----------------------------------------------------------------------------------


@cache
def whole(case: Case) -> Report:
    return judged(case.folder, case.files)


@cache
def movable(case: Case) -> list[Entry]:
    return entries((case.folder / case.file).read_text())


def judged_apart(case: Case, apart: Split, folder: Path) -> Report:
    """The report about the deployment with one file split in two; the configuration names both."""
    (folder / case.file).write_text(apart.base)
    (folder / OVERRIDE).write_text(apart.override)
    config = folder / ".infra-audit.yaml"
    if config.exists():
        written = (case.folder / config.name).read_text()
        for before in ("[", ", "):
            for after in (",", "]"):
                named = f"{before}{case.file}{after}"
                written = written.replace(named, f"{before}{case.file}, {OVERRIDE}{after}")
        config.write_text(written)
    at = case.files.index(case.file) + 1
    return judged(folder, (*case.files[:at], OVERRIDE, *case.files[at:]))


def moved_place(case: Case, apart: Split, at: str) -> str:
    """Where a place of the original is now."""
    file, _, line = at.rpartition(":")
    if file != case.file:
        return at
    which, number = apart.moved[int(line)]
    return f"{(case.file, OVERRIDE)[which]}:{number}"


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.id)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_splitting_a_file_moves_findings_and_changes_none(
    case: Case, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    some = st.lists(st.sampled_from(movable(case)), unique=True, min_size=1)
    chosen = data.draw(some | st.just(movable(case)), label="moved")
    text = (case.folder / case.file).read_text()
    apart = split(text, chosen)
    assume(apart.override)
    folder = tmp_path_factory.mktemp("split") / case.folder.name
    shutil.copytree(case.folder, folder)
    report = judged_apart(case, apart, folder)
    assert report.errors == whole(case).errors
    expected = [entry | {"at": moved_place(case, apart, entry["at"])} for entry in with_values(whole(case))]
    assert_same(expected, with_values(report))
    assert_same(gaps(whole(case)), gaps(report))


def test_documents_of_one_file_may_be_files(tmp_path: Path) -> None:
    source = next(fixture.folder for fixture in fixtures() if fixture.name == "reset-and-override")
    text = (source / "compose.yaml").read_text()
    first, _, second = text.partition("\n---\n")
    (tmp_path / "compose.yaml").write_text(first + "\n")
    (tmp_path / OVERRIDE).write_text(second)
    lines = first.count("\n") + 2

    def moved(at: str) -> str:
        line = int(at.rpartition(":")[2])
        return at if line < lines else f"{OVERRIDE}:{line - lines}"

    expected = [entry | {"at": moved(entry["at"])} for entry in with_values(judged(source, ("compose.yaml",)))]
    assert_same(expected, with_values(judged(tmp_path, ("compose.yaml", OVERRIDE))))


# -- lines that say nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("source", [*(fixture.folder for fixture in fixtures()), STACK], ids=lambda path: path.name)
def test_comments_move_findings_and_change_no_fingerprint(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / source.name
    shutil.copytree(source, folder)
    for path in folder.rglob("*"):
        if path.is_file():
            # JSON has no comments.
            line = "\n" if path.suffix == ".json" else "# nothing is said here\n"
            path.write_text(line * COMMENTS + path.read_text())
    before, after = judged(source), judged(folder)
    assert places(after) == places(before, COMMENTS)


def places(report: Report, further: int = 0) -> list[Any]:
    """Policy, subject, fingerprint and each place of the findings, and of the errors, so many lines further down."""
    found: list[Any] = [
        (finding.policy, *finding.subject, finding.fingerprint, span.source.path, span.line + further)
        for finding in report.findings
        for span in (finding.place, *(related.span for related in finding.related))
    ]
    return found + [(error.message, error.file, error.line + further) for error in report.errors]
