"""JUnit XML: a suite per deployment, a case per finding, gap and unreadable file.

A finding is a failure, what could not be read is an error, a gap or a suppressed finding is skipped
with its reason. A clean deployment has one case that passes, so that no CI takes it for "no tests".
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from infra_audit.finding import DeploymentInfo, Finding, Gap, Report
from infra_audit.reports.frame import excerpt
from infra_audit.reports.order import by_deployment
from infra_audit.reports.terminal import Look, printable
from infra_audit.secrets import mask

__all__ = ["render"]


def render(report: Report, look: Look) -> str:
    root = ET.Element("testsuites", name="infra-audit")
    for info, findings, gaps in by_deployment(report):
        _suite(root, info, [finding for finding in findings if not finding.folded], gaps)
    if report.errors:
        suite = ET.SubElement(root, "testsuite", name="files that could not be read")
        for error in report.errors:
            case = ET.SubElement(suite, "testcase", name=_text(error.file or "infra-audit"), classname="infra-audit")
            ET.SubElement(case, "error", message=_text(str(error)), type="unreadable")
    for suite in root:
        _count(suite)
    _count(root)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, info: DeploymentInfo, findings: list[Finding], gaps: list[Gap]) -> None:
    suite = ET.SubElement(root, "testsuite", name=_text(info.name))
    for finding in findings:
        case = _case(suite, finding.policy, finding.subject.kind, finding.subject.name)
        case.set("file", _text(finding.place.source.path))
        case.set("line", str(finding.place.line))
        if finding.suppressed is not None:
            ET.SubElement(case, "skipped", message=_text(f"suppressed: {finding.suppressed.reason}"))
            continue
        failure = ET.SubElement(case, "failure", message=_text(finding.message), type=finding.severity.name)
        lines = [
            str(finding.place),
            *(f"{related.span}: {related.note or excerpt(related.span)}" for related in finding.related),
        ]
        failure.text = "\n".join(_text(line) for line in (*lines, *([f"fix: {finding.fix}"] if finding.fix else [])))
    for gap in gaps:
        case = _case(suite, gap.policy, gap.subject.kind, gap.subject.name)
        ET.SubElement(case, "skipped", message=_text(f"not decided: {gap.why}"))
    if not len(suite):
        ET.SubElement(suite, "testcase", name="no findings", classname=_text(info.name))


def _case(suite: ET.Element, policy: str, kind: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", name=_text(f"{policy}: {kind} {name}"), classname=policy)


def _count(element: ET.Element) -> None:
    """The totals that readers of JUnit XML expect on suites."""
    element.set("tests", str(len(element.findall(".//testcase"))))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(len(element.findall(f".//{tag}"))))


def _text(text: str) -> str:
    """Without credentials and without characters that XML does not know."""
    return printable(mask(text))
