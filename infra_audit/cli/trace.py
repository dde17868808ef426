"""``infra-audit trace``: where one value comes from, hop by hop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import click

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import color_options, request_options
from infra_audit.cli.output import look_for, write
from infra_audit.errors import UsageError
from infra_audit.reports.terminal import Style, printable
from infra_audit.secrets import is_secret_key, mask, mask_data, mask_value, secret_ranges
from infra_audit.source import Span
from infra_audit.tree import Node, holes_as_text

__all__ = ["command"]

_EXCERPT = 72


@click.command("trace", short_help=COMMANDS["trace"])
@click.argument("address")
@click.argument("path", required=False, type=click.Path(path_type=str, readable=False))
@request_options
@color_options
def command(address: str, path: str | None, request: Request, color: bool | None, width: int | None) -> None:
    """Show the value at ADDRESS, such as services.redis.mem_limit or services.web.ports[0].published.

    The first line is the value in Docker Compose's canonical form; the lines below it are the places
    that it came through, oldest first. Credentials are masked.
    """
    deployment = the_deployment(request, path)
    steps, node = _find(deployment.tree, address)
    style = Style(look_for(None, color, width).color)
    write("\n".join(_lines(steps, node, style)) + "\n")


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
            near = get_close_matches(rest.split(".")[0], keys, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(keys[:12])}" if keys else ""
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


def _lines(steps: Sequence[str | int], node: Node, style: Style) -> Iterator[str]:
    address = ".".join(map(str, steps)) or "(deployment)"
    yield f"{style('bold', printable(address))} = {_value(steps, node)}"
    yield from _way(node, style, "  ")
    if node.is_scalar:
        return
    for path, leaf in node.walk():
        if path and (leaf.is_scalar or not leaf.value):
            name = ".".join(map(str, path))
            yield f"  {style('bold', printable(name))} = {_value((*steps, *path), leaf)}"
            yield from _way(leaf, style, "    ")


def _value(steps: Sequence[str | int], node: Node) -> str:
    """The value as JSON, credentials masked; a collection in short."""
    if node.is_mapping or node.is_list:
        return f"{len(node.value)} {'entries' if len(node.value) != 1 else 'entry'}"
    value: Any = node.value
    if isinstance(value, str):
        value = holes_as_text(value, node.hops)
        secret = any(isinstance(step, str) and is_secret_key(step) for step in steps[1:])
        value = mask_value("password", value) if secret else mask_data(value)
    return printable(json.dumps(value, ensure_ascii=False))


def _way(node: Node, style: Style, indent: str) -> Iterator[str]:
    """The hops of a node, oldest first, and last where it is written."""
    for hop in node.hops:
        note = f" {printable(mask(hop.note))}" if hop.note else ""
        yield f"{indent}{hop.kind}{note}" + (f"  {_place(hop.span, style)}" if hop.span else "")
    yield f"{indent}written  {_place(node.place, style)}"


def _place(span: Span, style: Style) -> str:
    """A place and the line that stands there, in short and without credentials."""
    line = span.source.line(span.line)
    for start, end in reversed(secret_ranges(line, span.source.line(span.line - 1))):
        line = f"{line[:start]}***{line[end:]}"
    line = printable(line.strip())
    if len(line) > _EXCERPT:
        line = line[: _EXCERPT - 1] + "…"
    return style("place", printable(str(span))) + (f"  {line}" if line else "")
