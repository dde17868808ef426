"""Every finding stands on the key or the value that it speaks about.

Run over any folder of repositories: make positions FOLDER=folder. That also tells of audits that fail and of
policies that could not be decided through a defect of ours.
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
from infra_audit.finding import Finding, Gap
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


_SECTIONS = {"service": "services", "network": "networks", "volume": "volumes"}


def owners(source: Source) -> list[tuple[Place, str, str]]:
    """The place, section and name of each service, network and volume, by a reader that is not ours."""
    found = []
    for document in yaml.compose_all(source.text, Loader=yaml.CSafeLoader):
        for section, entries in document.value if isinstance(document, yaml.MappingNode) else ():
            if not isinstance(entries, yaml.MappingNode):
                continue
            for key, value in entries.value:
                start, end = key.start_mark, value.end_mark
                place = ((start.line + 1, start.column + 1), (end.line + 1, end.column + 1))
                found.append((place, str(section.value), str(key.value)))
    return found


def in_another(finding: Finding) -> str:
    """The service, network or volume that a finding stands in, where it speaks of another one of that kind.

    Files in which places may lie elsewhere by right (extended services, anchors) say nothing.
    """
    section, source = _SECTIONS.get(finding.subject.kind, ""), finding.place.source
    if not section or not source.path.endswith((".yml", ".yaml")):
        return ""
    if any(mark in source.text for mark in ("extends", "<<", "*", "&", "include")):
        return ""
    here = (finding.place.line, finding.place.column)
    entries = [(place, name) for place, kind, name in owners(source) if kind == section]
    names = {name for place, name in entries if place[0] <= here < place[1]}
    if finding.subject.name not in {name for _, name in entries} or finding.subject.name in names:
        return ""  # of a service that extends one of this file, for instance
    return ", ".join(sorted(names))


def misplaced(folder: Path) -> Iterator[tuple[Finding | Gap, str]]:
    """The findings of a folder whose place is no key, no value and no part of one, or one of something else."""
    known: dict[str, list[Place] | None] = {}
    before = os.getcwd()
    os.chdir(folder)
    try:
        report = audit(Request())
    finally:
        os.chdir(before)
    for gap in report.gaps:
        if gap.internal:
            yield gap, f"an internal error: {gap.why}"
    for finding in report.findings:
        if other := in_another(finding):
            yield finding, f"speaks of {finding.subject.kind} {finding.subject.name} and stands in {other}"
        span = finding.place
        if span.source.location not in known:
            known[span.source.location] = tokens(span.source)
        places = known[span.source.location]
        start, end = (span.line, span.column), (span.end_line, span.end_column)
        if places is None or span.text.startswith("# infra-audit:"):
            if not span.text.strip():
                yield finding, "an empty place"
        elif not any(first <= start < end <= last for first, last in places):
            yield finding, f"{span.text[:60]!r} is neither a key nor a value"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_findings_stand_on_keys_and_values(folder: Path) -> None:
    assert [_told(found, why) for found, why in misplaced(folder)] == []


def _told(found: Finding | Gap, why: str) -> str:
    place = found.place if isinstance(found, Finding) else found.subject.name
    return f"{place}: {found.policy}: {why}"


if __name__ == "__main__":
    wrong = 0
    for repository in sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir()):
        for found, why in misplaced(repository):
            wrong += 1
            print(f"{repository.name}: {_told(found, why)}")
    print(f"{wrong} findings stand in a wrong place or could not be made")
    sys.exit(min(wrong, 1))
