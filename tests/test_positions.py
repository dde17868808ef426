"""Every finding stands on the key or the value that it speaks about.

Run over any folder of repositories: python -m tests.test_positions FOLDER
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra_audit.audit import Request, audit
from infra_audit.finding import Finding
from infra_audit.source import Source

ROOT = Path(__file__).parent.parent
FOLDERS = [*sorted(path for path in (ROOT / "fixtures").iterdir() if path.is_dir()), ROOT / "stack"]

Place = tuple[tuple[int, int], tuple[int, int]]


def tokens(source: Source) -> list[Place] | None:
    """Start and end of each key and value of a YAML text, by a reader that is not ours; None for other files."""
    if not source.path.endswith((".yml", ".yaml")):
        return None
    found = []
    try:
        events: Any = yaml.parse(source.text, Loader=yaml.CSafeLoader)
        for event in events:
            if isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                start, end = event.start_mark, event.end_mark
                found.append(((start.line + 1, start.column + 1), (end.line + 1, end.column + 1)))
    except yaml.YAMLError:
        return None
    return found


def misplaced(folder: Path) -> Iterator[tuple[Finding, str]]:
    """The findings of a folder whose place is no key, no value and no part of one."""
    known: dict[str, list[Place] | None] = {}
    before = os.getcwd()
    os.chdir(folder)
    try:
        report = audit(Request())
    finally:
        os.chdir(before)
    for finding in report.findings:
        span = finding.place
        if span.source.location not in known:
            known[span.source.location] = tokens(span.source)
        places = known[span.source.location]
        start, end = (span.line, span.column), (span.end_line, span.end_column)
        if places is None or span.text.startswith("# infra-audit:"):
            if not span.text.strip():
                yield finding, "an empty place"
        elif not any(first <= start < end <= last for first, last in places):
            yield finding, f"{span.text!r} is neither a key nor a value"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_findings_stand_on_keys_and_values(folder: Path) -> None:
    assert [f"{finding.place}: {finding.policy}: {why}" for finding, why in misplaced(folder)] == []


if __name__ == "__main__":
    wrong = 0
    for repository in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        for finding, why in misplaced(repository):
            wrong += 1
            print(f"{repository.name}: {finding.place}: {finding.policy}: {why}")
    print(f"{wrong} findings stand on nothing")
    sys.exit(min(wrong, 1))
