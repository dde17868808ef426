"""``infra-audit stack``: writes the reference stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import click

from infra_audit import resources
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.output import write
from infra_audit.errors import UsageError
from infra_audit.reports.terminal import count
from infra_audit.source import display_path

__all__ = ["command"]

_LEFT_OUT = frozenset((".env", "secrets", "__pycache__"))
"""What a user makes for himself."""


@click.command("stack", short_help=COMMANDS["stack"])
@click.argument("folder", metavar="DIR", type=click.Path(path_type=str, file_okay=False))
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(folder: str, force: bool) -> None:
    """Write the reference stack to DIR: a deployment that passes its own policies, to start from.

    Nothing that is there is overwritten without --force, and nothing is taken away.
    """
    source = resources.stack_folder()
    files = sorted(_files(source))
    there = [file for file in files if os.path.lexists(os.path.join(folder, file))]
    if there and not force:
        raise UsageError(
            f"is there already ({count(len(there), 'file')}); --force overwrites", file=_shown(folder, there[0])
        )
    for file in files:
        target = os.path.join(folder, file)
        try:
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            shutil.copy(os.path.join(source, file), target)
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror or error}", file=_shown(folder, file)) from None
    write(f"wrote {count(len(files), 'file')} to {display_path(folder)}; `infra-audit check {folder}` judges them\n")


def _shown(folder: str, file: str) -> str:
    return display_path(os.path.join(folder, file))


def _files(source: str) -> Iterator[str]:
    """Paths of the stack's files, relative to it."""
    for parent, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in names:
            if name not in _LEFT_OUT:
                yield os.path.relpath(os.path.join(parent, name), source)
