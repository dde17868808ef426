"""Markdown, such as for the summary of a CI job: counts, and a table of findings per deployment."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.finding import DeploymentInfo, Finding, Gap, Report, Severity
from infra_audit.reports.order import by_deployment, summary
from infra_audit.reports.places import Paths, is_counted
from infra_audit.reports.terminal import Look, count, printable
from infra_audit.secrets import mask

__all__ = ["render"]

_MARKS = {Severity.error: "🔴 error", Severity.warning: "🟠 warning", Severity.info: "🔵 info"}
_MAX_ROWS = 200
"""Findings of a deployment that are shown: a summary of a job may hold 1 MiB."""


def render(report: Report, look: Look) -> str:
    paths = Paths()
    lines = ["# infra-audit", "", _closing(report), ""]
    for error in report.errors:
        lines += [f"- **not read**: {_inline(str(error))}"]
    for info, findings, gaps in by_deployment(report):
        lines += _deployment(info, [finding for finding in findings if is_counted(finding)], gaps, paths)
    return "\n".join(lines).rstrip("\n") + "\n"


def _closing(report: Report) -> str:
    counts = summary(report)
    folded = sum(finding.folded for finding in report.active())
    parts = [count(counts["error"], "error"), count(counts["warning"], "warning"), f"{counts['info'] - folded} info"]
    if counts["suppressed"]:
        parts.append(f"{counts['suppressed']} suppressed")
    if counts["gaps"]:
        parts.append(count(counts["gaps"], "gap"))
    return f"{', '.join(parts)} in {count(len(report.deployments), 'deployment')}"


def _deployment(info: DeploymentInfo, findings: list[Finding], gaps: list[Gap], paths: Paths) -> Iterator[str]:
    yield ""
    yield f"## {_inline(info.name)}"
    yield ""
    for note in info.notes:
        yield f"- {_inline(note)}"
    yield ""
    if findings:
        yield "| | place | finding | policy |"
        yield "| --- | --- | --- | --- |"
        for finding in sorted(findings, key=lambda one: -one.severity)[:_MAX_ROWS]:
            place = f"{paths.of(finding.place.source)}:{finding.place.line}"
            text = _inline(finding.message) + (f"<br>_{_inline(finding.fix)}_" if finding.fix else "")
            yield f"| {_MARKS[finding.severity]} | `{_code(place)}` | {text} | `{finding.policy}` |"
        if len(findings) > _MAX_ROWS:
            yield f"\nand {count(len(findings) - _MAX_ROWS, 'more finding')}"
    else:
        yield "no findings"
    if gaps:
        yield ""
        yield f"<details><summary>{count(len(gaps), 'gap')}: not decided</summary>"
        yield ""
        for gap in gaps:
            yield f"- `{gap.policy}` {_inline(gap.subject.kind)} {_inline(gap.subject.name)}: {_inline(gap.why)}"
        yield ""
        yield "</details>"


def _inline(text: str) -> str:
    """A text that Markdown shows as it is."""
    shown = printable(mask(text)).replace("&", "&amp;").replace("<", "&lt;")
    for char in "\\`*_[]|#~":
        shown = shown.replace(char, f"\\{char}")
    return shown


def _code(text: str) -> str:
    return printable(mask(text)).replace("`", "'").replace("|", "\\|")
