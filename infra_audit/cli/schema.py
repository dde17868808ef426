"""``infra-audit schema``: JSON Schemas, for editors and for scripts."""

from __future__ import annotations

import json
from typing import Any

import click

from infra_audit.cli.app import COMMANDS
from infra_audit.cli.output import write

__all__ = ["command"]


@click.command("schema", short_help=COMMANDS["schema"])
@click.argument("document", type=click.Choice(["policy", "plan", "config", "report"]))
def command(document: str) -> None:
    """Print the JSON Schema of a DOCUMENT."""
    write(json.dumps(_schema(document), indent=2) + "\n")


def _schema(document: str) -> dict[str, Any]:
    if document == "report":
        from infra_audit.reports.json import SCHEMA

        return SCHEMA
    from infra_audit.engine.documents import schema  # pydantic

    return schema(document)
