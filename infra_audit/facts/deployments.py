"""Facts about what reading the deployment met: what Docker Compose refuses, ignores or reads in another way."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact

__all__: list[str] = []


def _items(deployment: Subject, *kinds: str) -> Fact[list[Item]]:
    items = []
    for problem in deployment.deployment.problems:
        if problem.kind in kinds:
            related = (Evidence(other.span, other.note) for other in problem.related)
            subject = None if problem.subject.kind == "deployment" else (problem.subject.kind, problem.subject.name)
            unknown = problem.kind == "gap"
            text = f"{problem.message} ({problem.span})" if unknown else problem.message
            items.append(Item(text, (Evidence(problem.span), *related), subject, unknown=unknown))
    return Known(items, deployment.node)


@fact("compose.invalid", on="deployment")
def invalid(deployment: Subject) -> Fact[list[Item]]:
    """What Docker Compose refuses, and what cannot be decided here, such as an include from the network."""
    return _items(deployment, "invalid", "gap")


@fact("compose.env_files_invalid", on="deployment")
def env_files_invalid(deployment: Subject) -> Fact[list[Item]]:
    """Env files of services that Docker Compose cannot read."""
    return _items(deployment, "env-file-invalid")


@fact("compose.silent", on="deployment")
def silent(deployment: Subject) -> Fact[list[Item]]:
    """What Docker Compose accepts and reads as something else than it looks like."""
    return _items(deployment, "silent")


@fact("compose.obsolete", on="deployment")
def obsolete(deployment: Subject) -> Fact[list[Item]]:
    """Keys that Docker Compose ignores since they have no meaning any more."""
    return _items(deployment, "obsolete")


@fact("compose.unknown_key", on="deployment")
def unknown_key(deployment: Subject) -> Fact[list[Item]]:
    """Keys that Docker Compose does not know and passes over."""
    return _items(deployment, "unknown-key")


@fact("compose.version_needed", on="deployment")
def version_needed(deployment: Subject) -> Fact[list[Item]]:
    """Constructs that only newer versions of Docker Compose accept, with the version."""
    return _items(deployment, "version-needed")


@fact("compose.ineffective", on="deployment")
def ineffective(deployment: Subject) -> Fact[list[Item]]:
    """Limits that are written and that Docker Compose drops."""
    return _items(deployment, "ineffective")


_FROM_THE_SHELL = frozenset({"HOME", "PWD", "USER", "LOGNAME", "PATH", "SHELL", "HOSTNAME", "TMPDIR"})
"""Variables that every login shell exports: no env file has to set them."""


@fact("compose.unset", on="deployment")
def unset(deployment: Subject) -> Fact[list[Item]]:
    """Variables without a default that the env files leave out, each at its first use; undecided without env files."""
    whole = deployment.deployment
    found = {name: spans for name, spans in whole.unset.items() if name not in _FROM_THE_SHELL}
    if found and not whole.env_files:
        names = list(found)
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        why = f"no env file was read, so nothing is known about {shown}"
        return Known([Item(why, (), unknown=True)], deployment.node)
    return Known(
        [
            Item(name, (Evidence(spans[0]), *(Evidence(span, "used here too") for span in spans[1:])))
            for name, spans in found.items()
        ],
        deployment.node,
    )


_SHOWN = 4
