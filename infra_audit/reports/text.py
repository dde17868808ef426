"""The report for people: grouped by deployment and subject, each finding with its line of code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import groupby

from infra_audit.finding import DeploymentInfo, Finding, Gap, Report, Severity, SubjectRef
from infra_audit.reports.frame import code_frame, excerpt
from infra_audit.reports.order import by_deployment, by_place, summary
from infra_audit.reports.terminal import Look, Style, count, printable, wrap
from infra_audit.secrets import mask
from infra_audit.spread import spread

__all__ = ["render"]

_MAX_RELATED = 6
_MAX_GAPS = 8


def render(report: Report, look: Look) -> str:
    style = Style(look.color)
    parts = by_deployment(report)

    def shown(number: int) -> str:
        info, findings, gaps = parts[number]
        active = [finding for finding in findings if finding.suppressed is None]
        return "\n".join((*_deployment(info, active, gaps, look, style), ""))

    return "".join((*spread(shown, len(parts)), _closing(report, style), "\n"))


def _deployment(
    info: DeploymentInfo, findings: list[Finding], gaps: list[Gap], look: Look, style: Style
) -> Iterator[str]:
    told = any(all(file in note for file in info.files) for note in info.notes)
    files = "" if told else f" ({' + '.join(map(printable, info.files)) or info.source})"
    yield style("bold", printable(info.name)) + files
    for note in info.notes:
        yield from wrap(mask(note), look.width, "  ", "    ")
    yield ""
    frame = cache(partial(code_frame, width=look.width, style=style))  # several findings share a place
    shown = [finding for finding in findings if not finding.folded]
    for subject, group in _subjects(shown):
        yield style(
            "bold", subject.kind if subject.kind == "deployment" else f"{subject.kind} {printable(subject.name)}"
        )
        for finding in group:
            yield from _finding(finding, frame, look, style)
            yield ""
    for part in (_folded(findings, look), list(_gaps(gaps, look, style))):
        if part:
            yield from part
            yield ""


def _subjects(findings: list[Finding]) -> list[tuple[SubjectRef, list[Finding]]]:
    """Findings by subject in the order of their first place; subjects with mere information come last."""
    groups: dict[SubjectRef, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.subject, []).append(finding)
    ordered = sorted(
        groups.items(),
        key=lambda item: (
            all(finding.severity is Severity.info for finding in item[1]),
            item[0].kind != "deployment",
            by_place(item[1][0].place),
        ),
    )
    return [(subject, sorted(group, key=lambda finding: -finding.severity)) for subject, group in ordered]


def _finding(finding: Finding, frame: Callable[..., list[str]], look: Look, style: Style) -> Iterator[str]:
    severity = finding.severity.name
    message = printable(mask(finding.message))
    place = style("place", printable(str(finding.place)))
    yield f"{place}: {style(severity, severity)}: {message} {style('dim', f'[{finding.policy}]')}"
    yield from frame(finding.place, severity=severity)
    for related in finding.related[:_MAX_RELATED]:
        note = printable(mask(related.note)) or excerpt(related.span)
        yield f"       {style('place', printable(str(related.span)))}" + (f": {note}" if note else "")
    hidden = len(finding.related) - _MAX_RELATED
    if hidden > 0:
        yield f"       and {count(hidden, 'more place')}"
    if finding.fix:
        yield from wrap(mask(finding.fix), look.width, "       fix: ", "            ")


def _folded(findings: list[Finding], look: Look) -> list[str]:
    """One line for all comparisons with a plan that this deployment did not adopt."""
    policies = Counter(finding.policy for finding in findings if finding.folded)
    if not policies:
        return []
    parts = ", ".join(f"{policy} {number}" for policy, number in sorted(policies.items()))
    differ = "value differs" if policies.total() == 1 else "values differ"
    text = (
        f"{policies.total()} {differ} from the reference plan ({parts}); "
        "--plan reference shows and judges them, --plan none leaves them out"
    )
    return wrap(text, look.width, "", "  ")


def _gaps(gaps: list[Gap], look: Look, style: Style) -> Iterator[str]:
    """What could not be decided, subjects and policies with the same reason in one line."""
    if not gaps:
        return
    yield style("bold", f"not decided ({count(len(gaps), 'gap')})")
    by_reason: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_reason.setdefault(gap.why, []).append(gap)
    for why, group in list(by_reason.items())[:_MAX_GAPS]:
        subjects = _listed(gap.subject.name if gap.subject.kind != "deployment" else "" for gap in group)
        text = f"{_listed(gap.policy for gap in group)}{f' for {subjects}' if subjects else ''}: {why}"
        yield from wrap(mask(text), look.width, "  ", "    ")
    if len(by_reason) > _MAX_GAPS:
        yield f"  and {count(len(by_reason) - _MAX_GAPS, 'more reason')}; --format json lists every gap"


def _listed(names: Iterable[str], limit: int = 5) -> str:
    distinct = [name for name, _ in groupby(sorted(name for name in names if name))]
    more = len(distinct) - limit
    return ", ".join(distinct[:limit]) + (f" and {more} more" if more > 0 else "")


def _closing(report: Report, style: Style) -> str:
    counts = summary(report)
    found = [
        style(severity, count(counts[severity], noun))
        for severity, noun in (("error", "error"), ("warning", "warning"))
        if counts[severity]
    ]
    if counts["info"]:
        found.append(style("info", f"{counts['info']} info"))
    files = len({file for info in report.deployments for file in info.files})
    scope = f"in {count(len(report.deployments), 'deployment')} ({count(files, 'file')})"
    if found:
        parts = [f"{', '.join(found)} {scope}"]
    else:
        parts = [style("good", f"no findings {scope}") if report.deployments else "nothing audited"]
    if counts["suppressed"]:
        parts.append(f"{counts['suppressed']} suppressed")
    if counts["gaps"]:
        parts.append(count(counts["gaps"], "gap"))
    if report.errors:
        parts.append(style("error", f"{count(len(report.errors), 'error')} while reading"))
    return "; ".join(parts)
