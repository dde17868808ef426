"""Reporters: a report as a text. A new one is a module with ``render`` and a line in REPORTERS."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from infra_audit.finding import Report
from infra_audit.reports.terminal import Look

__all__ = ["REPORTERS", "Look", "Reporter", "reporter"]

REPORTERS = {
    "text": "infra_audit.reports.text",
    "json": "infra_audit.reports.json",
    "sarif": "infra_audit.reports.sarif",
    "github": "infra_audit.reports.github",
    "gitlab": "infra_audit.reports.gitlab",
    "junit": "infra_audit.reports.junit",
    "markdown": "infra_audit.reports.markdown",
}
"""Module of each format, imported when it is asked for."""


class Reporter(Protocol):
    """Turns a report into the text that is written; it never chooses an exit code."""

    def __call__(self, report: Report, look: Look) -> str: ...


def reporter(name: str) -> Reporter:
    """The reporter of a format named in REPORTERS."""
    return cast("Reporter", importlib.import_module(REPORTERS[name]).render)
