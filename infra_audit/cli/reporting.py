"""What ``check`` and ``live`` have in common: which policies, how to report, which exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from infra_audit.cli.door import NOT_DONE, tell
from infra_audit.cli.options import color_options
from infra_audit.cli.output import Destination, destinations, look_for, write
from infra_audit.finding import Report, Severity
from infra_audit.named import NamedTuple
from infra_audit.reports import REPORTERS, reporter

__all__ = ["Wanted", "emit", "exit_code", "report_options", "tell_undone"]


class Wanted(NamedTuple):
    """Where a report goes and how it looks there; ``fail_on`` is the name of a severity, or "never"."""

    destinations: list[Destination]
    fail_on: str
    color: bool | None
    width: int | None

    @property
    def least(self) -> Severity | None:
        """The least severity that counts as a failure; None where none does."""
        return None if self.fail_on == "never" else Severity[self.fail_on]


def report_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--policy, --fail-on, --format, --output and the looks; the function gets ``policies`` and ``wanted``."""

    @click.option("--policy", "policies", multiple=True, metavar="ID", help="Only this policy (repeatable).")
    @click.option(
        "--fail-on",
        type=click.Choice([*(severity.name for severity in reversed(Severity)), "never"]),
        default="error",
        show_default=True,
        help="The least severity that gives exit code 1.",
    )
    @click.option(
        "--format",
        "form",
        type=click.Choice(list(REPORTERS)),
        help="How to print. Default: text, under GitHub Actions with annotations after it.",
    )
    @click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="[FORMAT=]FILE",
        help="Write the report to a file; with FORMAT=, write another one beside what is printed (repeatable).",
    )
    @color_options
    @functools.wraps(function)
    def with_wanted(
        *args: Any,
        fail_on: str,
        form: str | None,
        outputs: tuple[str, ...],
        color: bool | None,
        width: int | None,
        **kwargs: Any,
    ) -> Any:
        return function(*args, wanted=Wanted(destinations(form, outputs), fail_on, color, width), **kwargs)

    return with_wanted


def emit(report: Report, wanted: Wanted) -> None:
    """Writes the report everywhere that it is wanted."""
    for each in wanted.destinations:
        write(reporter(each.format)(report, look_for(each.file, wanted.color, wanted.width)), each.file)


def exit_code(report: Report, wanted: Wanted) -> int:
    code = report.exit_code(wanted.least or Severity.error)
    return code if wanted.least is not None or code == NOT_DONE else 0


def tell_undone(report: Report) -> None:
    """What was not done, on stderr: a report in a file or a pipe must not hide it."""
    for error in (*report.errors, *report.left_out):
        tell(str(error))
    for gap in report.gaps:
        if gap.internal:
            tell(f"{gap.policy} was not decided for {gap.subject.kind} {gap.subject.name}: {gap.why}")
