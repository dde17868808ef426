"""Facts about what servers in containers are really set to and what they say, beside what they were given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.containers import probed, service_of
from infra_audit.facts.redis import setting
from infra_audit.facts.redis_directives import normal
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, evaluate, fact
from infra_audit.facts.services import command_words
from infra_audit.source import Span
from infra_audit.tree import Node
from infra_audit.units import format_bytes

__all__: list[str] = []


# -- redis ---------------------------------------------------------------------------------------

_REDIS_KEYS = (
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "tcp-keepalive",
    "timeout",
    "appendonly",
    "appendfsync",
    "save",
)


@fact("redis.effective_off", on="container")
def redis_off(container: Subject) -> Fact[list[Item]]:
    """Directives that the running server has otherwise than its command, its file or its defaults give."""
    node = probed(container, "redis")
    items = list(_redis_items(service_of(container), node)) if node is not None else []
    return Known(items, node or container.node)


def _redis_items(service: Subject, node: Node) -> Iterator[Item]:
    for key in _REDIS_KEYS:
        have = node.get(key)
        if have is None:
            continue
        try:
            want = setting(service, key)
        except Undecidable as error:
            want = Unknown(error.message)
        if isinstance(want, Unknown):
            yield Item(f"{key}: {want.why}", (Evidence(have),), unknown=True)
        elif want.value is not None and normal(key, [str(have.value)]) != want.value:
            places = (Evidence(have), *(Evidence(one.place, one.note or "given here") for one in want.because[:1]))
            yield Item(f"{key} is {have.value or 'empty'}", places, expected=want.value or "empty")


# -- postgres ------------------------------------------------------------------------------------

_UNITS = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_TIMES = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_QUANTITY = re.compile(r"([0-9.]+)\s*([a-zA-Z]*)")
_LINE = re.compile(r"\s*([a-z_.]+)\s*(?:=|\s)\s*('(?:[^']|'')*'|[^\s#']+)")
_ON = {"pglz": "on", "true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}


@fact("postgres.effective_off", on="container")
def postgres_off(container: Subject) -> Fact[list[Item]]:
    """Settings of the running server that are other than given, changed by ALTER SYSTEM, or waiting for a restart."""
    node = probed(container, "postgres")
    if node is None:
        return Known([], container.node)
    return Known(list(_postgres_items(service_of(container), node)), node)


def _postgres_items(service: Subject, node: Node) -> Iterator[Item]:
    given: dict[str, tuple[str, Node | Span]] = {}
    why = ""
    try:
        given = dict(_given(service))
    except InfraAuditError as error:
        why = error.message
    for name, entry in node.items():
        value, unit, pending, file = (entry.get(key) for key in ("value", "unit", "pending", "file"))
        if value is None or unit is None:
            continue
        shown = f"{value.value} × {unit.value}" if str(unit.value)[:1].isdigit() else f"{value.value}{unit.value}"
        if pending is not None and pending.value is True:
            yield Item(f"{name} is {shown} until a restart, which the new value waits for", (Evidence(pending),))
        elif file is not None and str(file.value).endswith("postgresql.auto.conf"):
            yield Item(f"{name} is {shown}, set by ALTER SYSTEM", (Evidence(value),))
        elif name in given:
            text, place = given[name]
            if not _same(text, str(value.value), str(unit.value)):
                yield Item(f"{name} is {shown}", (Evidence(value), Evidence(place, "given here")), expected=text)
        elif why:
            yield Item(f"{name}: {why}", (Evidence(value),), unknown=True)


def _given(service: Subject) -> Iterator[tuple[str, tuple[str, Node | Span]]]:
    """Settings of the mounted configuration, then of the command, which wins."""
    words = command_words(service)
    options = [word for flag, word in pairwise(words) if flag.text == "-c"]
    options += [word for word in words if word.text.startswith("--") and "=" in word.text]
    pairs = [(word.text.removeprefix("--").partition("="), word.place) for word in options]
    path = next((value for (name, _, value), _ in pairs if name.replace("-", "_") == "config_file"), None)
    if path is not None:
        source = ContainerFiles(service).open(path)
        for match in _LINE.finditer(source.text) if hasattr(source, "text") else ():
            start = source.text.rfind("\n", 0, match.start(1)) + 1
            if "#" not in source.text[start : match.start(1)]:
                yield match[1], (match[2].strip("'"), source.span(match.start(2), match.end(2)))
    for (name, _, value), place in pairs:
        if name != "config_file":
            yield name.replace("-", "_"), (value, place)


def _same(given: str, value: str, unit: str) -> bool:
    """True where the text of a configuration means the value that the server has in its own unit."""
    if given.strip() == value:
        return True
    mine, theirs = _amount(given, unit), _amount(value + (unit if not unit[:1].isdigit() else ""), unit)
    if mine is not None and theirs is not None:
        if unit[:1].isdigit():
            theirs = float(value) * (_amount(unit, unit) or 1)
        return abs(mine - theirs) < 1e-6 * max(1.0, theirs)
    low = given.lower()
    return _ON.get(low, low) == _ON.get(value.lower(), value.lower())


def _amount(text: str, unit: str) -> float | None:
    """Bytes or microseconds; a bare number counts in the setting's own unit."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    suffix = match[2].lower()
    try:
        number = float(match[1])
    except ValueError:
        return None
    if suffix in _UNITS or suffix in _TIMES:
        return number * (_UNITS.get(suffix) or _TIMES[suffix])
    if suffix:
        return None
    own = _QUANTITY.fullmatch(unit)
    if own is not None:  # 8kB
        return number * float(own[1]) * _UNITS.get(own[2].lower(), 1)
    return number * (_UNITS.get(unit.lower()) or _TIMES.get(unit.lower()) or 1)


# -- rabbitmq ------------------------------------------------------------------------------------


@fact("rabbitmq.watermark_above_limit", on="container")
def watermark(container: Subject) -> Fact[list[Item]]:
    """The memory at which the broker stops publishers, where that is more than the container may have."""
    node = probed(container, "rabbitmq")
    mark = node.get("watermark") if node is not None else None
    limit = evaluate(service_of(container), "service.memory_limit")
    if mark is None or isinstance(limit, Unknown) or limit.value is None or mark.value < limit.value:
        return Known([], container.node)
    places = (Evidence(mark), *(Evidence(one.place, "the container's limit") for one in limit.because[:1]))
    return Known([Item(format_bytes(mark.value), places, expected=format_bytes(limit.value))], mark)


# -- prometheus and grafana ----------------------------------------------------------------------


def _entries(container: Subject, probe: str, part: str) -> list[Node]:
    node = probed(container, probe)
    found = node.get(part) if node is not None else None
    return found.entries() if found is not None else []


def _text(node: Node, key: str) -> str:
    child = node.get(key)
    return "" if child is None or child.value is None else str(child.value)


def _said(text: str) -> str:
    return f": {text.splitlines()[0]}" if text.strip() else ""


@fact("prometheus.targets_down", on="container")
def targets_down(container: Subject) -> Fact[list[Item]]:
    """Targets that Prometheus scrapes without success."""
    return Known(
        [
            Item(
                f"{_text(one, 'address')} of job {_text(one, 'job')}{_said(_text(one, 'error'))}", (_at(one, "health"),)
            )
            for one in _entries(container, "prometheus", "targets")
            if _text(one, "health") == "down"
        ],
        container.node,
    )


@fact("prometheus.rules_failing", on="container")
def rules_failing(container: Subject) -> Fact[list[Item]]:
    """Rules whose last evaluation failed."""
    return Known(
        [
            Item(
                f"{_text(one, 'name')} of group {_text(one, 'group')}{_said(_text(one, 'error'))}",
                (_at(one, "health"),),
            )
            for one in _entries(container, "prometheus", "rules")
            if _text(one, "health") == "err"
        ],
        container.node,
    )


@fact("prometheus.alerts_firing", on="container")
def alerts_firing(container: Subject) -> Fact[list[Item]]:
    """Alerts that fire; not a dead man's switch, which always does."""
    firing: dict[str, list[Node]] = {}
    for one in _entries(container, "prometheus", "alerts"):
        name = _text(one, "name")
        if name.lower() not in _ALWAYS and _text(one, "severity") != "none":
            firing.setdefault(name, []).append(one)
    items = []
    for name, group in firing.items():
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        items.append(Item(f"{name}{times} since {_text(group[0], 'since')[:19]}", (_at(group[0], "name"),)))
    return Known(items, container.node)


_ALWAYS = ("watchdog", "deadmansswitch", "deadmanswitch", "alwaysfiring")


@fact("grafana.datasources_failing", on="container")
def datasources_failing(container: Subject) -> Fact[list[Item]]:
    """Data sources whose own health check fails."""
    return Known(
        [
            Item(f"{_text(one, 'name')}{_said(_text(one, 'message'))}", (_at(one, "health"),))
            for one in _entries(container, "grafana", "datasources")
            if _text(one, "health") not in ("OK", "")
        ],
        container.node,
    )


def _at(node: Node, key: str) -> Evidence:
    return Evidence(node.get(key) or node)


# -- the engine's host ---------------------------------------------------------------------------


def _engine(deployment: Subject, *path: str) -> Node | None:
    node = deployment.deployment.tree.get("engine", *path)
    return None if node is None or node.value is None else node


@fact("deployment.host_cpus", on="deployment", unit="cpus")
def host_cpus(deployment: Subject) -> Fact[Any]:
    """CPUs of the engine's host; None for files."""
    node = _engine(deployment, "NCPU")
    return Known(None if node is None else float(node.value), node or deployment.node)


@fact("deployment.host_memory", on="deployment", unit="bytes")
def host_memory(deployment: Subject) -> Fact[Any]:
    """Memory of the engine's host in bytes; None for files."""
    node = _engine(deployment, "MemTotal")
    return Known(None if node is None else int(node.value), node or deployment.node)
