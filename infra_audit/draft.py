"""Drafts a plan from a deployment: its own numbers, for a team that has not written them down.

What the files do not say, or leave to a variable without a value, is a remark and no number. A
deployment that is checked against its own draft differs from it in nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.host_ports import published_ports
from infra_audit.facts.registry import Known, Unknown, evaluate
from infra_audit.layers import LAYERS, layer_of
from infra_audit.named import NamedTuple
from infra_audit.units import exact_bytes, format_duration

__all__ = ["Draft", "DraftRole", "draft"]

_SETTINGS = ("maxclients", "maxmemory", "maxmemory-policy", "appendonly", "tcp-keepalive")
"""Settings of Redis that a plan usually documents; the others stay the configuration's own."""

_WORDS = frozenset(("maxmemory-policy", "appendonly"))
"""Settings that are no numbers; what is written for another one and is no number is no setting at all."""


class DraftRole(NamedTuple):
    """One service as a role. ``remarks`` say what is not documented here, and why."""

    name: str
    layer: str
    values: dict[str, Any]
    remarks: tuple[str, ...]


class Draft(NamedTuple):
    """A plan as plain data in the order in which it reads best, with remarks."""

    name: str
    files: tuple[str, ...]
    budget: dict[str, Any]
    budget_remarks: tuple[str, ...]
    networks: dict[str, dict[str, Any]]
    roles: tuple[DraftRole, ...]


def draft(deployment: Deployment, name: str | None = None) -> Draft:
    """The numbers of a deployment as a plan called ``name`` (default: the deployment's own name)."""
    roles = [_role(service) for service in deployment.subjects("service")]
    budget, remarks = _budget(deployment)
    return Draft(
        name or deployment.name,
        () if deployment.source == "live" else deployment.files,
        budget,
        remarks,
        {network.name: _network(network) for network in deployment.subjects("network") if _is_ours(network)},
        tuple(sorted(roles, key=lambda role: LAYERS.index(role.layer))),
    )


def _value(subject: Subject, name: str, otherwise: Any = None) -> Any:
    fact = evaluate(subject, name)
    return fact.value if isinstance(fact, Known) and fact.value is not None else otherwise


# -- the whole -----------------------------------------------------------------------------------


def _budget(deployment: Deployment) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the services that have limits take together."""
    budget: dict[str, Any] = {}
    remarks = []
    cpus = _value(deployment.root, "deployment.cpus_limited")
    memory = _value(deployment.root, "deployment.memory_limited")
    if cpus:
        budget["cpus"] = _number(cpus)
    if memory:
        budget["memory"] = exact_bytes(memory)
    for fact, what in (("deployment.cpus_total", "CPUs"), ("deployment.memory_total", "memory")):
        found = evaluate(deployment.root, fact)
        if isinstance(found, Unknown):
            remarks.append(f"not in the {what}: {found.why}")
    return budget, tuple(remarks)


def _is_ours(network: Subject) -> bool:
    return _value(network, "network.is_declared") is True and not _value(network, "network.is_external", True)


def _network(network: Subject) -> dict[str, Any]:
    values: dict[str, Any] = {}
    subnet = _value(network, "network.subnet")
    if isinstance(subnet, str):
        values["subnet"] = subnet
    mtu = _value(network, "network.mtu")
    if isinstance(mtu, int):
        values["mtu"] = mtu
    return values


# -- roles ---------------------------------------------------------------------------------------


def _role(service: Subject) -> DraftRole:
    remarks: list[str] = []
    values: dict[str, Any] = {}
    no_limit = "no limit" if service.deployment.source == "live" else "no limit in the files"
    for key, fact, write, lacking in (
        ("cpus", "service.cpu_limit", _number, no_limit),
        ("memory", "service.memory_limit", exact_bytes, no_limit),
        ("replicas", "service.replicas", int, ""),
    ):
        found = evaluate(service, fact)
        if isinstance(found, Unknown):
            remarks.append(f"{key}: {found.why}")
        elif found.value is None:
            remarks.append(f"{key}: {lacking}")
        else:
            values[key] = write(found.value)
    networks = _value(service, "service.networks")
    if networks and service.node.get("network_mode") is None:
        values["networks"] = list(networks)
    try:
        published = sorted(set(_published(service)))
    except Undecidable as error:
        remarks.append(f"published: {error.message}")
    else:
        values |= {"published": published} if published else {}
    parts = {"settings": _settings(service), "health": _health(service), "update": _update(service)}
    values |= {key: part for key, part in parts.items() if part}
    if service.node.get("stop_grace_period") is not None:
        period = _value(service, "service.stop_grace_period")
        if period:
            values["stop_grace_period"] = format_duration(period)
    if _value(service.deployment.root, "monitoring.has_prometheus") and _value(service, "monitoring.watched") is False:
        values["monitored"] = False
    return DraftRole(service.name, layer_of(service), values, tuple(remarks))


def _published(service: Subject) -> Iterator[int]:
    for port in service.deployment.subjects("port"):
        if port.parent is service:
            published = published_ports(port.node)
            if published is not None and published[0] == published[1]:
                yield published[0]


def _settings(service: Subject) -> dict[str, Any]:
    given = _value(service, "redis.settings", {}) if _value(service, "service.product") in ("redis", "valkey") else {}
    numbers = {name: int(value) for name, value in given.items() if value.isdecimal()}
    return {
        name: exact_bytes(numbers[name]) if name == "maxmemory" else numbers.get(name, given[name])
        for name in _SETTINGS
        if name in given and (name in numbers or name in _WORDS)
    }


def _health(service: Subject) -> dict[str, Any]:
    if _value(service, "health.status") != "probe":
        return {}
    health: dict[str, Any] = {}
    interval = _value(service, "health.interval")
    if interval:
        health["interval"] = format_duration(interval)
    timeout = _value(service, "health.timeout")
    if timeout and _value(service, "health.timeout_is_set"):
        health["timeout"] = format_duration(timeout)
    path = _value(service, "health.path")
    if path:
        health["path"] = str(path)
    return health


def _update(service: Subject) -> dict[str, Any]:
    written = service.node.get("deploy", "update_config")
    if written is None:
        return {}
    names = {"order": "service.update_order", "failure_action": "service.update_failure_action"}
    return {key: value for key, fact in names.items() if written.get(key) and (value := _value(service, fact))}


# -- numbers -------------------------------------------------------------------------------------


def _number(value: float) -> float | int:
    rounded = round(float(value), 6)
    return int(rounded) if rounded == int(rounded) else rounded
