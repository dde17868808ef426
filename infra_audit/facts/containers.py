"""Facts about containers of a running project: state, health, restarts, memory, limits in the kernel.

A container's node is the engine's answer about it, with ``Probes``: values that were asked inside.
"""

from __future__ import annotations

from typing import Any

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.tree import Node
from infra_audit.units import format_bytes

__all__ = ["probed", "service_of", "state"]

_MANY_RESTARTS = 3
"""So many restarts of one container are no accident any more."""

_UNLIMITED = 1 << 60
"""From here on the kernel's number means "no limit" (cgroup v1 has the largest multiple of a page)."""


# -- helpers for the facts of other modules ------------------------------------------------------


def state(container: Subject, *path: str) -> Node:
    """A field of the container's State; raises Undecidable where the engine does not give it."""
    node = container.node.get("State", *path)
    if node is None:
        raise Undecidable("the engine does not say it")
    return node


def service_of(container: Subject) -> Subject:
    """The container as a service, so that facts about services can be asked of it."""
    known = container.cache.get("containers.service")
    if known is None:
        node = container.node.get("Service") or container.node
        name = container.node.get("ServiceName")
        known = Subject("service", str(name.value if name else ""), node, container.deployment)
        container.cache["containers.service"] = known
    return known


def probed(container: Subject, name: str) -> Node | None:
    """What a probe of the container gave; None where it was not made. Raises Undecidable where it failed."""
    node = container.node.get("Probes", name)
    error = node.get("error") if node is not None else None
    if error is not None:
        raise Undecidable(f"the {name} probe failed: {error.value}")
    return node


# -- state ---------------------------------------------------------------------------------------


@fact("container.status", on="container")
def status(container: Subject) -> Fact[str]:
    """created, running, paused, restarting, removing, exited or dead."""
    node = state(container, "Status")
    return Known(str(node.value), node)


@fact("container.health", on="container")
def health(container: Subject) -> Fact[str | None]:
    """What the health check says: starting, healthy, unhealthy; None without one, or where nothing runs.

    After a pause the engine says "unhealthy" until the next probe: with no failure in a row that is "starting".
    """
    node = container.node.get("State", "Health", "Status")
    if node is None or node.value in ("", "none") or state(container, "Status").value != "running":
        return Known(None, container.node)
    streak = container.node.get("State", "Health", "FailingStreak")
    stale = node.value == "unhealthy" and streak is not None and streak.value == 0
    return Known("starting" if stale else str(node.value), node)


@fact("container.health_log", on="container")
def health_log(container: Subject) -> Fact[str]:
    """The last line that the health check printed, with how often it failed in a row."""
    last = container.node.get("State", "Health", "Log", -1)
    streak = container.node.get("State", "Health", "FailingStreak")
    if last is None:
        return Known("no probe has run yet", container.node)
    output, code = last.get("Output"), last.get("ExitCode")
    lines = str(output.value).strip().splitlines() if output is not None else []
    said = f": {lines[-1].strip()[:200]}" if lines else ""
    times = f"{streak.value} times in a row, " if streak is not None and streak.value else ""
    return Known(f"{times}exit code {code.value if code else '?'}{said}", output or last)


@fact("container.expected_to_run", on="container")
def expected_to_run(container: Subject) -> Fact[bool]:
    """False for a container of ``docker compose run``, and for one without a restart policy that ended with code 0."""
    labels = container.node.get("Config", "Labels")
    one_off = labels.get("com.docker.compose.oneoff") if labels else None
    if one_off is not None and str(one_off.value).lower() == "true":
        return Known(False, one_off)
    code, restart = state(container, "ExitCode"), container.node.get("HostConfig", "RestartPolicy", "Name")
    ended = state(container, "Status").value == "exited" and code.value == 0
    keeps = restart is not None and restart.value in ("always", "unless-stopped")
    return Known(keeps or not ended, state(container, "Status"))


@fact("container.not_running", on="container")
def not_running(container: Subject) -> Fact[str | None]:
    """Why the container does not serve: its state, exit code and the engine's error; None while it runs."""
    node = state(container, "Status")
    if node.value in ("running", "restarting"):
        return Known(None, node)
    error, code = container.node.get("State", "Error"), container.node.get("State", "ExitCode")
    parts = [str(node.value)]
    if node.value in ("exited", "dead", "created") and code is not None and code.value:
        parts.append(f"exit code {code.value}")
    if error is not None and error.value:
        parts.append(str(error.value).strip().splitlines()[0][:200])
    return Known(", ".join(parts), node)


@fact("container.restarts", on="container")
def restarts(container: Subject) -> Fact[int]:
    """How often the engine has restarted the container by its restart policy."""
    node = container.node.get("RestartCount") or state(container, "Restarting")
    return Known(int(node.value), node)


@fact("container.crash_loop", on="container")
def crash_loop(container: Subject) -> Fact[bool]:
    """True while the container waits for its next restart, or after more than a few that ended badly."""
    node = state(container, "Status")
    count = restarts(container)
    if node.value == "restarting":
        return Known(True, node)
    many = isinstance(count, Known) and count.value >= _MANY_RESTARTS
    return Known(many, *(count.because if isinstance(count, Known) else ()))


# -- memory --------------------------------------------------------------------------------------


@fact("container.oom_kills", on="container")
def oom_kills(container: Subject) -> Fact[list[Item]]:
    """Processes that the kernel killed because the memory limit was reached: the first process, and children."""
    items = []
    killed = container.node.get("State", "OOMKilled")
    if killed is not None and killed.value is True:
        items.append(Item("its main process", (Evidence(killed),)))
    elif (count := _cgroup_value(container, "oom_kill")) is not None and count.value:
        times = "a child process" if count.value == 1 else f"{count.value} child processes"
        items.append(Item(times, (Evidence(count),)))
    return Known(items, container.node)


def _cgroup_value(container: Subject, key: str) -> Node | None:
    try:
        node = probed(container, "cgroup")
    except Undecidable:
        return None
    return node.get(key) if node is not None else None


@fact("container.kernel_limits_off", on="container")
def kernel_limits_off(container: Subject) -> Fact[list[Item]]:
    """Limits that the engine has on record and the kernel does not: something else changed the cgroup."""
    node = probed(container, "cgroup")
    if node is None:
        return Known([], container.node)
    host = container.node.get("HostConfig")
    items: list[Item] = []
    recorded = host.get("Memory") if host is not None else None
    kernel = node.get("memory")
    if recorded is not None and kernel is not None:
        wanted, have = int(recorded.value or 0), kernel.value
        has = None if have is None or have >= _UNLIMITED else int(have)
        if (wanted or None) != has:
            text = f"memory limit is {_size(has)}"
            items.append(
                Item(text, (Evidence(kernel), Evidence(recorded, "the engine's record")), expected=_size(wanted))
            )
    items += _cpu_off(host, node)
    return Known(items, node)


def _cpu_off(host: Node | None, node: Node) -> list[Item]:
    kernel = node.get("cpus")
    if host is None or kernel is None:
        return []
    nano, quota, period = (host.get(key) for key in ("NanoCpus", "CpuQuota", "CpuPeriod"))
    wanted = 0.0
    place = nano
    if nano is not None and nano.value:
        wanted = nano.value / 10**9
    elif quota is not None and quota.value and quota.value > 0:
        wanted = quota.value / ((period.value if period is not None else 0) or 100_000)
        place = quota
    has = float(kernel.value or 0)
    if abs(wanted - has) <= 0.01:
        return []
    evidence = (Evidence(kernel), *((Evidence(place, "the engine's record"),) if place is not None else ()))
    return [Item(f"CPU limit is {_cpus(has)}", evidence, expected=_cpus(wanted))]


def _size(size: Any) -> str:
    return format_bytes(size) if size else "none"


def _cpus(cpus: float) -> str:
    return f"{cpus:g}" if cpus else "none"


# -- logs ----------------------------------------------------------------------------------------


@fact("container.log_size", on="container", unit="bytes")
def log_size(container: Subject) -> Fact[int | None]:
    """Bytes of the container's log file on the host; None where it was not looked at or the driver keeps none."""
    node = probed(container, "cgroup")
    size = node.get("log_bytes") if node is not None else None
    if size is None or size.value is None:
        return Known(None, container.node)
    return Known(int(size.value), size)


# -- interfaces ----------------------------------------------------------------------------------


@fact("container.mtu_off", on="container")
def mtu_off(container: Subject) -> Fact[list[Item]]:
    """Interfaces whose MTU is another than the one that their network declares."""
    node = probed(container, "interface")
    items: list[Item] = []
    for entry in node.entries() if node is not None else ():
        mtu, network = entry.get("mtu"), entry.get("network")
        if mtu is None or network is None:
            continue
        declared = _declared_mtu(container, str(network.value))
        if declared is not None and str(declared.value) != str(mtu.value):
            evidence = (Evidence(mtu), Evidence(declared, "the network's own MTU"))
            items.append(Item(f"MTU {mtu.value} on {network.value}", evidence, expected=declared.value))
    return Known(items, container.node)


def _declared_mtu(container: Subject, network: str) -> Node | None:
    for subject in container.deployment.subjects("network"):
        name = subject.node.get("name")
        if name is not None and name.value == network:
            return subject.node.get("driver_opts", "com.docker.network.driver.mtu")
    return None
