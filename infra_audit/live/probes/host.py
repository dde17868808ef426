"""What the kernel of this machine says of a container: control group, interfaces, log file. No exec, no network."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

from infra_audit.live.probes.container import Container, Failed

__all__ = ["cgroup", "interfaces"]

_UNLIMITED = 1 << 60


def cgroup(container: Container, root: str = "") -> dict[str, Any]:
    """memory (bytes or None), cpus (or None), pids, oom_kill (counter), version, and log_bytes.

    ``root``: where the machine's file system is found.
    """
    top = f"{root}/sys/fs/cgroup"
    groups = {name: _own(path, container.id) for name, path in _groups(f"{root}/proc/{container.pid}/cgroup")}
    version = 2 if set(groups) == {""} else 1
    found = _second(f"{top}{groups['']}") if version == 2 else _first(top, groups)
    if not found:
        raise Failed("its control group cannot be read")
    return {"version": version, **found, "log_bytes": _log_bytes(str(container.inspect.get("LogPath") or ""))}


def _groups(file: str) -> Iterator[tuple[str, str]]:
    """Controller → path of the process' group; the controller of version 2 is ""."""
    for line in _read(file).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _own(path: str, identity: str) -> str:
    """The container's own group, which bears its name: what runs inside may have made groups below."""
    head, name, rest = path.partition(identity)
    return f"{head}{name}{rest.partition('/')[0]}"


def _first(top: str, groups: dict[str, str]) -> dict[str, Any]:
    memory, cpu, pids = (f"{top}/{name}{groups.get(name, '')}" for name in ("memory", "cpu", "pids"))
    found: dict[str, Any] = {}
    if (limit := _number(f"{memory}/memory.limit_in_bytes")) is not None:
        found["memory"] = None if limit >= _UNLIMITED else limit
    quota, period = _number(f"{cpu}/cpu.cfs_quota_us"), _number(f"{cpu}/cpu.cfs_period_us")
    if quota is not None and period:
        found["cpus"] = None if quota < 0 else quota / period
    if (most := _number(f"{pids}/pids.max")) is not None:
        found["pids"] = most
    found |= _events(f"{memory}/memory.oom_control")
    return found


def _second(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    memory = _try(f"{folder}/memory.max")
    if memory is not None:
        found["memory"] = None if memory == "max" else int(memory)
    cpu = _try(f"{folder}/cpu.max")
    if cpu is not None:
        quota, _, period = cpu.partition(" ")
        found["cpus"] = None if quota == "max" else int(quota) / int(period or 100_000)
    if (most := _number(f"{folder}/pids.max")) is not None:
        found["pids"] = most
    return found | _events(f"{folder}/memory.events")


def _events(path: str) -> dict[str, int]:
    for line in (_try(path) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.isdigit():
            return {"oom_kill": int(value)}
    return {}


def _log_bytes(path: str) -> int | None:
    """Size of the log with its rotated files."""
    if not path:
        return None
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.startswith(name))
    except OSError:
        return None


def interfaces(container: Container) -> list[dict[str, Any]]:
    """Name, MTU and network of each interface that an engine's network gave."""
    if not container.on_bridge:
        return []
    folder = f"/proc/{container.pid}/root/sys/class/net"
    by_address = {str(one.get("IPAddress")): name for name, one in container.networks.items() if one.get("IPAddress")}
    found = []
    routes = list(_routes(container.pid))
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        raise Failed("its interfaces cannot be read") from None
    for name in names:
        if name != "lo":
            network = _network_of(name, routes, by_address)
            found.append({"name": name, "mtu": int(_read(f"{folder}/{name}/mtu")), "network": network})
    return found


def _routes(pid: int) -> Iterator[tuple[str, int, int]]:
    """Interface, destination and mask of each route of the process' network, as numbers."""
    for line in _read(f"/proc/{pid}/net/route").splitlines()[1:]:
        fields = line.split()
        destination, mask = (struct.unpack("<I", bytes.fromhex(fields[index]))[0] for index in (1, 7))
        yield fields[0], _swap(destination), _swap(mask)


def _swap(number: int) -> int:
    return int.from_bytes(number.to_bytes(4, "big"), "big")


def _network_of(interface: str, routes: list[tuple[str, int, int]], by_address: dict[str, str]) -> str | None:
    """The network whose address the interface's own route covers."""
    for address, network in by_address.items():
        parts = address.split(".")
        if len(parts) != 4:
            continue
        number = int.from_bytes(bytes(map(int, parts)), "big")
        if any(name == interface and mask and number & mask == destination for name, destination, mask in routes):
            return network
    return None


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as stream:  # of the many small files here each buffer would cost as much again
        return stream.read().decode("utf-8", "replace")


def _try(path: str) -> str | None:
    try:
        return _read(path).strip()
    except OSError:
        return None


def _number(path: str) -> int | None:
    text = _try(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
