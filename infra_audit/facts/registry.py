"""Facts: named properties of subjects, computed once each, known or unknown.

    @fact("service.memory_limit", on="service", unit="bytes")
    def memory_limit(service: Subject) -> Fact[int | None]:
        '''The memory limit of one container, in bytes; None without one.'''
        node = service.node.get("deploy", "resources", "limits", "memory")
        if node is None:
            return Known(None, service.node)
        return Known(int(node.known()), node)

A fact returns ``Known(value, *evidence)`` or ``Unknown(why)``. ``Node.known()`` raises Undecidable
where a value rests on an unset variable; that becomes Unknown here. Absent is not unknown: an
absent key with a defined default is Known(default), resting on the parent node.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar

from infra_audit.deployment import Subject
from infra_audit.errors import ConfigError, InfraAuditError, Undecidable, UsageError
from infra_audit.named import NamedTuple
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = [
    "Definition",
    "Evidence",
    "Fact",
    "Item",
    "Known",
    "Unknown",
    "compute",
    "definitions",
    "evaluate",
    "expect",
    "fact",
    "load_plugins",
    "unit_of",
    "value_of",
]

T_co = TypeVar("T_co", covariant=True)

FOLDER = os.path.dirname(os.path.abspath(__file__))
MODULES = (
    "infra_audit.facts.deployments",
    "infra_audit.facts.services",
    "infra_audit.facts.resources",
    "infra_audit.facts.containers",
    "infra_audit.facts.drift",
    "infra_audit.facts.config_hash",
    "infra_audit.facts.replicas",
    "infra_audit.facts.swarm",
    "infra_audit.facts.effective",
    "infra_audit.facts.engine_networks",
    "infra_audit.facts.runtime_memory",
    "infra_audit.facts.host_ports",
    "infra_audit.facts.capacity",
    "infra_audit.facts.documented",
    "infra_audit.facts.health",
    "infra_audit.facts.probes",
    "infra_audit.facts.listening",
    "infra_audit.facts.dependencies",
    "infra_audit.facts.networks",
    "infra_audit.facts.addresses",
    "infra_audit.facts.unused",
    "infra_audit.facts.ports",
    "infra_audit.facts.reachability",
    "infra_audit.facts.redis",
    "infra_audit.facts.redis_access",
    "infra_audit.facts.redis_checks",
    "infra_audit.facts.exposure",
    "infra_audit.facts.hardening",
    "infra_audit.facts.host_mounts",
    "infra_audit.facts.images",
    "infra_audit.facts.operation",
    "infra_audit.facts.dashboards",
    "infra_audit.facts.panels",
    "infra_audit.facts.datasources",
    "infra_audit.facts.grafana_service",
    "infra_audit.facts.monitored",
    "infra_audit.facts.prometheus_checks",
    "infra_audit.facts.promtool_checks",
    "infra_audit.facts.target_checks",
    "infra_audit.facts.alertmanager",
    "infra_audit.facts.rule_checks",
    "infra_audit.facts.alert_checks",
    "infra_audit.facts.promql_checks",
    "infra_audit.facts.selector_checks",
    "infra_audit.facts.missing_files",
    "infra_audit.facts.mounted_files",
    "infra_audit.facts.secret_literals",
    "infra_audit.facts.env_templates",
    "infra_audit.facts.postgres",
    "infra_audit.facts.shared_credentials",
    "infra_audit.facts.rabbitmq",
    "infra_audit.facts.elasticsearch",
    "infra_audit.facts.storage",
)
"""Every module that registers facts. One is imported when a fact of it is first asked for (see ``expect``)."""


PLUGINS = "infra_audit.facts"
"""Entry point group of modules that register further facts."""


class Evidence(NamedTuple):
    """A place that a fact rests on. ``note`` says what stands there, for related places."""

    place: Node | Span
    note: str = ""

    @property
    def span(self) -> Span:
        return self.place.place if isinstance(self.place, Node) else self.place


class Known(Generic[T_co]):
    """A value and what it rests on. The first evidence is where a finding points."""

    __slots__ = ("_because", "value")

    def __init__(self, value: T_co, *because: Node | Span | Evidence) -> None:
        self.value = value
        self._because = because

    @property
    def because(self) -> tuple[Evidence, ...]:
        """What the value rests on. Few are asked, so none is made before."""
        return tuple([item if isinstance(item, Evidence) else Evidence(item) for item in self._because])

    def __repr__(self) -> str:
        return f"Known({self.value!r})"


class Unknown:
    """Not decidable from what was read; ``why`` completes "not decided: …".

    ``internal`` marks a fact that raised: a defect of ours, shown as such.
    """

    __slots__ = ("internal", "why")

    def __init__(self, why: str, *, internal: bool = False) -> None:
        self.why = why
        self.internal = internal

    def __repr__(self) -> str:
        return f"Unknown({self.why!r})"


Fact: TypeAlias = Known[T_co] | Unknown


class Item(NamedTuple):
    """One entry of a fact whose value is a list of things that are wrong.

    The condition ``empty: true`` over such a list gives one finding per item: ``{value}`` is
    ``text``, the finding points to the item's first evidence, ``subject`` (kind, name) replaces the
    subject of the policy where it is set, and ``expected`` is ``{expected}``.
    """

    text: str
    because: tuple[Evidence, ...]
    subject: tuple[str, str] | None = None
    expected: Any = None
    unknown: bool = False
    """True where the item cannot be decided: it becomes a gap with ``text`` as its reason."""


class Definition(NamedTuple):
    """A registered fact. ``unit`` is how its value is printed: bytes, ratio, duration, cpus, …"""

    name: str
    kind: str
    unit: str
    doc: str
    compute: Callable[[Subject], Fact[Any]]


_definitions: dict[str, Definition] = {}


def fact(
    name: str, *, on: str, unit: str = ""
) -> Callable[[Callable[[Subject], Fact[Any]]], Callable[[Subject], Fact[Any]]]:
    """Register a function as the fact ``name`` of subjects of kind ``on``."""

    def register(compute: Callable[[Subject], Fact[Any]]) -> Callable[[Subject], Fact[Any]]:
        if name in _definitions:
            raise ValueError(f"fact {name} is defined twice")
        _definitions[name] = Definition(name, on, unit, compute.__doc__ or "", compute)
        return compute

    return register


def definitions() -> dict[str, Definition]:
    """All facts by name."""
    for module in MODULES:
        importlib.import_module(module)
    return _definitions


_expected: dict[str, str] = {}


def expect(modules: Mapping[str, str]) -> None:
    """Tell which module registers which fact, so that asking for a fact imports no other module.

    A hint alone: a fact that is not where it is expected is looked for in all MODULES.
    """
    _expected.update(modules)


@cache
def load_plugins() -> None:
    """Imports the modules that installed packages name as entry points of the group PLUGINS.

    Raises ConfigError for one that cannot be imported. Shipped policies need none of them, so a run
    asks only where somebody has policies of his own.
    """
    from importlib.metadata import entry_points  # reads the lists of all installed packages

    for entry in entry_points(group=PLUGINS):
        definitions()  # a plugin's fact may not take the place of one of these
        try:
            entry.load()
        except Exception as error:  # somebody else's code may raise anything
            raise ConfigError(f"the plugin {entry.name} ({entry.value}) cannot be loaded: {error}") from error


def _find(name: str) -> Definition | None:
    if name in _expected:
        importlib.import_module(_expected[name])
    return _definitions.get(name) or definitions().get(name)


def unit_of(name: str) -> str:
    """The unit of a fact; "" where it has none or nobody has asked for the fact yet."""
    definition = _definitions.get(name)
    return "" if definition is None else definition.unit


def evaluate(subject: Subject, name: str) -> Fact[Any]:
    """The fact of a subject, computed at the first call. Never raises on bad input."""
    cached = subject.cache.get(name)
    if cached is None:
        return compute(subject, name)
    return cached if cached is not _RUNNING else Unknown(f"{name} depends on itself", internal=True)


def compute(subject: Subject, name: str) -> Fact[Any]:
    """A fact that the subject's cache does not hold yet."""
    definition = _definitions.get(name) or _find(name)
    if definition is None:
        raise UsageError(f"unknown fact {name}")
    if definition.kind != subject.kind:
        owner = _owner(subject, definition)
        found = evaluate(owner, name)
        if owner.cache.get(name) is found:
            subject.cache[name] = found
        return found
    subject.cache[name] = _RUNNING
    result: Fact[Any]
    try:
        result = definition.compute(subject)
    except Undecidable as error:
        result = Unknown(error.message)
    except InfraAuditError as error:
        result = Unknown(str(error))
    except Exception as error:  # a fact that raises must not end the audit: it becomes a gap marked as ours
        result = Unknown(f"internal error in fact {name}: {type(error).__name__}", internal=True)
    subject.cache[name] = result
    return result


_RUNNING = Unknown("it is being computed")
"""Stands for a fact while it is computed."""


def _owner(subject: Subject, definition: Definition) -> Subject:
    """The subject that has a fact: one that this subject is a part of."""
    owner = subject
    while owner.kind != definition.kind and owner.parent is not None:
        owner = owner.parent
    if owner.kind != definition.kind and definition.kind == "deployment":
        return subject.deployment.root
    if owner.kind != definition.kind:
        raise UsageError(f"fact {definition.name} belongs to a {definition.kind}, not to a {subject.kind}")
    return owner


def value_of(subject: Subject, name: str) -> Any:
    """The value of another fact inside a fact; raises Undecidable where it is unknown."""
    result = evaluate(subject, name)
    if isinstance(result, Unknown):
        raise Undecidable(result.why)
    return result.value
