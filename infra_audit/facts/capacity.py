"""Facts about a deployment as a whole beside its plan: totals and throughput."""

from __future__ import annotations

from collections.abc import Callable

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, evaluate, fact, value_of
from infra_audit.facts.services import replicas_node
from infra_audit.named import NamedTuple
from infra_audit.plan import PlanBinding, Role
from infra_audit.tree import Node
from infra_audit.units import format_bytes

__all__ = ["Stage", "StagePart", "stages"]


# -- totals --------------------------------------------------------------------------------------


class _Total(NamedTuple):
    """A sum over services. ``missing``: why it is only a lower bound, "" where it is the whole."""

    value: float
    because: tuple[Evidence, ...]
    missing: str


class _Share(NamedTuple):
    """What one service takes. ``excess``: how much of it is more than the plan documents."""

    value: float
    excess: float
    because: tuple[Evidence, ...]


def _total(deployment: Deployment, limit: str, show: Callable[[float], str]) -> _Total:
    """Σ limit × replicas over all services that keep running.

    First comes what exceeds the plan's numbers most, then the largest share: there is something to change.
    """
    shares: list[_Share] = []
    missing: list[str] = []
    for service in deployment.subjects("service"):
        bound = evaluate(service, limit)
        try:
            if not value_of(service, "service.long_running"):
                continue
            count = value_of(service, "service.replicas")
        except Undecidable as error:
            missing.append(f"{service.name}: {error.message}")
            continue
        if count == 0:
            continue
        if isinstance(bound, Unknown) or bound.value is None:
            why = bound.why if isinstance(bound, Unknown) else "no limit"
            missing.append(f"{service.name}: {why}")
            continue
        times = f"{count} × " if count > 1 else ""
        takes = Evidence(bound.because[0].place, f"{service.name} takes {times}{show(bound.value)}")
        shares.append(_share(service, limit, bound.value, count, takes))
    shares.sort(key=lambda share: (-share.excess, -share.value))
    because = tuple(evidence for share in shares for evidence in share.because)
    because = because or (Evidence(_services_node(deployment)),)
    total = round(sum(share.value for share in shares), 6)  # tenths of a CPU add up to what a plan writes
    return _Total(total, because, "; ".join(missing))


def _share(service: Subject, limit: str, value: float, count: int, takes: Evidence) -> _Share:
    """One service's share, beside what the plan documents for its role."""
    plan: PlanBinding | None = service.deployment.plan
    role = plan.role(service) if plan else None
    if role is None:
        return _Share(value * count, 0, (takes,))
    planned = role.cpus if limit == "service.cpu_limit" else role.memory
    replicas = count if role.replicas is None else role.replicas
    excess = max(0, value * count - (value if planned is None else planned) * replicas)
    if excess and count > replicas:
        return _Share(value * count, excess, (Evidence(replicas_node(service), takes.note), takes))
    return _Share(value * count, excess, (takes,))


def _services_node(deployment: Deployment) -> Node:
    return deployment.tree.get("services") or deployment.tree


def _whole(total: _Total) -> Fact[float]:
    return Unknown(total.missing) if total.missing else Known(total.value, *total.because)


def _cpu_total(deployment: Subject) -> _Total:
    return _total(deployment.deployment, "service.cpu_limit", "{:g}".format)


def _memory_total(deployment: Subject) -> _Total:
    return _total(deployment.deployment, "service.memory_limit", format_bytes)


@fact("deployment.cpus_limited", on="deployment", unit="cpus")
def cpus_limited(deployment: Subject) -> Fact[float]:
    """Σ CPU limit × replicas over the services that have a limit: what the deployment takes at least."""
    total = _cpu_total(deployment)
    return Known(total.value, *total.because)


@fact("deployment.cpus_total", on="deployment", unit="cpus")
def cpus_total(deployment: Subject) -> Fact[float]:
    """Σ CPU limit × replicas over all services that keep running; unknown where one has no limit."""
    return _whole(_cpu_total(deployment))


@fact("deployment.memory_limited", on="deployment", unit="bytes")
def memory_limited(deployment: Subject) -> Fact[float]:
    """Σ memory limit × replicas over the services that have a limit, in bytes: what the deployment takes at least."""
    total = _memory_total(deployment)
    return Known(total.value, *total.because)


@fact("deployment.memory_total", on="deployment", unit="bytes")
def memory_total(deployment: Subject) -> Fact[float]:
    """Σ memory limit × replicas over all services that keep running, in bytes; unknown where one has no limit."""
    return _whole(_memory_total(deployment))


# -- throughput ----------------------------------------------------------------------------------


class StagePart(NamedTuple):
    """A role in a stage: what its replicas carry together is ``replicas`` × ``rate``."""

    role: str
    replicas: int
    rate: float


class Stage(NamedTuple):
    """What one stage of the plan's pipeline carries, in the unit of the plan's target."""

    rate: float
    text: str
    because: tuple[Evidence, ...]
    parts: tuple[StagePart, ...]


def stages(deployment: Deployment) -> list[Stage]:
    """The stages of the plan's pipeline in their order. Roles that share an order work side by side.

    Raises Undecidable where nobody fills a role of it, or its replicas are unknown.
    """
    plan: PlanBinding | None = deployment.plan
    by_order: dict[float, list[Stage]] = {}
    for role in plan.plan.roles.values() if plan else ():
        if role.stage and role.stage.get("rate") is not None:
            by_order.setdefault(float(role.stage.get("order", 0)), []).append(_stage(deployment, role))
    return [
        Stage(
            sum(part.rate for part in parts),
            " and ".join(part.text for part in parts),
            tuple(evidence for part in parts for evidence in part.because),
            tuple(each for part in parts for each in part.parts),
        )
        for _, parts in sorted(by_order.items())
    ]


def _stage(deployment: Deployment, role: Role) -> Stage:
    """What the services of one role carry: replicas × the rate of one replica."""
    names = deployment.plan.services(role.name)
    if not names:
        raise Undecidable(f"no service fills the role {role.name}, a stage of the pipeline")
    rate = float((role.stage or {})["rate"])
    count = 0
    because = []
    for name in names:
        service = deployment.service(name)
        if service is not None:
            count += value_of(service, "service.replicas")
            because.append(Evidence(replicas_node(service), f"replicas of {name}"))
    text = f"{role.name} with {count} × {rate:g}"
    return Stage(count * rate, text, tuple(because), (StagePart(role.name, count, rate),))


def _slowest(deployment: Deployment) -> Stage | None:
    return min(stages(deployment), key=lambda stage: stage.rate, default=None)


@fact("deployment.throughput", on="deployment")
def throughput(deployment: Subject) -> Fact[float | None]:
    """What the plan's pipeline carries: the least of its stages, each replicas × the rate of one replica.

    Stages do not multiply: four scrapers before four transformers carry what the slower of the two carries.
    In the unit of the plan's target; None where the plan has no stages.
    """
    slowest = _slowest(deployment.deployment)
    if slowest is None:
        return Known(None, _services_node(deployment.deployment))
    return Known(slowest.rate, *slowest.because)


@fact("deployment.slowest_stage", on="deployment")
def slowest_stage(deployment: Subject) -> Fact[str]:
    """The stage of the plan's pipeline that carries least, with its replicas and rate."""
    slowest = _slowest(deployment.deployment)
    return Known(slowest.text if slowest else "none", *(slowest.because if slowest else ()))


@fact("deployment.throughput_unit", on="deployment")
def throughput_unit(deployment: Subject) -> Fact[str]:
    """The unit of the plan's target, such as tracks/hour; "" without one."""
    plan: PlanBinding | None = deployment.deployment.plan
    return Known(str(plan.plan.target.get("unit", "")) if plan else "", deployment.node)
