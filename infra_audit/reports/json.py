"""The JSON report, version 1: what scripts rely on. ``schema report`` prints its JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from infra_audit import __version__
from infra_audit.errors import InfraAuditError
from infra_audit.finding import Finding, Gap, Report
from infra_audit.reports.order import sorted_findings, sorted_gaps, summary
from infra_audit.reports.terminal import Look
from infra_audit.secrets import mask, mask_data

__all__ = ["SCHEMA", "document", "render"]


def render(report: Report, look: Look) -> str:
    return json.dumps(document(report), indent=2, ensure_ascii=True, default=str) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "version": 1,
        "tool": {"name": "infra-audit", "version": __version__},
        "deployments": [
            {"name": info.name, "source": info.source, "files": list(info.files)} for info in report.deployments
        ],
        "findings": [_finding(finding) for finding in sorted_findings(report)],
        "gaps": [_gap(gap) for gap in sorted_gaps(report)],
        "errors": [_error(error) for error in report.errors],
        "summary": summary(report),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "policy": finding.policy,
        "severity": finding.severity.name,
        "deployment": finding.deployment,
        "subject": {"kind": finding.subject.kind, "name": finding.subject.name},
        "message": mask(finding.message),
        "value": mask_data(finding.value),
        "expected": mask_data(finding.expected),
        "file": place.source.path,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
        "related": [
            {
                "file": related.span.source.path,
                "line": related.span.line,
                "column": related.span.column,
                "note": mask(related.note),
            }
            for related in finding.related
        ],
        "fingerprint": finding.fingerprint,
        "fixable": finding.fixable,
        "suppressed": finding.suppressed and {"by": finding.suppressed.by, "reason": finding.suppressed.reason},
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "policy": gap.policy,
        "deployment": gap.deployment,
        "subject": {"kind": gap.subject.kind, "name": gap.subject.name},
        "why": mask(gap.why),
    }


def _error(error: InfraAuditError) -> dict[str, Any]:
    return {"file": error.file, "line": error.line, "column": error.column, "message": mask(error.message)}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_SUBJECT = _object(kind=_TEXT, name=_TEXT)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "infra-audit report, version 1",
    **_object(
        version={"const": 1},
        tool=_object(name={"const": "infra-audit"}, version=_TEXT),
        deployments=_list(_object(name=_TEXT, source={"enum": ["files", "live"]}, files=_list(_TEXT))),
        findings=_list(
            _object(
                policy=_TEXT,
                severity={"enum": ["error", "warning", "info"]},
                deployment=_TEXT,
                subject=_SUBJECT,
                message=_TEXT,
                value={},
                expected={},
                file=_TEXT,
                line=_COUNT,
                column=_COUNT,
                end_line=_COUNT,
                end_column=_COUNT,
                related=_list(_object(file=_TEXT, line=_COUNT, column=_COUNT, note=_TEXT)),
                fingerprint={"type": "string", "pattern": "^[0-9a-f]{16}$"},
                fixable={"type": "boolean"},
                suppressed={"oneOf": [{"type": "null"}, _object(by=_TEXT, reason=_TEXT)]},
            )
        ),
        gaps=_list(_object(policy=_TEXT, deployment=_TEXT, subject=_SUBJECT, why=_TEXT)),
        errors=_list(_object(file=_TEXT, line=_COUNT, column=_COUNT, message=_TEXT)),
        summary=_object(error=_COUNT, warning=_COUNT, info=_COUNT, suppressed=_COUNT, gaps=_COUNT),
    ),
}
"""JSON Schema of the document."""
