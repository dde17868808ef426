"""``infra-audit check``: the main job."""

from __future__ import annotations

import click

from infra_audit.audit import Request, audit, deployments
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import find_baseline, folder_of
from infra_audit.cli.door import NOT_DONE, tell
from infra_audit.cli.options import PATH, plan_option, request_options
from infra_audit.cli.output import write
from infra_audit.cli.reporting import Wanted, emit, exit_code, report_options, tell_undone
from infra_audit.errors import InfraAuditError, LeftOut, UsageError
from infra_audit.reports.terminal import printable

__all__ = ["command"]


@click.command("check", short_help=COMMANDS["check"])
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=PATH)
@request_options()
@plan_option
@click.option(
    "--baseline",
    metavar="FILE|none",
    help="The known findings. Default: the .infra-audit-baseline.json found from the checked path upwards.",
)
@click.option("--since", metavar="REV", help="Only findings on lines that changed since this revision of git.")
@report_options
@click.option("--list", "only_list", is_flag=True, help="Show the deployments that would be audited, and their files.")
def command(
    paths: tuple[str, ...],
    request: Request,
    plan: str | None,
    baseline: str | None,
    since: str | None,
    only_list: bool,
    policies: tuple[str, ...],
    wanted: Wanted,
) -> int:
    """Audit the deployments that the files and folders PATH belong to (default: the working directory).

    A file that overrides another one is merged with it, as Docker Compose would; -f names the files of
    one deployment instead.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 the job was not wholly done.
    """
    if paths and request.files:
        raise UsageError("name the files either with -f or as PATH, not both")
    request = request._replace(paths=paths or (".",), plan=plan, policies=policies)
    if only_list:
        return _list(request)
    if baseline != "none":
        request = request._replace(baseline=find_baseline(baseline, request))
    if since is not None:
        from infra_audit.changes import Changes  # starts processes

        request = request._replace(changes=Changes(since, folder_of(request)))
    report = audit(request)
    emit(report, wanted)
    tell_undone(report)
    return exit_code(report, wanted)


def _list(request: Request) -> int:
    code = 0
    for opened in deployments(request, left_out=True):
        result, notes = opened.result, opened.notes
        if isinstance(result, LeftOut) or (isinstance(result, InfraAuditError) and not opened.files):
            tell(str(result))
            code = code if isinstance(result, LeftOut) else NOT_DONE
            continue
        if isinstance(result, InfraAuditError):
            notes = (*notes, f"cannot be read: {result}")
            code = NOT_DONE
        files = opened.files if isinstance(result, InfraAuditError) else result.files
        shown = " ".join(map(printable, files))
        write(f"{printable(opened.name)}: {shown}\n" + "".join(f"  {printable(note)}\n" for note in notes))
    return code
