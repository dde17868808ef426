"""``infra-audit baseline``: takes the findings of today as known."""

from __future__ import annotations

import os

import click

from infra_audit.audit import Request, audit
from infra_audit.baseline import Baseline
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import BASELINE_NAME, find_baseline
from infra_audit.cli.door import NOT_DONE, tell
from infra_audit.cli.options import PATH, plan_option, request_options
from infra_audit.cli.output import write
from infra_audit.errors import UsageError
from infra_audit.reports.terminal import count
from infra_audit.source import display_path

__all__ = ["command"]


@click.command("baseline", short_help=COMMANDS["baseline"])
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=PATH)
@request_options()
@plan_option
@click.option("--update", is_flag=True, help="Only drop what is fixed; what is new stays to be reported.")
@click.option("--replace", is_flag=True, help="Take everything as it is now, though there is a baseline.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help=f"The baseline. Default: the one that is found, else {BASELINE_NAME} here.",
)
def command(
    paths: tuple[str, ...], request: Request, plan: str | None, update: bool, replace: bool, output: str | None
) -> int:
    """Take the findings of today in PATH as known: later runs of `check` report only new ones.

    The file belongs into the repository. `check` finds it by itself, from the checked path upwards.
    """
    if paths and request.files:
        raise UsageError("name the files either with -f or as PATH, not both")
    if update and replace:
        raise UsageError("either --update or --replace")
    request = request._replace(paths=paths or (".",), plan=plan)
    old = find_baseline(output, request) if output is None or os.path.exists(output) else None
    if old is not None and not update and not replace:
        shown = display_path(old.file)
        raise UsageError("there is a baseline; --update drops what is fixed, --replace takes all anew", file=shown)
    if old is None and update:
        raise UsageError("there is no baseline to update", file=display_path(output or BASELINE_NAME))
    file = output or (old.file if old else BASELINE_NAME)
    baseline = old if old is not None and update else Baseline(file)
    report = audit(request._replace(baseline=baseline))
    for error in report.errors:
        tell(str(error))
    if report.errors:
        raise UsageError("not written: what could not be read would look fixed", file=display_path(file))
    known = baseline.kept() if update else baseline.met
    write(baseline.text(known), file)
    dropped = f", {baseline.known.total() - known.total()} dropped" if update else ""
    write(f"{display_path(file)}: {count(known.total(), 'known finding')}{dropped}\n")
    return NOT_DONE if any(gap.internal for gap in report.gaps) else 0
