"""The command group. It knows each command's name and short help without importing its module."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import click

from infra_audit import __version__
from infra_audit.cli.door import Leave, PipeClosed, Settings, door

__all__ = ["COMMANDS", "app", "run"]

COMMANDS = {
    "check": "Audit Compose files: the deployment that they make up, not each file.",
    "live": "Audit what runs: a Compose project through the Docker API, against the same policies and its files.",
    "exporter": "Serve findings about what runs as Prometheus metrics.",
    "explain": "Show a policy: why it is there, how to fix it, examples.",
    "policies": "List the policies.",
    "facts": "List the facts; with a subject, their values and where each comes from.",
    "resolve": "Print the effective deployment in Docker Compose's canonical form.",
    "trace": "Show where one value comes from, hop by hop.",
    "plan": "Draft a plan from a deployment: its own numbers, ready to be adopted.",
    "capacity": "Add up what the deployment takes and carries, against budget, host and target.",
    "graph": "Draw the deployment: services, networks, who talks to whom, findings coloured in.",
    "baseline": "Take the findings of today as known, so that later runs report only new ones.",
    "fix": "Mend what needs no decision, in the files that own the values.",
    "stack": "Write the reference stack, a deployment that passes its own policies.",
    "schema": "Print the JSON Schema of a document: policy, plan, config or report.",
    "completion": "Print the script that completes infra-audit's words in a shell.",
}
"""Short help of each command; the command ``name`` lives in ``infra_audit.cli.name``."""


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = cast("click.Command", importlib.import_module(f"infra_audit.cli.{cmd_name}").command)
        if all(param.name != "debug" for param in command.params):
            command.params += (_debug_option(), _help_option())
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # asked here because click's own way to ask imports shutil and all its archive formats
        with _pipe():
            return super().make_context(info_name, args, parent, terminal_width=_columns(), **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _pipe():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from infra_audit.hints import did_you_mean

            raise click.UsageError(f"no command {name!r}{did_you_mean(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@contextmanager
def _pipe() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise PipeClosed from None


def _columns() -> int:
    """Width of help texts: the terminal's, at most 100."""
    columns = 80
    with suppress(OSError, ValueError):
        columns = os.get_terminal_size(1).columns or columns
    return min(columns, 100) - 2


def _debug_option() -> click.Option:
    """--debug, for the group and for each command, so that it may stand anywhere."""

    def switch_on(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.ensure_object(Settings).debug = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=switch_on,
        help="Show the traceback of an error.",
    )


def _help_option() -> click.Option:
    """--help as click makes it, whose own asks for its text in the user's language, which imports locale."""

    def show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    return click.Option(
        ["-h", "--help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show_help,
        help="Show this message and exit.",
    )


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"infra-audit {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    epilog="Exit codes: 0 clean; 1 findings at or above --fail-on; 2 the job was not wholly done.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and leave.",
)
def app() -> None:
    """Check that a Docker Compose deployment is what its team documented, before and after it runs."""


app.params += (_debug_option(), _help_option())


def run(args: list[str] | None = None) -> int:
    """Run the command line; returns its exit code when all that it says is written."""
    settings = Settings()
    try:
        with door(settings):
            result = app.main(args, prog_name="infra-audit", standalone_mode=False, obj=settings)
            sys.stdout.flush()
    except Leave as leave:
        return leave.code
    return result if isinstance(result, int) else 0
