"""Facts about what a service may use: CPU, memory, processes, open files; and about shared volumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.tree import Node
from infra_audit.units import format_bytes, parse_bytes

__all__: list[str] = []

_CPU_PERIOD = 100_000
"""Microseconds of the kernel's accounting period where cpu_period is not set."""


# -- reading numbers -----------------------------------------------------------------------------


def _cpus(node: Node) -> float:
    try:
        return float(node.known())
    except (TypeError, ValueError):
        raise Undecidable(f"{node.known()!r} is no number of CPUs") from None


def _bytes(node: Node) -> int:
    text = str(node.known())
    size = -1 if text == "-1" else parse_bytes(text)  # -1 is how "no limit" is written
    if size is None:
        raise Undecidable(f"{node.known()!r} is no size")
    return size


def _count(node: Node) -> int:
    try:
        return int(node.known())
    except (TypeError, ValueError):
        raise Undecidable(f"{node.known()!r} is no whole number") from None


def _bound(service: Subject, read: Callable[[Node], Any], *paths: tuple[str, ...]) -> Fact[Any]:
    """The first of several keys that is there; None where none is, or where it says 0 or -1, which is no bound."""
    for path in paths:
        node = service.node.get(*path)
        if node is not None and node.value is not None:
            value = read(node)
            return Known(value if value > 0 else None, node)
    return Known(None, service.node)


_LIMITS = ("deploy", "resources", "limits")
_RESERVATIONS = ("deploy", "resources", "reservations")


# -- facts of services ---------------------------------------------------------------------------


@fact("service.cpu_limit", on="service", unit="cpus")
def cpu_limit(service: Subject) -> Fact[float | None]:
    """CPUs that one container may use (deploy limits, cpus, or cpu_quota / cpu_period); None without a limit."""
    quota = service.node.get("cpu_quota")
    if quota is None or service.node.get(*_LIMITS, "cpus") or service.node.get("cpus"):
        return _bound(service, _cpus, (*_LIMITS, "cpus"), ("cpus",))
    period = service.node.get("cpu_period")
    share = _count(quota) / (_count(period) if period else _CPU_PERIOD)
    return Known(share if share > 0 else None, quota)


@fact("service.memory_limit", on="service", unit="bytes")
def memory_limit(service: Subject) -> Fact[int | None]:
    """Memory that one container may use (deploy limits or mem_limit), in bytes; None without a limit."""
    return _bound(service, _bytes, (*_LIMITS, "memory"), ("mem_limit",))


@fact("service.cpu_reservation", on="service", unit="cpus")
def cpu_reservation(service: Subject) -> Fact[float | None]:
    """CPUs that are reserved for one container; None without a reservation."""
    return _bound(service, _cpus, (*_RESERVATIONS, "cpus"))


@fact("service.memory_reservation", on="service", unit="bytes")
def memory_reservation(service: Subject) -> Fact[int | None]:
    """Memory that is reserved for one container (deploy reservations or mem_reservation); None without."""
    return _bound(service, _bytes, (*_RESERVATIONS, "memory"), ("mem_reservation",))


@fact("service.pids_limit", on="service")
def pids_limit(service: Subject) -> Fact[int | None]:
    """How many processes one container may have (deploy limits or pids_limit); None without a limit."""
    return _bound(service, _count, (*_LIMITS, "pids"), ("pids_limit",))


@fact("service.nofile_limit", on="service")
def nofile_limit(service: Subject) -> Fact[int | None]:
    """How many files a process may have open (the soft limit of ulimits.nofile); None where the files do not say."""
    return _bound(service, _count, ("ulimits", "nofile", "soft"), ("ulimits", "nofile"))


_TWICE = (
    ("memory limit", _bytes, format_bytes, ("mem_limit",), (*_LIMITS, "memory")),
    ("memory reservation", _bytes, format_bytes, ("mem_reservation",), (*_RESERVATIONS, "memory")),
    ("CPU limit", _cpus, "{:g}".format, ("cpus",), (*_LIMITS, "cpus")),
    ("process limit", _count, str, ("pids_limit",), (*_LIMITS, "pids")),
)
"""Bounds that two keys can set: name, how to read and print them, the older key and the newer."""


@fact("deployment.limit_conflicts", on="deployment")
def limit_conflicts(deployment: Subject) -> Fact[list[Item]]:
    """Bounds that a service writes twice, by an older key and under ``deploy``, with different values."""
    items = []
    for service in deployment.deployment.subjects("service"):
        for name, read, show, old_path, new_path in _TWICE:
            old, new = service.node.get(*old_path), service.node.get(*new_path)
            if old is None or new is None or old.value is None or new.value is None:
                continue
            try:
                one, other = read(old), read(new)
            except Undecidable:
                continue
            if one != other:
                text = f"{name} is {show(one)} in {'.'.join(old_path)} and {show(other)} in {'.'.join(new_path)}"
                because = (Evidence(old), Evidence(new, "the other value is here"))
                items.append(Item(text, because, ("service", service.name)))
    return Known(items, deployment.node)


# -- facts of mounts -----------------------------------------------------------------------------

_NOT_DATA = ("/docker-entrypoint-initdb.d", "/etc/", "/run/secrets", "/var/run/docker.sock", "/tmp", "/usr/")
"""Where a datastore finds configuration and scripts, and not what it stores."""


@fact("mount.shared_writable", on="mount")
def shared_writable(mount: Subject) -> Fact[bool]:
    """True for a named volume or host folder that every replica of the service writes to."""
    node = mount.node
    kind, source, target = (node.get(key) for key in ("type", "source", "target"))
    if kind is None or target is None or source is None or source.value in (None, ""):
        return Known(False, node)  # tmpfs and unnamed volumes: each container has its own
    read_only = node.get("read_only")
    path = str(target.known())
    shared = (
        kind.value in ("volume", "bind")
        and not (read_only is not None and read_only.known() is True)
        and not path.startswith(_NOT_DATA)
        and "{{" not in str(source.value)  # a Swarm template: one volume per task
    )
    if shared and kind.value == "bind":
        reader = mount.deployment.reader
        host = str(source.known())
        shared = reader.is_folder(host) or not reader.exists(host)
    return Known(shared, source)
