"""``infra-audit policies``: the catalogue, and how the commands find a policy by its id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby

import click

from infra_audit.audit import Request, catalogue
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.options import color_options, config_option, format_option
from infra_audit.cli.output import look_for, write
from infra_audit.engine.policies import Policy
from infra_audit.engine.prose import describe
from infra_audit.errors import UsageError
from infra_audit.hints import did_you_mean
from infra_audit.reports.terminal import Style, count

__all__ = ["command", "nearest"]


@click.command("policies", short_help=COMMANDS["policies"])
@config_option
@format_option("text", "json")
@color_options
def command(config: str | None, form: str, color: bool | None, width: int | None) -> None:
    """List the policies, shipped ones and those that .infra-audit.yaml names."""
    policies = sorted(
        catalogue(Request(config=config)).values(), key=lambda policy: (policy.pack, policy.family, policy.id)
    )
    if form == "json":
        write(json.dumps({"policies": [_entry(policy) for policy in policies]}, indent=2) + "\n")
        return
    style = Style(look_for(None, color, width).color)
    write("\n".join([*_table(policies, style), f"{count(len(policies), 'policy')}"]) + "\n")


def _entry(policy: Policy) -> dict[str, object]:
    return {
        "id": policy.id,
        "title": policy.title,
        "severity": policy.severity.name,
        "subject": policy.subject,
        "family": policy.family,
        "pack": policy.pack,
        "live": policy.live is True,
        "examples": {kind: [dict(one.files) for one in shown] for kind, shown in describe(policy).examples.items()},
    }


def _table(policies: list[Policy], style: Style) -> Iterable[str]:
    widest = max((len(policy.id) for policy in policies), default=0)
    for (pack, family), group in groupby(policies, key=lambda policy: (policy.pack, policy.family)):
        yield style("bold", f"{pack}/{family}" if family else pack)
        for policy in group:
            marks = "".join((" (live)" if policy.live else "", "" if policy.enabled else " (off)"))
            severity = style(policy.severity.name, f"{policy.severity.name:<7}")
            yield f"  {policy.id:<{widest}}  {severity}  {policy.title}{marks}"
        yield ""


def nearest(name: str, policies: Mapping[str, Policy]) -> Policy:
    """The policy of this id; raises UsageError that names the closest one."""
    if name not in policies:
        raise UsageError(f"no policy is called {name}{did_you_mean(name, policies)}")
    return policies[name]
