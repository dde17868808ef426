"""``infra-audit live``: what runs, against the same policies, and against what its files say."""

from __future__ import annotations

import os
import sys
import time

import click

from infra_audit.audit import Request, audit
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.options import DURATION, PATH, engine_options, plan_option, request_options
from infra_audit.cli.output import write
from infra_audit.cli.reporting import Wanted, emit, exit_code, report_options, tell_undone
from infra_audit.errors import EngineError, InfraAuditError, UsageError
from infra_audit.finding import Report
from infra_audit.reports.terminal import printable
from infra_audit.running import Look, Running
from infra_audit.watching import changes, progress, rest

__all__ = ["command"]

_WAIT = 300.0
"""Seconds that --wait waits where nothing else is said."""
_LOOK = 30.0
"""Seconds that one look of several may take."""
_BETWEEN = 2.0
_CLEAR = "\x1b[H\x1b[2J"


@click.command("live", short_help=COMMANDS["live"])
@request_options()
@engine_options
@click.option(
    "--replay",
    type=PATH,
    metavar="FILE",
    help="Audit a saved snapshot; no engine is asked.",
)
@click.option(
    "--save",
    type=PATH,
    metavar="FILE",
    help="Also write the snapshot to a file, without secrets.",
)
@click.option("--wait", is_flag=True, help="Look again until all is healthy and no policy fails. Default time: 5m.")
@click.option("--watch", is_flag=True, help="Look again and again, and show what changed.")
@click.option(
    "--every", "pause", type=DURATION, default="5s", show_default=True, help="The time between looks of --watch."
)
@plan_option
@report_options
@click.pass_context
def command(
    ctx: click.Context,
    request: Request,
    look: Look,
    replay: str | None,
    save: str | None,
    wait: bool,
    watch: bool,
    pause: float,
    plan: str | None,
    policies: tuple[str, ...],
    wanted: Wanted,
) -> int:
    """Audit a running Compose project through the Docker API.

    Without -p: the project of the working directory, or the only one. The files that the containers were made from,
    and the configuration beside them, are found by their labels, or named with -f; every difference from them is a
    finding. Nothing is changed.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 the job was not wholly done.
    """
    if replay is not None and (save is not None or wait or watch):
        raise UsageError("--replay looks at a file: --save, --wait and --watch need an engine")
    if wait and watch:
        raise UsageError("either --wait or --watch")
    if save is not None and (wait or watch):
        raise UsageError("--save keeps one look: not with --wait or --watch")
    request = request._replace(plan=plan, policies=policies)
    look = look._replace(replay=replay)
    if watch:
        _watch(request, look, wanted, pause)
    if wait:
        given = ctx.get_parameter_source("timeout") is not click.core.ParameterSource.DEFAULT
        report, ready = _wait(request, look, wanted, look.timeout if given else _WAIT)
    else:
        running = Running(look, os.environ)
        report, ready = audit(request, running), True
        if save is not None and running.snapshot is not None:
            from infra_audit.live.store import dump

            write(dump(running.snapshot), save)
    emit(report, wanted)
    tell_undone(report)
    code = exit_code(report, wanted)
    return code if ready or code else 1


def _wait(request: Request, look: Look, wanted: Wanted, seconds: float) -> tuple[Report, bool]:
    """The first report that is clean with all containers ready, or the last one before the time is over."""
    until = time.monotonic() + seconds
    running = Running(look, os.environ)
    while True:
        running.look = look._replace(timeout=max(1.0, min(until - time.monotonic(), _LOOK)))
        try:
            report = audit(request, running)
        except EngineError as error:
            report = Report(errors=[error])
        state = progress(running.snapshot)
        if not exit_code(report, wanted) and state.total and not state.waiting:
            return report, True
        _progress(
            f"{state}; {sum(1 for one in report.active() if one.severity >= (wanted.least or one.severity))} findings"
        )
        if time.monotonic() + _BETWEEN >= until:
            _progress(f"not ready after {seconds:g} s: {state}\n")
            return report, False
        rest(_BETWEEN)


def _progress(text: str) -> None:
    """One line on a terminal that the next one replaces; elsewhere only the last word is said."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{printable(text.rstrip())}" + ("\n" if text.endswith("\n") else ""))
    elif text.endswith("\n"):
        sys.stderr.write(f"infra-audit: {printable(text.rstrip())}\n")
    sys.stderr.flush()


def _watch(request: Request, look: Look, wanted: Wanted, pause: float) -> None:
    """Shows the report again and again until somebody ends it: all of it on a terminal, changes elsewhere."""
    before: Report | None = None
    told: list[str] = []
    screen = sys.stdout.isatty()
    running = Running(look, os.environ)
    while True:
        try:
            report = audit(request, running)
        except InfraAuditError as error:
            if before is None and not isinstance(error, EngineError):
                raise  # what is asked for is wrong; later it is what somebody just changed
            report = Report(errors=[error])
        if screen:
            sys.stdout.write(_CLEAR)
            emit(report, wanted)
        if report.errors:  # what was not seen has not changed
            errors = [str(error) for error in report.errors]
            if screen or errors != told:
                tell_undone(report)
            told = errors
        else:
            told = []
            came, went = changes(before, report)
            stamp = time.strftime("%H:%M:%S")
            lines = [
                f"+ {one.severity.name}: {one.message} [{one.policy}]"
                for one in came
                if before is not None or not screen
            ]
            lines += [f"- {one.severity.name}: {one.message} [{one.policy}]" for one in went]
            write("".join(f"{stamp} {printable(line)}\n" for line in lines))
            before = report
        rest(pause)
