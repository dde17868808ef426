"""Ignores: findings that somebody decided to live with, here and for a reason.

Inline, in any file of a deployment, on the finding's line or alone on the line above it:

    privileged: true   # infra-audit: ignore[privileged] reads the host's cgroups

In ``.infra-audit.yaml``, by policy and subject. A suppressed finding stays in the report with who
suppressed it and why. An ignore may end: ``ignore[privileged] until 2027-01-31 reason``; after that
day the finding counts again and says so. An ignore without a reason, and one that no longer hides
anything, are findings themselves.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from infra_audit.finding import Finding, Related, Severity, SubjectRef, Suppression
from infra_audit.hints import nearest
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Source, Span

__all__ = ["UNUSED", "WITHOUT_REASON", "Ignore", "Ignores", "inline_ignores", "is_date", "is_over"]

WITHOUT_REASON = "ignore-without-reason"
UNUSED = "ignore-unused"

_DIRECTIVE = Pattern(
    r"(?:(?<=\s)|(?<![^\n]))#\s*infra-audit:\s*ignore(?:\[([^\]\n]*)\])?[ \t:,-]*([^\n\r]*?)(?=\s#\s|[\r\n]|$)",
    hints=("infra-audit:",),
)
_UNTIL = Pattern(r"until\s+(\d[\d-]*)[ \t:,;-]*")


def is_date(text: str) -> bool:
    """True for a day written as 2027-01-31."""
    try:
        return time.strftime("%Y-%m-%d", time.strptime(text, "%Y-%m-%d")) == text
    except ValueError:
        return False


def is_over(until: str) -> bool:
    """True after the day until which something holds; "" holds for ever."""
    return bool(until) and time.strftime("%Y-%m-%d") > until


class Ignore(NamedTuple):
    """A decision to live with a policy's findings.

    ``span``: where it is written; inline it covers ``lines`` of that file. ``lines`` is empty for an
    ignore of the configuration, which covers the ``subject`` (a glob) wherever it stands, in the
    ``deployment`` (a glob) and, where ``path`` is set, in the files that this glob of an absolute path fits.
    ``until``: the last day that it holds, such as 2027-01-31.
    """

    policy: str
    reason: str
    span: Span
    lines: tuple[int, ...] = ()
    subject: str = "*"
    deployment: str = "*"
    path: str = ""
    until: str = ""

    @property
    def key(self) -> tuple[str, int, int, str]:
        return (*_file_line(self.span), self.span.column, self.policy)

    def covers(self, finding: Finding) -> bool:
        if self.policy not in (finding.policy, "*"):
            return False
        if self.lines:
            file, line = _file_line(finding.place)
            return file == _file_line(self.span)[0] and line in self.lines
        if self.path and not fnmatchcase(_file_line(finding.place)[0], self.path):
            return False
        return fnmatchcase(finding.subject.name, self.subject) and fnmatchcase(finding.deployment, self.deployment)


def inline_ignores(source: Source) -> Iterator[Ignore]:
    """The ignores that a file's comments hold, one for each policy that they name."""
    for match in _DIRECTIVE.finditer(source.text):
        span = source.span(match.start(), match.end())
        line = span.line
        alone = not source.line(line)[: span.column - 1].strip()
        lines = (line, _next_line(source, line)) if alone else (line,)
        ids = [name.strip() for name in (match[1] or "").split(",")]
        reason = match[2].strip()
        ends = _UNTIL.match(reason)
        for policy in filter(None, ids) if any(ids) else ("*",):
            yield Ignore(policy, reason[ends.end() :] if ends else reason, span, lines, until=ends[1] if ends else "")


def _next_line(source: Source, line: int) -> int:
    """The line that a comment on its own line speaks about: the next that is no comment."""
    last = len(source.starts)
    line += 1
    while line < last and source.line(line).lstrip().startswith("#"):
        line += 1
    return line


def _file_line(span: Span) -> tuple[str, int]:
    return span.source.location or span.source.path, span.line


class Ignores:
    """All ignores of a run, and which of them hid something."""

    def __init__(self, configured: Iterable[Ignore] = ()) -> None:
        self._configured = list(configured)
        self._inline: dict[tuple[str, int, int, str], Ignore] = {}
        self._met: dict[tuple[str, int, int, str], str] = {}
        self._used: set[tuple[str, int, int, str]] = set()

    def __bool__(self) -> bool:
        return bool(self._inline or self._configured)

    def read(self, sources: Iterable[Source], deployment: str) -> None:
        """Takes up the inline ignores of the files of a deployment."""
        for source in sources:
            for ignore in inline_ignores(source):
                self._inline.setdefault(ignore.key, ignore)
                self._met.setdefault(ignore.key, deployment)

    def take(self, other: Ignores) -> None:
        """Adds what another deployment's ignores met and hid."""
        for key, ignore in other._inline.items():
            self._inline.setdefault(key, ignore)
            self._met.setdefault(key, other._met[key])
        self._used |= other._used

    def policies(self) -> set[str]:
        """The policies that inline ignores name; "*" for all."""
        return {ignore.policy for ignore in self._inline.values()}

    def apply(self, findings: Iterable[Finding]) -> None:
        """Marks the findings that an ignore covers."""
        every: Sequence[Ignore] = [*self._inline.values(), *self._configured]
        if not every:
            return
        for finding in findings:
            for ignore in every:
                if ignore.covers(finding):
                    self._used.add(ignore.key)
                    if is_over(ignore.until):
                        over = Related(ignore.span, f"this ignore ended on {ignore.until}")
                        finding.related += (over,) if over not in finding.related else ()
                        continue
                    finding.suppressed = finding.suppressed or Suppression(
                        str(ignore.span), ignore.reason, bool(ignore.lines)
                    )

    def without_reason(self, severity: Severity) -> Iterator[Finding]:
        """One finding for each inline ignore that says no reason, or ends on a day that does not exist.

        The configuration demands both when it is read.
        """
        told: set[tuple[str, int]] = set()
        for key, ignore in self._inline.items():
            if _file_line(ignore.span) in told:
                continue
            message = ""
            if ignore.until and not is_date(ignore.until):
                message = f"{ignore.until} is no day; write one as 2027-01-31"
            elif not ignore.reason:
                message = "this ignore gives no reason; say after it why the finding may stay"
            if message:
                told.add(_file_line(ignore.span))
                yield _finding(WITHOUT_REASON, severity, ignore, self._met[key], message)

    def unused(
        self, severity: Severity, ran: Collection[str], known: Collection[str], *, whole: bool
    ) -> Iterator[Finding]:
        """One finding for each ignore that hid nothing.

        ``ran``: policies that were judged; ``known``: all that exist. An ignore of a policy that
        exists and was not judged in this run is left alone, and so are those of the configuration
        where the run did not look at the ``whole`` that it speaks about.
        """
        for ignore in [*self._inline.values(), *(self._configured if whole else ())]:
            policy = ignore.policy
            if ignore.key in self._used or (policy != "*" and policy in known and policy not in ran):
                continue
            message = f"nothing to ignore: {policy} finds nothing here"
            if policy == "*":
                message = "nothing to ignore: no policy finds anything here"
            elif policy not in known:
                near = nearest(policy, known)
                message = f"no policy is called {policy}" + (f"; {near} is" if near else "")
            yield _finding(UNUSED, severity, ignore, self._met.get(ignore.key, ""), message)


def _finding(policy: str, severity: Severity, ignore: Ignore, deployment: str, message: str) -> Finding:
    return Finding(
        policy=policy,
        severity=severity,
        deployment=deployment,
        subject=SubjectRef("deployment", deployment),
        message=message,
        place=ignore.span,
        value=ignore.policy,
        evidence=f"{ignore.span.source.path} {ignore.policy} {ignore.subject}",
    )
