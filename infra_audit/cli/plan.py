"""``infra-audit plan``: drafts a plan from a deployment, so that a team can adopt one in a minute."""

from __future__ import annotations

import io
from typing import Any

import click
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment, the_project
from infra_audit.cli.options import PATH, Address, engine_address, request_options
from infra_audit.cli.output import write
from infra_audit.draft import Draft, DraftRole, draft
from infra_audit.errors import UsageError
from infra_audit.reports.terminal import printable

__all__ = ["command"]

_HEAD = """\
The numbers of {name}, drafted from {files}.
Correct what is not meant, fill in what is missing, and name this file under `plan:` in .infra-audit.yaml.
A bare number asks for at least so much; {{exactly: 2}} finds a drift in either direction.
"""
_TARGET = """\
What the whole must carry; a stage of the pipeline has an order and the rate of one replica:
  target: {throughput: 20000, unit: orders/hour}
  roles: {worker: {stage: {order: 1, rate: 5000}}}
"""


@click.command("plan", short_help=COMMANDS["plan"])
@click.argument("path", required=False, type=PATH)
@request_options()
@click.option("--live", is_flag=True, help="From what runs: the project of -p, of this folder, or the only one.")
@engine_address
@click.option("--replay", type=PATH, metavar="FILE", help="With --live: a saved snapshot.")
@click.option("--name", metavar="NAME", help="The plan's name. Default: the deployment's.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write it to a file.")
def command(
    path: str | None,
    request: Request,
    live: bool,
    address: Address,
    replay: str | None,
    name: str | None,
    output: str | None,
) -> None:
    """Draft a plan from the deployment at PATH: its own numbers, with remarks on what the files do not say.

    With --live, from what runs instead. What is checked against its own draft differs from it in nothing.
    """
    request = request._replace(plan="none")
    if live and path is None:
        from infra_audit.running import Look

        # what a server is set to inside is no number that a plan draws up
        look = Look(*address, replay=replay, without=frozenset(("all",)))
        deployment = the_project(request, look)
    elif live or replay is not None:
        raise UsageError("--live looks at what runs: without PATH" if live else "--replay needs --live")
    else:
        deployment = the_deployment(request, path)
    write(_text(draft(deployment, name)), output)


def _text(drafted: Draft) -> str:
    root = CommentedMap()
    files = " + ".join(map(printable, drafted.files)) or "what runs"
    root["plan"] = drafted.name
    root.yaml_set_start_comment(_HEAD.format(name=printable(drafted.name), files=files))
    if drafted.budget:
        root["budget"] = _flow(drafted.budget)
    _before(root, "budget" if drafted.budget else None, drafted.budget_remarks)
    if drafted.networks:
        root["networks"] = CommentedMap({name: _flow(values) for name, values in drafted.networks.items()})
    root["roles"] = _roles(drafted.roles)
    root.yaml_set_comment_before_after_key("networks" if drafted.networks else "roles", before="\n" + _TARGET)
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(root, stream)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _roles(roles: tuple[DraftRole, ...]) -> CommentedMap:
    made = CommentedMap()
    layer = ""
    for role in roles:
        values = CommentedMap({key: _flow(value) for key, value in role.values.items()})
        made[role.name] = values if values else None
        remarks = list(role.remarks)
        if role.layer != layer:
            remarks.insert(0, f"-- {role.layer} --")
            layer = role.layer
        _before(made, role.name, tuple(remarks), indent=2)
    return made


def _before(made: CommentedMap, key: str | None, remarks: tuple[str, ...], indent: int = 0) -> None:
    if remarks and key is not None:
        text = "\n".join(printable(remark) for remark in remarks)
        made.yaml_set_comment_before_after_key(key, before="\n" + text, indent=indent)


def _flow(value: Any) -> Any:
    """Small mappings and lists on one line."""
    if isinstance(value, dict):
        made = CommentedMap({key: _flow(item) for key, item in value.items()})
        made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        listed = CommentedSeq(value)
        listed.fa.set_flow_style()
        return listed
    return value
