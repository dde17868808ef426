"""``infra-audit resolve``: the effective deployment, as ``docker compose config`` prints it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import click

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import format_option, request_options
from infra_audit.cli.output import write
from infra_audit.compose import canonical

__all__ = ["command"]


@click.command("resolve", short_help=COMMANDS["resolve"])
@click.argument("path", required=False, type=click.Path(path_type=str, readable=False))
@request_options
@format_option("json", "yaml")
def command(path: str | None, request: Request, form: str) -> None:
    """Print the effective deployment in Docker Compose's canonical form.

    Files that Compose refuses are refused, with the place. All profiles are active unless --profile
    names some. The output is complete: it holds the secrets that the files hold.
    """
    data = canonical(the_deployment(replace(request, strict=True), path))
    write(json.dumps(data, indent=2, ensure_ascii=False) + "\n" if form == "json" else _yaml(data))


_SAFE_PLAIN = re.compile(r"[A-Za-z/][\w./-]*\Z", re.ASCII)
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null"))


def _yaml(data: Any) -> str:
    """YAML in which a text stays a text for readers of YAML 1.1 and of YAML 1.2."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        plain = _SAFE_PLAIN.match(value) and value.lower() not in _WORDS
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')

    Dumper.add_representer(str, text)
    rendered: str = yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return rendered
