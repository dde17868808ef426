"""GitLab's Code Quality report: a JSON list, with paths from the root of the repository."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

from infra_audit.finding import Finding, Report, Severity
from infra_audit.reports.places import Paths, counted
from infra_audit.reports.terminal import Look
from infra_audit.secrets import mask

__all__ = ["render"]

_SEVERITIES = {Severity.error: "critical", Severity.warning: "major", Severity.info: "info"}


def render(report: Report, look: Look) -> str:
    paths = Paths()
    seen: Counter[str] = Counter()
    return json.dumps([_issue(finding, paths, seen) for finding in counted(report)], indent=2) + "\n"


def _issue(finding: Finding, paths: Paths, seen: Counter[str]) -> dict[str, Any]:
    path = paths.of(finding.place.source)
    return {
        "description": mask(finding.message),
        "check_name": finding.policy,
        "fingerprint": _unique(finding, path, seen),
        "severity": _SEVERITIES[finding.severity],
        "location": {"path": path, "lines": {"begin": finding.place.line, "end": finding.place.end_line}},
    }


def _unique(finding: Finding, path: str, seen: Counter[str]) -> str:
    """GitLab wants each fingerprint once: deployments of one repository may share ours."""
    key = "\0".join((finding.fingerprint, path))
    seen[key] += 1
    return hashlib.sha256(f"{key}\0{seen[key]}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
