"""Facts about what Docker Compose itself would do with the containers that run."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.tree import Node

__all__: list[str] = []

_LABEL = "com.docker.compose.config-hash"
_RUNNING = ("running", "paused", "restarting")
_HIDDEN = ("label_file", "volumes_from")
"""Keys that are a part of the hash in a form that Compose does not show."""


@fact("deployment.config_hash_off", on="deployment")
def config_hash_off(deployment: Subject) -> Fact[list[Item]]:
    """Services with containers that Docker Compose made from another configuration than its files give now."""
    whole = deployment.deployment
    made = _made(deployment)
    if whole.declared is None or whole.config_hashes is None or not made:
        return Known([], deployment.node)
    hashes = whole.config_hashes()
    items: list[Item] = []
    for service in whole.declared.subjects("service"):
        if service.name in made:
            items += _item(service, made[service.name], hashes.get(service.name))
    return Known(items, deployment.node)


def _made(deployment: Subject) -> dict[str, list[tuple[str, Node]]]:
    """Service → its running containers, each with the label that holds the hash."""
    found: dict[str, list[tuple[str, Node]]] = {}
    for container in deployment.deployment.subjects("container"):
        labels, state = container.node.get("Config", "Labels"), container.node.get("State", "Status")
        name, label = container.node.get("ServiceName"), labels.get(_LABEL) if labels is not None else None
        one_off = labels.get("com.docker.compose.oneoff") if labels is not None else None
        if name is None or name.value is None or label is None or state is None or state.value not in _RUNNING:
            continue
        if one_off is None or str(one_off.value).lower() != "true":
            found.setdefault(str(name.value), []).append((container.name, label))
    return found


def _item(service: Subject, made: list[tuple[str, Node]], expected: str | None) -> Iterator[Item]:
    off = [(name, label) for name, label in made if label.value != expected]
    if not off:
        return
    ref = ("service", service.name)
    try:
        service.node.known()
        why = _undecided(service.node) or ("" if expected else "Docker Compose gives no hash of it")
    except Undecidable as error:
        why = error.message
    if why:
        yield Item(why, (), ref, unknown=True)
        return
    more = f" and {len(off) - 1} more" if len(off) > 1 else ""
    places = [Evidence(label, f"{name} was made from another configuration") for name, label in off]
    yield Item(f"{off[0][0]}{more}", (Evidence(service.node), *places), ref)


def _undecided(service: Node) -> str:
    """Why another hash says nothing about a service; "" where it does."""
    for key in _HIDDEN:
        if (node := service.get(key)) is not None and node.value:
            return f"Docker Compose does not show what it hashes for {key}"
    for name, node in (service.get("environment") or service.with_value({})).items():
        if node.value is None:
            return f"{name} comes from the environment of whoever ran `docker compose up`"
    return ""
