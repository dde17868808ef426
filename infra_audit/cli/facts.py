"""``infra-audit facts``: the facts that policies may ask for, and what they are for one subject."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import PATH, color_options, plan_option, request_options
from infra_audit.cli.output import look_for, write
from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.policies import SUBJECTS
from infra_audit.engine.templates import show
from infra_audit.errors import UsageError
from infra_audit.facts.registry import Definition, Unknown, definitions, evaluate, load_plugins
from infra_audit.hints import did_you_mean
from infra_audit.reports.terminal import Look, Style, printable, wrap
from infra_audit.secrets import MASK, is_secret_key, mask, mask_data

__all__ = ["command"]

_MAX_EVIDENCE = 4


@click.command("facts", short_help=COMMANDS["facts"])
@click.argument("subject", required=False)
@click.argument("path", required=False, type=PATH)
@request_options()
@plan_option
@color_options
def command(
    subject: str | None, path: str | None, request: Request, plan: str | None, color: bool | None, width: int | None
) -> None:
    """List the facts. With a SUBJECT of the deployment at PATH: their values, and the places they rest on.

    SUBJECT is a service's name, KIND:NAME (network:backend, port:web/8080:80/tcp), or "deployment".
    """
    look = look_for(None, color, width)
    load_plugins()
    if subject is None:
        if request.files:
            raise UsageError("name a SUBJECT of these files, such as a service")
        write("\n".join(_catalogue(look)) + "\n")
        return
    found = _subject(the_deployment(request._replace(plan=plan), path), subject)
    write("\n".join(_values(found, look)) + "\n")


def _catalogue(look: Look) -> Iterator[str]:
    style = Style(look.color)
    ordered = sorted(definitions().values(), key=lambda fact: (_rank(fact.kind), fact.name))
    for kind, group in groupby(ordered, key=lambda fact: fact.kind):
        yield style("bold", f"facts of a {kind}")
        for fact in group:
            unit = f" ({fact.unit})" if fact.unit else ""
            yield f"  {fact.name}{style('dim', unit)}"
            yield from wrap(" ".join(fact.doc.split("\n\n")[0].split()), look.width, "      ", "      ")
        yield ""


def _rank(kind: str) -> int:
    return SUBJECTS.index(kind) if kind in SUBJECTS else len(SUBJECTS)


def _subject(deployment: Deployment, name: str) -> Subject:
    if name == "deployment":
        return deployment.root
    service = deployment.service(name)
    if service is not None:
        return service
    kind, _, rest = name.partition(":")
    if kind in SUBJECTS and rest:
        found = deployment.subject(kind, rest)
        if found is not None:
            return found
        names = [subject.name for subject in deployment.subjects(kind)]
        raise UsageError(f"there is no {kind} {rest}{_hint(rest, names)}")
    names = [subject.name for subject in deployment.subjects("service")]
    raise UsageError(f"there is no service {name}{_hint(name, names)}")


def _hint(name: str, names: list[str]) -> str:
    return did_you_mean(name, names) or (f"; there are {', '.join(names[:12])}" if names else "")


def _values(subject: Subject, look: Look) -> Iterator[str]:
    style = Style(look.color)
    yield style("bold", f"{subject.kind} {printable(subject.name)}")
    for fact in sorted(definitions().values()):
        if fact.kind == subject.kind:
            yield from _value(subject, fact, look, style)


def _value(subject: Subject, fact: Definition, look: Look, style: Style) -> Iterator[str]:
    result = evaluate(subject, fact.name)
    if isinstance(result, Unknown):
        yield from wrap(f"{fact.name}: unknown, {mask(result.why)}", look.width, "  ", "      ")
        return
    yield from wrap(f"{fact.name} = {_shown(result.value, fact.unit)}", look.width, "  ", "      ")
    for evidence in result.because[:_MAX_EVIDENCE]:
        note = f": {printable(mask(evidence.note))}" if evidence.note else ""
        yield f"      {style('place', printable(str(evidence.span)))}{note}"
    hidden = len(result.because) - _MAX_EVIDENCE
    if hidden > 0:
        yield f"      and {hidden} more"


def _shown(value: Any, unit: str) -> str:
    if isinstance(value, dict):
        value = {key: MASK if is_secret_key(str(key)) and item else mask_data(item) for key, item in value.items()}
    return mask(show(value, unit))
