"""All edits of a report, file by file: from the bottom up, each verified before the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from infra_audit.finding import Edit, Finding
from infra_audit.fixes.splice import Refused, splice
from infra_audit.source import Source

__all__ = ["Change", "Outcome", "apply"]


class Change(NamedTuple):
    """A file that changes."""

    source: Source
    text: str


class Outcome(NamedTuple):
    """What was done: ``made`` and ``refused`` findings, the latter with the reason."""

    changes: list[Change]
    made: list[Finding]
    refused: list[tuple[Finding, str]]


def apply(findings: Iterable[Finding], *, unsafe: bool = False) -> Outcome:
    """Makes the safe edits of findings that count, or all of them; writes nothing."""
    outcome = Outcome([], [], [])
    by_file: dict[str, list[tuple[Edit, Finding]]] = {}
    for finding in findings:
        if finding.suppressed is None and not finding.folded:
            for edit in finding.edits:
                if edit.safe or unsafe:
                    by_file.setdefault(edit.place.source.location, []).append((edit, finding))
    for location, edits in sorted(by_file.items()):
        _file(location, edits, outcome)
    return outcome


def _file(location: str, edits: list[tuple[Edit, Finding]], outcome: Outcome) -> None:
    source = edits[0][0].place.source
    text = source.text
    done: set[tuple[int, int, str, str]] = set()
    for edit, finding in sorted(edits, key=lambda one: one[0].place[1:], reverse=True):
        key = (edit.place.line, edit.place.column, edit.kind, repr(edit.value))
        if key in done:
            continue  # two deployments share the file
        done.add(key)
        try:
            if not location:
                raise Refused("it stands in no file")
            text = splice(text, edit)
        except Refused as error:
            outcome.refused.append((finding, str(error)))
        else:
            outcome.made.append(finding)
    if text != source.text:
        outcome.changes.append(Change(source, text))
