"""Places as other programs want them: paths from the root of the repository, and findings that count."""

from __future__ import annotations

import os
from urllib.parse import quote

from infra_audit.finding import Finding, Report
from infra_audit.reports.order import sorted_findings
from infra_audit.source import Source

__all__ = ["Paths", "counted", "is_counted"]


class Paths:
    """Writes paths from the root of the repository that a run stands in, or from the working directory."""

    def __init__(self) -> None:
        self._root = _repository(os.getcwd())

    def of(self, source: Source) -> str:
        """The path of a source with slashes; how it is shown for what lies outside or is no file."""
        return self.of_file(source.location) if source.location else source.path

    def of_file(self, path: str) -> str:
        absolute = os.path.abspath(path)
        inside = os.path.relpath(absolute, self._root)
        return absolute if inside.startswith("..") else inside.replace(os.sep, "/")

    def uri(self, path: str) -> str:
        """A path of this class as a relative (or, outside, a file) URI."""
        return f"file://{quote(path)}" if path.startswith("/") else quote(path)


def _repository(here: str) -> str:
    """The folder above that holds `.git`, or the folder itself where none does."""
    folder = here
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return here
        folder = above
    return folder


def is_counted(finding: Finding) -> bool:
    """True for what another program is told: neither suppressed, nor compared with a plan that nobody adopted."""
    return finding.suppressed is None and not finding.folded


def counted(report: Report) -> list[Finding]:
    return [finding for finding in sorted_findings(report) if is_counted(finding)]
