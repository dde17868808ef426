"""What a deployment takes and carries: limits and reservations by role and layer, and the plan's pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.capacity import Stage, stages
from infra_audit.facts.registry import Known, evaluate, value_of
from infra_audit.layers import LAYERS, layer_of
from infra_audit.named import NamedTuple
from infra_audit.plan import PlanBinding
from infra_audit.units import parse_bytes

__all__ = ["Capacity", "Connections", "Pipeline", "Share", "Sum", "as_data", "capacity"]

_FACTS = ("service.cpu_limit", "service.cpu_reservation", "service.memory_limit", "service.memory_reservation")


class Sum(NamedTuple):
    """CPUs and bytes of memory: limits and reservations, of one replica or of many."""

    cpus: float | None = None
    reserved_cpus: float | None = None
    memory: float | None = None
    reserved_memory: float | None = None

    def times(self, number: int) -> Sum:
        return Sum(*(None if value is None else value * number for value in self))

    @classmethod
    def over(cls, sums: Iterable[Sum]) -> Sum:
        """The sum of what is there: a lower bound where something has no limit, None where nothing has one."""
        columns = [[value for value in column if value is not None] for column in zip(*sums, strict=True)]
        return cls(*(sum(column) if column else None for column in columns))


class Share(NamedTuple):
    """What one service takes. ``role`` is "" where the plan has none for it."""

    service: str
    role: str
    layer: str
    replicas: int
    each: Sum

    @property
    def total(self) -> Sum:
        return self.each.times(self.replicas)


class Connections(NamedTuple):
    """Connections that the pools of a database's clients may take, and those that it offers; None where unknown.

    ``pools``: one text per client, such as "api: 10 × 3 = 30".
    """

    server: str
    wanted: int
    offered: int | None
    pools: tuple[str, ...]


class Pipeline(NamedTuple):
    """The stages of the plan in their order, each with what its replicas carry, in the unit of the target."""

    stages: tuple[Stage, ...]
    target: float | None
    unit: str

    @property
    def slowest(self) -> Stage:
        return min(self.stages, key=lambda stage: stage.rate)

    @property
    def product(self) -> int:
        """Replicas of the stages multiplied: how many pairs there are, and no throughput."""
        result = 1
        for stage in self.stages:
            result *= sum(part.replicas for part in stage.parts)
        return result

    @property
    def single(self) -> float:
        """What one replica in each role would carry."""
        return min(sum(part.rate for part in stage.parts) for stage in self.stages)


class Capacity(NamedTuple):
    """The whole. ``missing`` says what is not in the totals, and why; ``idle`` what runs to its end."""

    name: str
    why: str
    shares: tuple[Share, ...]
    idle: tuple[str, ...]
    missing: tuple[str, ...]
    budget: Sum | None
    host: Sum | None
    pipeline: Pipeline | None
    connections: tuple[Connections, ...] = ()

    @property
    def total(self) -> Sum:
        return Sum.over(share.total for share in self.shares) if self.shares else Sum()

    def layers(self) -> Iterator[tuple[str, list[Share]]]:
        """Layers that have services, in order."""
        for layer in LAYERS:
            shares = [share for share in self.shares if share.layer == layer]
            if shares:
                yield layer, shares


def capacity(deployment: Deployment, host: Sum | None = None) -> Capacity:
    """Adds up what the services that keep running take; ``host`` is what there is."""
    plan: PlanBinding | None = deployment.plan
    adopted = plan.plan if plan is not None and plan.adopted else None
    shares: list[Share] = []
    idle: list[str] = []
    missing: list[str] = []
    for service in deployment.subjects("service"):
        try:
            if not value_of(service, "service.long_running"):
                idle.append(service.name)
                continue
            shares.append(_share(service, plan))
        except Undecidable as error:
            missing.append(f"{service.name}: {error.message}")
            continue
        missing += _without(service)
    pipeline = None
    if adopted is not None:
        try:
            found = tuple(stages(deployment))
            target = adopted.target.get("throughput")
            unit = str(adopted.target.get("unit", ""))
            pipeline = Pipeline(found, None if target is None else float(target), unit) if found else None
        except Undecidable as error:
            missing.append(f"pipeline: {error.message}")
    budget = None
    if adopted is not None and adopted.budget:
        memory = adopted.budget.get("memory")
        budget = Sum(adopted.budget.get("cpus"), memory=None if memory is None else parse_bytes(str(memory)))
    why = plan.why if plan is not None and plan.adopted else ""
    connections = tuple(_connections(deployment, missing))
    return Capacity(
        deployment.name, why, tuple(shares), tuple(idle), tuple(missing), budget, host, pipeline, connections
    )


def _connections(deployment: Deployment, missing: list[str]) -> Iterator[Connections]:
    """The connection budget of each database whose clients' pools the files tell."""
    for service in deployment.subjects("service"):
        wanted = evaluate(service, "postgres.connections_wanted")
        if not isinstance(wanted, Known):
            missing.append(f"{service.name}: connections: {wanted.why}")
        elif wanted.value is not None:
            offered = evaluate(service, "postgres.connections_offered")
            if not isinstance(offered, Known):
                missing.append(f"{service.name}: max_connections: {offered.why}")
            pools = tuple(evidence.note for evidence in wanted.because if " = " in evidence.note)
            there = offered.value if isinstance(offered, Known) else None
            yield Connections(service.name, wanted.value, there, pools)


def _share(service: Subject, plan: PlanBinding | None) -> Share:
    role = plan.role(service) if plan is not None and plan.adopted else None
    return Share(
        service.name,
        role.name if role else "",
        layer_of(service),
        value_of(service, "service.replicas"),
        Sum(*(_number(service, name) for name in _FACTS)),
    )


def _number(service: Subject, name: str) -> float | None:
    fact = evaluate(service, name)
    return fact.value if isinstance(fact, Known) else None


def _without(service: Subject) -> Iterator[str]:
    """Limits that are not in the totals, with the reason."""
    for name, what in (("service.cpu_limit", "CPU limit"), ("service.memory_limit", "memory limit")):
        fact = evaluate(service, name)
        if not isinstance(fact, Known):
            yield f"{service.name}: {what}: {fact.why}"
        elif fact.value is None:
            yield f"{service.name}: no {what}"


def as_data(found: Capacity) -> dict[str, Any]:
    """The whole as plain data for JSON: CPUs as numbers, memory in bytes."""
    pipeline = found.pipeline
    return {
        "version": 1,
        "deployment": found.name,
        "services": [
            {
                "service": share.service,
                "role": share.role or None,
                "layer": share.layer,
                "replicas": share.replicas,
                "each": share.each._asdict(),
                "total": share.total._asdict(),
            }
            for share in found.shares
        ],
        "layers": {layer: Sum.over(share.total for share in shares)._asdict() for layer, shares in found.layers()},
        "total": found.total._asdict(),
        "budget": found.budget and {"cpus": found.budget.cpus, "memory": found.budget.memory},
        "host": found.host and {"cpus": found.host.cpus, "memory": found.host.memory},
        "pipeline": pipeline
        and {
            "unit": pipeline.unit,
            "target": pipeline.target,
            "throughput": pipeline.slowest.rate,
            "of_one_replica_each": pipeline.single,
            "replicas_multiplied": pipeline.product,
            "stages": [
                {
                    "roles": [part._asdict() for part in stage.parts],
                    "rate": stage.rate,
                    "slowest": stage is pipeline.slowest,
                }
                for stage in pipeline.stages
            ],
        },
        "connections": [one._asdict() for one in found.connections],
        "run_to_completion": list(found.idle),
        "missing": list(found.missing),
    }
