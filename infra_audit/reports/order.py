"""The order in which reports list findings, the same for every run and every format."""

from __future__ import annotations

from infra_audit.finding import DeploymentInfo, Finding, Gap, Report, Severity
from infra_audit.named import NamedTuple
from infra_audit.source import Span

__all__ = ["Part", "by_deployment", "by_place", "sorted_findings", "sorted_gaps", "summary"]


def by_place(span: Span) -> tuple[str, int, int]:
    return span.source.path, span.line, span.column


def sorted_findings(report: Report) -> list[Finding]:
    """By deployment (in the report's order), then place, policy and subject."""
    rank = {info.name: number for number, info in enumerate(report.deployments)}
    return sorted(
        report.findings,
        key=lambda finding: (
            rank.get(finding.deployment, len(rank)),
            by_place(finding.place),
            finding.policy,
            finding.subject,
            finding.message,
        ),
    )


def sorted_gaps(report: Report) -> list[Gap]:
    """By deployment (in the report's order), then policy and subject."""
    rank = {info.name: number for number, info in enumerate(report.deployments)}
    return sorted(report.gaps, key=lambda gap: (rank.get(gap.deployment, len(rank)), gap.policy, gap.subject, gap.why))


class Part(NamedTuple):
    """What a report says about one deployment, in order."""

    info: DeploymentInfo
    findings: list[Finding]
    gaps: list[Gap]


def by_deployment(report: Report) -> list[Part]:
    """The report in parts; what belongs to no deployment, such as an ignore that hides nothing, comes last."""
    parts = {info.name: Part(info, [], []) for info in report.deployments}
    rest = Part(DeploymentInfo("configuration", "files", ()), [], [])
    for finding in sorted_findings(report):
        parts.get(finding.deployment, rest).findings.append(finding)
    for gap in sorted_gaps(report):
        parts.get(gap.deployment, rest).gaps.append(gap)
    return [*parts.values(), *([rest] if rest.findings or rest.gaps else [])]


def summary(report: Report) -> dict[str, int]:
    """How many findings of each severity count, how many are suppressed, and how many gaps there are."""
    active = report.active()
    counts = {severity.name: sum(finding.severity is severity for finding in active) for severity in reversed(Severity)}
    return counts | {"suppressed": len(report.findings) - len(active), "gaps": len(report.gaps)}
