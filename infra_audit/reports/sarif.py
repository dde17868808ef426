"""SARIF 2.1.0, as code scanning services read it.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/. A gap is a notification of the invocation
that names its rule: a result of the kind "open" would be shown as an alert.
"""

from __future__ import annotations

import json
from typing import Any

from infra_audit import __version__
from infra_audit.errors import InfraAuditError
from infra_audit.finding import CIS_BENCHMARK, Description, Finding, Gap, Report, Severity
from infra_audit.reports.frame import excerpt
from infra_audit.reports.order import sorted_findings, sorted_gaps
from infra_audit.reports.places import Paths
from infra_audit.reports.terminal import Look
from infra_audit.secrets import mask
from infra_audit.source import Span

__all__ = ["render"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "note"}
_ROOT = "%SRCROOT%"
FINGERPRINT = "infraAudit/v1"


def render(report: Report, look: Look) -> str:
    findings = [finding for finding in sorted_findings(report) if not finding.folded]
    gaps = sorted_gaps(report)
    rules = sorted({finding.policy for finding in findings} | {gap.policy for gap in gaps})
    index = {policy: number for number, policy in enumerate(rules)}
    paths = Paths()
    run = {
        "tool": {
            "driver": {
                "name": "infra-audit",
                "semanticVersion": __version__,
                "rules": [_rule(policy, report) for policy in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "invocations": [
            {
                "executionSuccessful": not report.errors and not any(gap.internal for gap in gaps),
                "toolExecutionNotifications": [
                    *(_error(error, paths) for error in report.errors),
                    *(_gap(gap, index) for gap in gaps),
                ],
            }
        ],
        "results": [_result(finding, index, paths) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


# -- rules ---------------------------------------------------------------------------------------


def _rule(policy: str, report: Report) -> dict[str, Any]:
    read = report.policies.get(policy)
    if read is None:
        return {"id": policy}
    described = read()
    rule: dict[str, Any] = {
        "id": policy,
        "shortDescription": {"text": described.title},
        "fullDescription": {"text": _paragraphs(described.why) or described.title},
        "defaultConfiguration": {"level": _LEVELS[described.severity]},
        "help": {"text": _help_text(described), "markdown": _help_markdown(described)},
        "properties": {
            "tags": [
                *(f"cis-docker-benchmark-{number}" for number in described.cis),
                *filter(None, (described.family, described.pack)),
            ],
            "problem.severity": {"note": "recommendation"}.get(_LEVELS[described.severity], described.severity.name),
        },
    }
    uri = next((reference for reference in described.references if reference.startswith("https://")), None)
    return rule if uri is None else rule | {"helpUri": uri}


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def _help_text(described: Description) -> str:
    return "\n\n".join(filter(None, (described.title, _paragraphs(described.why), _paragraphs(described.fix))))


def _help_markdown(described: Description) -> str:
    parts = [f"**{described.title}**", _paragraphs(described.why)]
    if described.fix:
        parts += ["## How to fix it", _paragraphs(described.fix)]
    for kind, title in (("bad", "Gives a finding"), ("good", "Gives none")):
        for example in described.examples.get(kind, ())[:1]:
            shown = (f"`{name}`\n\n```\n{text.rstrip()}\n```" for name, text in example.files.items())
            parts += [f"## {title}", *shown]
    references = [
        *(f"{CIS_BENCHMARK}, {number}" for number in described.cis),
        *(f"<{reference}>" for reference in described.references),
    ]
    if references:
        parts += ["## References", "\n".join(f"- {reference}" for reference in references)]
    return "\n\n".join(filter(None, parts))


# -- results -------------------------------------------------------------------------------------


def _result(finding: Finding, index: dict[str, int], paths: Paths) -> dict[str, Any]:
    name = f"{finding.subject.kind} {finding.subject.name}"
    result: dict[str, Any] = {
        "ruleId": finding.policy,
        "ruleIndex": index[finding.policy],
        "level": _LEVELS[finding.severity],
        "message": {"text": mask(finding.message)},
        "locations": [
            _location(finding.place, paths)
            | {"logicalLocations": [{"name": name, "fullyQualifiedName": f"{finding.deployment}/{name}"}]}
        ],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "suppressions": [],
    }
    related = [
        {"id": number, "message": {"text": mask(one.note) or excerpt(one.span) or "related"}}
        | _location(one.span, paths)
        for number, one in enumerate(finding.related, 1)
    ]
    if related:
        result["relatedLocations"] = related
    if finding.suppressed is not None:
        result["suppressions"] = [
            {
                "kind": "inSource" if finding.suppressed.inline else "external",
                "status": "accepted",
                "justification": finding.suppressed.reason or f"suppressed by {finding.suppressed.by}",
            }
        ]
    return result


def _location(span: Span, paths: Paths) -> dict[str, Any]:
    """A physical location; none for what stands in no file."""
    if not span.source.location:
        return {}
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    return {"physicalLocation": {"artifactLocation": _artifact(paths.of(span.source), paths), "region": region}}


def _artifact(path: str, paths: Paths) -> dict[str, str]:
    uri = {"uri": paths.uri(path)}
    return uri if path.startswith("/") else uri | {"uriBaseId": _ROOT}


# -- what was not done ---------------------------------------------------------------------------


def _error(error: InfraAuditError, paths: Paths) -> dict[str, Any]:
    notification: dict[str, Any] = {"level": "error", "message": {"text": mask(error.message)}}
    if error.file:
        place: dict[str, Any] = {"artifactLocation": _artifact(paths.of_file(error.file), paths)}
        if error.line:
            place["region"] = {"startLine": error.line, "startColumn": max(error.column, 1)}
        notification["locations"] = [{"physicalLocation": place}]
    return notification


def _gap(gap: Gap, index: dict[str, int]) -> dict[str, Any]:
    return {
        "level": "error" if gap.internal else "note",
        "message": {"text": mask(f"not decided for {gap.subject.kind} {gap.subject.name}: {gap.why}")},
        "associatedRule": {"id": gap.policy, "index": index[gap.policy]},
    }
