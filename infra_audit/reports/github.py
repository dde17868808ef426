"""Annotations of GitHub Actions: workflow commands on stdout, the worst first, for a step shows only the first ten."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.errors import InfraAuditError
from infra_audit.finding import Finding, Report, Severity
from infra_audit.reports.places import Paths, counted
from infra_audit.reports.terminal import Look, count, printable
from infra_audit.secrets import mask

__all__ = ["render"]

_COMMANDS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "notice"}


def render(report: Report, look: Look) -> str:
    paths = Paths()
    lines = [_error(error, paths) for error in report.errors]
    lines += [_finding(finding, paths) for finding in sorted(counted(report), key=lambda one: -one.severity)]
    lines += _gaps(report)
    return "".join(f"{line}\n" for line in lines)


def _finding(finding: Finding, paths: Paths) -> str:
    place = finding.place
    properties = {"title": finding.policy}
    if place.source.location:
        properties |= {"file": paths.of(place.source), "line": str(place.line), "endLine": str(place.end_line)}
        if place.line == place.end_line:
            properties |= {"col": str(place.column), "endColumn": str(max(place.column, place.end_column - 1))}
    text = printable(mask(finding.message))
    if finding.fix:
        text += f"\n{printable(mask(finding.fix))}"
    return _command(_COMMANDS[finding.severity], properties, text)


def _error(error: InfraAuditError, paths: Paths) -> str:
    properties = {"title": "infra-audit"}
    if error.file:
        properties["file"] = paths.of_file(error.file)
    if error.line:
        properties |= {"line": str(error.line), "col": str(error.column)}
    return _command("error", properties, printable(mask(error.message)))


def _gaps(report: Report) -> Iterator[str]:
    if report.gaps:
        text = f"{count(len(report.gaps), 'check')} could not be decided; the report says which and why"
        yield _command("notice", {"title": "infra-audit"}, text)


def _command(name: str, properties: dict[str, str], text: str) -> str:
    shown = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {shown}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    """Percent-encodes what would end a workflow command, or in a property, the property."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    for char in more:
        text = text.replace(char, f"%{ord(char):02X}")
    return text
