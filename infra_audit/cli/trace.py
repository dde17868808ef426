"""``infra-audit trace``: where one value comes from, hop by hop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import color_options, request_options
from infra_audit.cli.output import look_for, write
from infra_audit.compose.problems import dotted
from infra_audit.deployment import Deployment
from infra_audit.errors import UsageError
from infra_audit.hints import did_you_mean
from infra_audit.reports.frame import excerpt
from infra_audit.reports.terminal import Style, printable
from infra_audit.secrets import mask, mask_data
from infra_audit.source import Span
from infra_audit.tree import Node, holes_as_text

__all__ = ["command"]

_WORDS = {"override": "overridden", "merged": "continued"}
"""Hops whose note says no more than one word does."""


@click.command("trace", short_help=COMMANDS["trace"])
@click.argument("address", metavar="ADDRESS|metric NAME|alert NAME|monitoring")
@click.argument("rest", nargs=-1, metavar="[PATH]")
@request_options()
@color_options
def command(address: str, rest: tuple[str, ...], request: Request, color: bool | None, width: int | None) -> None:
    """Show the value at ADDRESS, such as services.redis.mem_limit or services.web.ports[0].published.

    The first line is the value in Docker Compose's canonical form; the lines below it are the places
    that it came through, oldest first. Credentials are masked.

    `metric NAME` and `alert NAME` show the chain between an alert or a panel and the services that feed it, link
    by link; `monitoring` shows what watches which service, and what is there for nothing.
    """
    style = Style(look_for(None, color, width).color)
    words = list(rest)
    name = words.pop(0) if address in ("metric", "alert") and words else ""
    if address in ("metric", "alert") and not name:
        raise UsageError(f"name the {address}: infra-audit trace {address} NAME")
    if len(words) > 1:
        raise UsageError(f"one PATH is enough: {' '.join(words)}")
    deployment = the_deployment(request, words[0] if words else None)
    if name or address == "monitoring":
        write("\n".join(_chain(deployment, address, name, style)) + "\n")
        return
    steps, node = _find(deployment.tree, address)
    shown = mask_data(_plain(deployment.tree))
    for step in steps:
        shown = shown[step]
    write("\n".join(_lines(steps, node, shown, style)) + "\n")


def _chain(deployment: Deployment, what: str, name: str, style: Style) -> Iterator[str]:
    """The links of a metric, an alert or the whole monitoring, a line each; those that are missing stand out."""
    from infra_audit import wiring  # the models of Prometheus, which other traces do not need

    if what == "monitoring":
        lines = list(wiring.overview(deployment))
    else:
        lines = list((wiring.metric_chain if what == "metric" else wiring.alert_chain)(deployment, name))
    for line in lines:
        text = printable(mask(line.text))
        shown = style("warning", f"! {text}") if line.loose else style("bold", text) if not line.depth else text
        place = f"  {style('place', printable(str(line.place)))}" if line.place is not None else ""
        yield f"{'  ' * line.depth}{shown}{place}"


def _find(tree: Node, address: str) -> tuple[list[str | int], Node]:
    """The node at a dotted address; a key may hold dots itself. Raises UsageError that says what is there."""
    rest = address.replace("[", ".").replace("]", "").strip(".")
    steps: list[str | int] = []
    node = tree
    while rest:
        step, child, rest_after = _step(node, rest)
        if child is None:
            where = ".".join(map(str, steps)) or "the deployment"
            keys = [key for key, _ in node.items()]
            hint = did_you_mean(rest.split(".")[0], keys) or (f"; it has {', '.join(keys[:12])}" if keys else "")
            raise UsageError(f"{where} has no {rest.split('.')[0]}{hint}")
        steps.append(step)
        node, rest = child, rest_after
    return steps, node


def _step(node: Node, rest: str) -> tuple[str | int, Node | None, str]:
    """The longest key (or the index) that an address begins with, its node, and what is left."""
    words = rest.split(".")
    if node.is_list:
        index = int(words[0]) if words[0].isdecimal() else -1
        return index, node.get(index) if index >= 0 else None, ".".join(words[1:])
    for length in range(len(words), 0, -1):
        key = ".".join(words[:length])
        child = node.get(key)
        if child is not None:
            return key, child, ".".join(words[length:])
    return "", None, rest


def _plain(node: Node) -> Any:
    """The plain value, with variables that have no value by their names."""
    value = node.value
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return holes_as_text(value, node.hops) if isinstance(value, str) else value


def _lines(steps: Sequence[str | int], node: Node, shown: Any, style: Style) -> Iterator[str]:
    """The value and its way, then those of each value in it; ``shown`` is the plain value, masked."""
    yield f"{style('bold', printable(dotted(tuple(steps)) if steps else 'the deployment'))} = {_value(shown)}"
    yield from _way(node, style, "  ")
    for path, leaf in node.walk():
        if path and (leaf.is_scalar or not leaf.value):
            value = shown
            for step in path:
                value = value[step]
            yield f"  {style('bold', printable(dotted(path)))} = {_value(value)}"
            yield from _way(leaf, style, "    ")


def _value(shown: Any) -> str:
    """The value as JSON; a collection in short."""
    if isinstance(shown, dict | list):
        return f"{len(shown)} {'entries' if len(shown) != 1 else 'entry'}"
    return printable(json.dumps(shown, ensure_ascii=False))


def _way(node: Node, style: Style, indent: str) -> Iterator[str]:
    """The hops of a node, oldest first, and last where it is written (or what implies it)."""
    steps = [
        (_WORDS.get(hop.kind) or f"{hop.kind} {printable(mask(hop.note))}".rstrip(), hop.span) for hop in node.hops
    ]
    if not any(hop.kind == "implied" for hop in node.hops):
        steps.append(("written", node.place))
    widest = max(len(words) for words, _ in steps)
    for words, span in steps:
        yield f"{indent}{words:<{widest}}  {_place(span, style) if span else ''}".rstrip()


def _place(span: Span, style: Style) -> str:
    """A place and the line that stands there, in short and without credentials."""
    line = excerpt(span)
    at = str(span) if span.source.text else span.source.path
    return style("place", printable(at)) + (f"  {line}" if line else "")
