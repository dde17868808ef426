"""``infra-audit completion``: the completion script of a shell, as click generates it."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from infra_audit.cli.app import COMMANDS, app
from infra_audit.cli.output import write
from infra_audit.errors import UsageError

__all__ = ["command"]


@click.command("completion", short_help=COMMANDS["completion"])
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  eval "$(infra-audit completion bash)"       in ~/.bashrc
    zsh:   eval "$(infra-audit completion zsh)"        in ~/.zshrc
    fish:  infra-audit completion fish > ~/.config/fish/completions/infra-audit.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    write(kind(app, {}, "infra-audit", "_INFRA_AUDIT_COMPLETE").source() + "\n")
