"""``infra-audit fix``: makes the edits that policies know, in the files that own the values."""

from __future__ import annotations

import difflib

import click

from infra_audit.audit import Request, audit
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.door import NOT_DONE, tell
from infra_audit.cli.options import PATH, plan_option, request_options
from infra_audit.cli.output import write
from infra_audit.errors import UsageError
from infra_audit.fixes.apply import Change, apply
from infra_audit.reports.terminal import count, printable
from infra_audit.secrets import mask

__all__ = ["command"]


@click.command("fix", short_help=COMMANDS["fix"])
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=PATH)
@request_options()
@plan_option
@click.option("--policy", "policies", multiple=True, metavar="ID", help="Only this policy (repeatable).")
@click.option("--unsafe", is_flag=True, help="Also edits that change what runs, beyond what is documented.")
@click.option("--diff", is_flag=True, help="Show what would change, write nothing.")
def command(
    paths: tuple[str, ...], request: Request, plan: str | None, policies: tuple[str, ...], unsafe: bool, diff: bool
) -> int:
    """Mend what can be mended without a decision, in the files of the deployments at PATH.

    An edit is spliced into the text, so that every other byte stays, and is refused where the value came through an
    anchor, `extends` or a variable. A second run changes nothing.
    """
    if paths and request.files:
        raise UsageError("name the files either with -f or as PATH, not both")
    report = audit(request._replace(paths=paths or (".",), plan=plan, policies=policies))
    outcome = apply(report.findings, unsafe=unsafe)
    for change in outcome.changes:
        if diff:
            write(_diff(change))
        else:
            _write(change)
    lines = [
        f"{printable(str(finding.place))}: not fixed: {printable(mask(why))} [{finding.policy}]"
        for finding, why in outcome.refused
    ]
    verb = "would fix" if diff else "fixed"
    lines.append(f"{verb} {count(len(outcome.made), 'finding')} in {count(len(outcome.changes), 'file')}")
    write("\n".join(lines) + "\n")
    for error in report.errors:
        tell(str(error))
    return NOT_DONE if report.errors else 0


def _write(change: Change) -> None:
    """Replaces the file; a byte order mark, which no place counts, stays."""
    with open(change.source.location, "rb") as stream:
        mark = "\ufeff" if stream.read(3) == b"\xef\xbb\xbf" else ""
    write(mark + change.text, change.source.location)


def _diff(change: Change) -> str:
    before, after = (text.splitlines(keepends=True) for text in (change.source.text, change.text))
    path = change.source.path
    lines = difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
