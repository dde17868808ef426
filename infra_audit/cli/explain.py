"""``infra-audit explain ID``: a policy's document for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from infra_audit.audit import Request, catalogue
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.options import color_options, config_option
from infra_audit.cli.output import look_for, write
from infra_audit.cli.policies import nearest
from infra_audit.engine.conditions import leaves
from infra_audit.engine.policies import Check, Policy, read_document
from infra_audit.engine.templates import fill, placeholders
from infra_audit.facts.registry import definitions
from infra_audit.reports.terminal import Look, Style, wrap

__all__ = ["command"]


@click.command("explain", short_help=COMMANDS["explain"])
@click.argument("policy", metavar="ID")
@config_option
@color_options
def command(policy: str, config: str | None, color: bool | None, width: int | None) -> None:
    """Show the policy ID: why it is there, how to fix what it finds, and its examples."""
    look = look_for(None, color, width)
    found = nearest(policy, catalogue(Request(config=config)))
    write("\n".join(_page(found, read_document(found), look)) + "\n")


def _page(policy: Policy, document: dict[str, Any], look: Look) -> Iterator[str]:
    style = Style(look.color)
    width = min(look.width, 100)
    severities = sorted({check.severity for check in policy.checks} | {policy.severity}, reverse=True)
    colored = " or ".join(style(severity.name, severity.name) for severity in severities)
    yield style("bold", policy.id)
    yield f"{policy.title}"
    yield ""
    yield f"{colored} · judges each {policy.subject} · {policy.pack}/{policy.family}" + (
        "" if policy.enabled else " · off unless a configuration enables it"
    )
    yield from _prose("Why", document.get("why"), width, style)
    yield from _prose("How to fix it", _advice(policy), width, style)
    if policy.parameters:
        yield from _section("Parameters", style)
        yield from (f"  {name}: {value}" for name, value in policy.parameters.items())
    yield from _section("To say that it does not apply, with the reason", style)
    yield f"  # infra-audit: ignore[{policy.id}] reason       on the line of the finding or above it"
    yield f"  ignore: [{{policy: {policy.id}, subject: NAME, reason: …}}]       in .infra-audit.yaml"
    for kind, title in (("bad", "Gives a finding"), ("good", "Gives none")):
        for example in (document.get("examples") or {}).get(kind) or ():
            yield from _section(title, style)
            for name, text in example.items():
                yield f"  {style('place', name)}"
                yield from (f"    {style('dim', '|')} {line}".rstrip() for line in text.rstrip("\n").split("\n"))
    if document.get("references"):
        yield from _section("References", style)
        yield from (f"  {reference}" for reference in document["references"])


def _advice(policy: Policy) -> str:
    """The fixes of all checks, with words for what only a finding knows."""
    return "\n\n".join(dict.fromkeys(fill(check.fix, _words(policy, check)) for check in policy.checks if check.fix))


def _words(policy: Policy, check: Check) -> dict[str, tuple[Any, str]]:
    words: dict[str, tuple[Any, str]] = {
        part.name: (f"the {part.name.rpartition('.')[2].replace('_', ' ')}", "") for part in placeholders(check.fix)
    }
    words["subject"] = (f"the {policy.subject}", "")
    for leaf in leaves(check.require):
        bound = policy.parameters.get(leaf.right.value) if leaf.right.kind == "parameter" else None
        if isinstance(bound, int | float):
            words["expected"] = (bound, definitions()[leaf.fact].unit)
    return words


def _section(title: str, style: Style) -> Iterator[str]:
    yield ""
    yield style("bold", title)


def _prose(title: str, text: str | None, width: int, style: Style) -> Iterator[str]:
    if text:
        yield from _section(title, style)
        for number, paragraph in enumerate(text.strip().split("\n\n")):
            if number:
                yield ""
            yield from wrap(" ".join(paragraph.split()), width, "  ", "  ")
