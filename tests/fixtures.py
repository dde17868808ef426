"""The fixtures: whole deployments in ``fixtures/``, each with what must be found in it.

``expected.yaml`` beside the files says

* ``about``: what the deployment is there to show;
* ``deployments``: name and files of each, ``compose: accepts`` or ``refuses``, ``notes`` of the report;
* ``findings``: policy, severity, subject ("service web") and ``at`` ("compose.yaml:7") of each, and
  ``folded`` or ``suppressed`` where it does not count as it stands;
* ``gaps``: policy and subject of each; ``errors``: the place of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from infra_audit.finding import Finding, Gap, Report
from infra_audit.source import Span
from tests.command import ROOT
from tests.oracle import Question

__all__ = ["FIXTURES", "STACK", "Fixture", "findings", "fixtures", "gaps", "line_of", "subject_of"]

FIXTURES = ROOT / "fixtures"
STACK = ROOT / "stack"


class Fixture(NamedTuple):
    """A folder of ``fixtures/`` with its expected.yaml."""

    folder: Path
    expected: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def questions(self) -> list[tuple[str, Question]]:
        """Each deployment: what Compose says about it ("accepts", "refuses"), and what to ask."""
        return [(entry["compose"], Question(self.folder, entry["files"])) for entry in self.expected["deployments"]]


def fixtures() -> list[Fixture]:
    return [
        Fixture(path.parent, yaml.safe_load(path.read_text("utf-8")))
        for path in sorted(FIXTURES.glob("*/expected.yaml"))
    ]


def subject_of(found: Finding | Gap) -> str:
    return f"{found.subject.kind} {found.subject.name}"


def line_of(place: Span) -> str:
    return f"{place.source.path}:{place.line}"


def findings(report: Report) -> list[dict[str, Any]]:
    """The findings of a report as expected.yaml writes them."""
    written = []
    for finding in report.findings:
        entry: dict[str, Any] = {
            "policy": finding.policy,
            "severity": finding.severity.name,
            "subject": subject_of(finding),
            "at": line_of(finding.place),
        }
        marks = {"folded": finding.folded, "suppressed": finding.suppressed is not None}
        written.append(entry | {mark: True for mark, holds in marks.items() if holds})
    return written


def gaps(report: Report) -> list[dict[str, Any]]:
    """The gaps of a report as expected.yaml writes them."""
    return [{"policy": gap.policy, "subject": subject_of(gap)} for gap in report.gaps]
