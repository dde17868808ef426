"""Plans: the numbers that a team documented for one system, and their binding to a deployment.

A plan says what each *role* gets (CPU, memory, replicas, networks, settings, health check), what
each network is, and what the whole may use. A *binding* tells which service fills which role and
answers ``{plan: key.path}`` for a subject.

Everything here is built from plain data, so that a shipped plan costs no validation at start.
A user's plan is validated by ``engine.documents`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import ConfigError
from infra_audit.named import NamedTuple
from infra_audit.source import Span
from infra_audit.tree import Node
from infra_audit.units import parse_bytes

__all__ = ["MISSING", "Bound", "Match", "Plan", "PlanBinding", "PlanNetwork", "Role", "bind"]


class _Missing:
    """The type of MISSING, the answer of a plan that says nothing."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


class Bound(NamedTuple):
    """A number of a plan. ``memory: 2GiB`` asks for at least so much, ``{exactly: 2GiB}`` for just that."""

    value: Any
    exactly: bool = False

    @classmethod
    def of(cls, written: Any) -> Bound:
        if type(written) is dict and written.keys() == {"exactly"}:
            return cls(written["exactly"], exactly=True)
        return cls(written)


class Match(NamedTuple):
    """How a role finds its services. Each is a tuple of alternatives; labels are (key, value or None)."""

    labels: tuple[tuple[str, str | None], ...] = ()
    services: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    @classmethod
    def of(cls, written: Mapping[str, Any], role: str) -> Match:
        match = cls(
            _labels(written.get("label")),
            _texts(written.get("service")),
            _texts(written.get("image")),
            _texts(written.get("product")),
        )
        return match if any(match) else match._replace(services=(role,))


class Role(NamedTuple):
    """What a plan says about the services of one kind. ``values`` is all of it, as written."""

    name: str
    match: Match
    values: Mapping[str, Any] = {}

    @property
    def cpus(self) -> float | None:
        """CPUs of one replica."""
        value = Bound.of(self.values.get("cpus")).value
        return None if value is None else float(value)

    @property
    def memory(self) -> int | None:
        """Memory of one replica, in bytes."""
        value = Bound.of(self.values.get("memory")).value
        return None if value is None else parse_bytes(str(value))

    @property
    def replicas(self) -> int | None:
        value = Bound.of(self.values.get("replicas")).value
        return None if value is None else int(value)

    @property
    def networks(self) -> tuple[str, ...] | None:
        """The networks that the role may be on; None where the plan does not say."""
        value = self.values.get("networks")
        return None if value is None else tuple(value)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings by name, without the word `exactly`."""
        return {name: Bound.of(value).value for name, value in (self.values.get("settings") or {}).items()}

    @property
    def health(self) -> Mapping[str, Any]:
        return {name: Bound.of(value).value for name, value in (self.values.get("health") or {}).items()}

    @property
    def stage(self) -> Mapping[str, Any] | None:
        """``order`` in the pipeline and ``rate`` of one replica, in the unit of the plan's target."""
        return self.values.get("stage")


class PlanNetwork(NamedTuple):
    """What a plan says about one network."""

    name: str
    values: Mapping[str, Any] = {}

    @property
    def subnet(self) -> str | None:
        return self.values.get("subnet")

    @property
    def mtu(self) -> int | None:
        value = Bound.of(self.values.get("mtu")).value
        return None if value is None else int(value)


class _Ways(NamedTuple):
    """What leads to a role: labels, globs of names and of images, products; the roles in the plan's order."""

    labels: tuple[tuple[str, str | None, Role], ...]
    services: tuple[tuple[str, Role], ...]
    images: tuple[tuple[str, Role], ...]
    products: Mapping[str, Role]

    @classmethod
    def to(cls, roles: Collection[Role]) -> _Ways:
        products: dict[str, Role] = {}
        for role in roles:
            for product in role.match.products:
                products.setdefault(product, role)
        return cls(
            tuple((key, value, role) for role in roles for key, value in role.match.labels),
            tuple((pattern, role) for role in roles for pattern in role.match.services),
            tuple((pattern, role) for role in roles for pattern in role.match.images),
            products,
        )


class Plan(NamedTuple):
    """The documented numbers of one system. ``values`` is the whole document, ``node`` the same with places."""

    name: str
    roles: Mapping[str, Role]
    ways: _Ways
    networks: Mapping[str, PlanNetwork]
    values: Mapping[str, Any]
    file: str = ""
    node: Node | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any], *, file: str = "", node: Node | None = None) -> Plan:
        """A plan from plain data; raises ConfigError where it is none at all."""
        name = data.get("plan")
        if not isinstance(name, str):
            raise ConfigError("a plan needs its name under the key `plan`", file=file)
        roles = {
            role: Role(role, Match.of(values.get("match") or {}, role), values)
            for role, values in _mappings(data.get("roles"))
        }
        networks = {network: PlanNetwork(network, values) for network, values in _mappings(data.get("networks"))}
        return cls(name, roles, _Ways.to(roles.values()), networks, data, file, node)

    @property
    def budget(self) -> Mapping[str, Any]:
        """``cpus`` and ``memory`` of the whole deployment."""
        return self.values.get("budget") or {}

    @property
    def panels(self) -> Mapping[str, tuple[str, ...]]:
        """Key panels: a glob of the title → globs of metrics of which it asks at least one."""
        written = (self.values.get("monitoring") or {}).get("panels") or {}
        return {title: _texts(metrics) for title, metrics in written.items()}

    @property
    def target(self) -> Mapping[str, Any]:
        """``throughput`` and its ``unit``."""
        return self.values.get("target") or {}

    @property
    def alerts(self) -> Mapping[str, Any]:
        """``count`` of alerts, and ``failures``: what an alert must watch → metrics that show it."""
        return (self.values.get("monitoring") or {}).get("alerts") or {}


class PlanBinding(NamedTuple):
    """A plan laid over a deployment: which service fills which role.

    ``adopted``: its findings have their full severity; otherwise they are information.
    ``why``: one line for the report, "" where there is nothing to say.
    """

    plan: Plan
    adopted: bool
    why: str
    filled: Mapping[str, Role]
    """Service name → role."""

    def role(self, subject: Subject) -> Role | None:
        """The role of a service, or of the service that a port, mount or dependency belongs to."""
        service: Subject | None = subject
        while service is not None and service.kind != "service":
            service = service.parent
        return None if service is None else self.filled.get(service.name)

    def network(self, subject: Subject) -> PlanNetwork | None:
        return self.plan.networks.get(subject.name) if subject.kind == "network" else None

    def services(self, role: str) -> tuple[str, ...]:
        """Names of the services that fill a role."""
        return tuple(service for service, filled in self.filled.items() if filled.name == role)

    def found_roles(self) -> list[Role]:
        names = {role.name for role in self.filled.values()}
        return [role for name, role in self.plan.roles.items() if name in names]

    def missing_roles(self) -> list[Role]:
        """Roles that no service fills; none where the plan is not adopted, for nobody promised them."""
        if not self.adopted:
            return []
        names = {role.name for role in self.filled.values()}
        return [role for name, role in self.plan.roles.items() if name not in names]

    def lookup(self, subject: Subject, path: str) -> Any:
        """What the plan says at a key path for a subject ("2GiB"), or MISSING."""
        bound = self.bound(subject, path)
        return bound.value if isinstance(bound, Bound) else MISSING

    def bound(self, subject: Subject, path: str) -> Bound | _Missing:
        """As ``lookup``, with whether the number is exact."""
        values, _ = self._section(subject)
        found = MISSING if values is None else _find(values, path)
        return MISSING if found is MISSING or found is None else Bound.of(found)

    def binds(self, subject: Subject, paths: Iterable[str]) -> bool:
        """True where the plan says something for a subject at all of these paths."""
        if subject.kind == "service" and subject.name not in self.filled:
            return False
        values, _ = self._section(subject)
        return values is not None and all(_find(values, path) not in (MISSING, None) for path in paths)

    def place(self, subject: Subject, path: str) -> Span | None:
        """Where the plan says it; None for a shipped plan, whose places nobody needs."""
        values, steps = self._section(subject)
        node = self.plan.node
        if node is None or values is None:
            return None
        found = node.get(*steps) if steps else node
        for step in path.split("."):
            found = None if found is None else found.get(step)
        return None if found is None else found.place

    def _section(self, subject: Subject) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
        """The part of the plan that speaks about a subject, and its path."""
        if subject.kind == "deployment":
            return (self.plan.values if self.adopted else None), ()
        if subject.kind == "network":
            network = self.network(subject)
            return (None, ()) if network is None else (network.values, ("networks", network.name))
        role = self.role(subject)
        return (None, ()) if role is None else (role.values, ("roles", role.name))


def bind(
    plan: Plan, deployment: Deployment, product_of: Callable[[Subject], str | None], *, adopted: bool | None = None
) -> PlanBinding:
    """Lay a plan over a deployment.

    ``adopted``: True where somebody asked for the plan, False where somebody refused it; None lets
    the deployment decide: it adopts the plan when at least half of the plan's roles are found in it.
    """
    filled: dict[str, Role] = {}
    for service in deployment.subjects("service"):
        role = _role_of(service, plan, product_of)
        if role is not None:
            filled[service.name] = role
    found = len({role.name for role in filled.values()})
    total = len(plan.roles)
    decided = adopted if adopted is not None else found > 0 and found * 2 >= total
    count = f"{found} of {total} {'role' if total == 1 else 'roles'}"
    if adopted:
        why = f"judged against plan {plan.name}: {count} found"
    elif decided:
        why = f"judged against plan {plan.name}: {count} found; --plan none to leave it out"
    elif found:
        why = f"compared with plan {plan.name} for {count}, as information; --plan {plan.name} to judge against it"
    else:
        why = ""
    return PlanBinding(plan, decided, why, filled)


def _role_of(service: Subject, plan: Plan, product_of: Callable[[Subject], str | None]) -> Role | None:
    """The role of a service: labels decide before names, names before images, images before products."""
    ways = plan.ways
    labels = service.node.get("labels")
    if labels is not None and ways.labels:
        have = {key: str(node.value) for key, node in labels.items()}
        for key, value, role in ways.labels:
            if key in have and value in (None, have[key]):
                return role
    named = _first_fitting(ways.services, (service.name,))
    if named is not None:
        return named
    image = service.node.get("image")
    if image is not None and isinstance(image.value, str):
        imaged = _first_fitting(ways.images, _image_names(image.value))
        if imaged is not None:
            return imaged
    product = product_of(service)
    return None if product is None else ways.products.get(product)


def _first_fitting(roles: Iterable[tuple[str, Role]], names: Collection[str]) -> Role | None:
    """The first role whose glob fits one of some names."""
    for pattern, role in roles:
        if pattern in names or (not _GLOB.isdisjoint(pattern) and any(fnmatchcase(name, pattern) for name in names)):
            return role
    return None


_GLOB = frozenset("*?[")


def _image_names(image: str) -> tuple[str, ...]:
    """The image with and without its tag, registry and folders."""
    untagged = image.split("@")[0]
    if ":" in untagged.rsplit("/", 1)[-1]:
        untagged = untagged.rsplit(":", 1)[0]
    return (image, image.rsplit("/", 1)[-1], untagged, untagged.rsplit("/", 1)[-1])


def _find(values: Any, path: str) -> Any:
    """The value at a dotted path; a key may hold dots itself ("settings.vm_memory_high_watermark.relative")."""
    if type(values) is not dict:
        return MISSING
    if path in values:
        return values[path]
    at = path.find(".")
    while at > 0:
        if path[:at] in values:
            found = _find(values[path[:at]], path[at + 1 :])
            if found is not MISSING:
                return found
        at = path.find(".", at + 1)
    return MISSING


def _mappings(written: Any) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for key, values in (written or {}).items():
        yield str(key), values or {}


def _texts(written: Any) -> tuple[str, ...]:
    if written is None:
        return ()
    return tuple(str(item) for item in written) if isinstance(written, list) else (str(written),)


def _labels(written: Any) -> tuple[tuple[str, str | None], ...]:
    """Labels as a mapping, or as texts ``key`` and ``key=value``."""
    if isinstance(written, dict):
        return tuple((str(key), None if value is None else str(value)) for key, value in written.items())
    pairs = (text.partition("=") for text in _texts(written))
    return tuple((key, value if sign else None) for key, sign, value in pairs)
