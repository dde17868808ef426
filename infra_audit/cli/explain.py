"""``infra-audit explain ID``: a policy's document for people."""

from __future__ import annotations

from collections.abc import Iterator

import click

from infra_audit.audit import Request, catalogue
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.options import color_options, config_option
from infra_audit.cli.output import look_for, write
from infra_audit.cli.policies import nearest
from infra_audit.engine.policies import Policy
from infra_audit.engine.prose import describe
from infra_audit.finding import CIS_BENCHMARK, Description
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
    write("\n".join(_page(found, describe(found), look)) + "\n")


def _page(policy: Policy, described: Description, look: Look) -> Iterator[str]:
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
    yield from _prose("Why", described.why, width, style)
    yield from _prose("How to fix it", described.fix, width, style)
    if policy.parameters:
        yield from _section("Parameters", style)
        yield from (f"  {name}: {value}" for name, value in policy.parameters.items())
    yield from _section("To say that it does not apply, with the reason", style)
    yield f"  # infra-audit: ignore[{policy.id}] reason       on the line of the finding or above it"
    yield f"  ignore: [{{policy: {policy.id}, subject: NAME, reason: …}}]       in .infra-audit.yaml"
    for kind, title in (("bad", "Gives a finding"), ("good", "Gives none")):
        for example in described.examples.get(kind, ()):
            yield from _section(title, style)
            for name, text in example.files.items():
                said = ", what the engine says otherwise" if name.startswith("docker:") else ""
                yield f"  {style('place', name)}{said}"
                for number, line in enumerate(text.rstrip("\n").split("\n"), 1):
                    mark = "  # <-- finding" if f"{name}:{number}" in example.findings else ""
                    yield f"    {style('dim', '|')} {line}{mark}".rstrip()
    references = [f"{CIS_BENCHMARK}, {number}" for number in described.cis] + list(described.references)
    if references:
        yield from _section("References", style)
        yield from (f"  {reference}" for reference in references)


def _section(title: str, style: Style) -> Iterator[str]:
    yield ""
    yield style("bold", title)


def _prose(title: str, text: str, width: int, style: Style) -> Iterator[str]:
    if text:
        yield from _section(title, style)
        for number, paragraph in enumerate(text.strip().split("\n\n")):
            if number:
                yield ""
            yield from wrap(" ".join(paragraph.split()), width, "  ", "  ")
