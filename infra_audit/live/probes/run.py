"""Which probes are made of which containers, side by side and in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from infra_audit.live.deadline import Deadline, Late, every
from infra_audit.live.probes import grafana, host, postgres, prometheus, rabbitmq, redis
from infra_audit.live.probes.container import Container, Failed
from infra_audit.live.store import Snapshot
from infra_audit.named import NamedTuple

__all__ = ["NAMES", "Container", "Plan", "probe"]

_SECONDS = 5.0
"""How long one probe may take."""
_WORKERS = 16


class Runner(Protocol):
    """Runs a command inside a container and gives what it prints (``snapshot.Engine``)."""

    def run(self, container: str, command: list[str], environment: Mapping[str, str] | None = None) -> str: ...


class Plan(NamedTuple):
    """What may be asked: ``without`` names probes that are not made, ``execute`` allows commands inside containers.

    ``product``: image → what runs in it. ``redis_password``: instead of the container's own.
    """

    product: Callable[[str], str | None]
    without: frozenset[str] = frozenset()
    execute: bool = True
    redis_password: str | None = None


_OF_PRODUCT: Mapping[str, Callable[[Container], Any]] = {
    "redis": redis.settings,
    "rabbitmq": rabbitmq.memory,
    "prometheus": prometheus.state,
    "grafana": grafana.state,
}
_OF_HOST: Mapping[str, Callable[[Container], Any]] = {"cgroup": host.cgroup, "interface": host.interfaces}
NAMES = (*_OF_HOST, *_OF_PRODUCT, "postgres")
"""All probes."""


def probe(
    snapshot: Snapshot, raw: Mapping[str, Mapping[str, Any]], engine: Runner, deadline: Deadline, plan: Plan
) -> None:
    """Makes the probes of all running containers and puts what they say into the snapshot, masked.

    A probe that fails or takes too long leaves its reason; nothing else suffers.
    """
    jobs: list[tuple[str, str, Callable[[], Any]]] = []
    local = snapshot.is_local
    for name, inspect in raw.items():
        if (inspect.get("State") or {}).get("Status") != "running":
            continue
        container = Container(name, inspect, plan.redis_password)
        product = plan.product(container.image)
        kind = "redis" if product == "valkey" else product or ""
        for one, ask in _OF_HOST.items() if local else ():
            jobs.append((name, one, _bound(ask, container)))
        if kind in _OF_PRODUCT and (local or not container.on_bridge):
            jobs.append((name, kind, _bound(_OF_PRODUCT[kind], container)))
        if kind == "postgres" and plan.execute:
            jobs.append((name, kind, _bound(lambda one: postgres.settings(one, engine), container)))
    jobs = [job for job in jobs if job[1] not in plan.without and "all" not in plan.without]
    here = [
        job for job in jobs if job[1] in _OF_HOST
    ]  # they wait for nobody: threads would only get in each other's way
    there = [job for job in jobs if job[1] not in _OF_HOST]
    outcomes = every(deadline, [job[2] for job in here], most=_SECONDS)
    outcomes += every(deadline, [job[2] for job in there], workers=_WORKERS, most=_SECONDS)
    masker = snapshot.masker
    for (name, kind, _), outcome in zip((*here, *there), outcomes, strict=True):
        said = {"error": _why(outcome.error)} if outcome.error is not None else outcome.value
        if masker is not None:
            masker.learn_from(said)
            said = masker.apply(said)
        snapshot.data["probes"].setdefault(name, {})[kind] = said


def _bound(ask: Callable[[Container], Any], container: Container) -> Callable[[], Any]:
    return lambda: ask(container)


def _why(error: Exception) -> str:
    if isinstance(error, Late):
        return "it did not answer in time"
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
