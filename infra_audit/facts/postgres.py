"""Facts about PostgreSQL servers: memory against the container's limit, connections, shared memory."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.postgres_start import Server, server_of
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact, value_of
from infra_audit.units import parse_bytes

__all__ = ["connections_of"]

_MIB = 1024**2
_DEFAULTS = {
    "shared_buffers": 128 * _MIB,
    "effective_cache_size": 4096 * _MIB,
    "work_mem": 4 * _MIB,
    "max_connections": 100,
    "superuser_reserved_connections": 3,
    "reserved_connections": 0,
}
"""Source: postgresql.org/docs/current/runtime-config-resource.html."""
_BLOCKS = {"shared_buffers": 8192, "effective_cache_size": 8192, "work_mem": 1024}
"""Bytes that a number without a unit counts."""


def _size(service: Subject, server: Server, name: str) -> tuple[int, Evidence, bool]:
    """A memory setting in bytes, where it stands, and whether the files give it."""
    given = server.settings.get(name)
    if given is None:
        if server.gap:
            raise Undecidable(server.gap)
        return _DEFAULTS[name], Evidence(service.node, f"{name} is not set"), False
    if given.why:
        raise Undecidable(f"{name}: {given.why}")
    text = given.value
    size = int(text) * _BLOCKS[name] if text.isdigit() else parse_bytes(text)
    if size is None:
        raise Undecidable(f"{name} {text!r} is no size")
    return size, Evidence(given.place, f"{name} by {given.via}"), True


def _number(service: Subject, server: Server, name: str) -> tuple[int, Evidence]:
    given = server.settings.get(name)
    if given is None:
        if server.gap:
            raise Undecidable(server.gap)
        return _DEFAULTS[name], Evidence(service.node, f"{name} is not set")
    if given.why or not given.value.isdigit():
        raise Undecidable(f"{name}: {given.why or repr(given.value) + ' is no number'}")
    return int(given.value), Evidence(given.place, f"{name} by {given.via}")


def _limit(service: Subject) -> tuple[int, Evidence] | None:
    limit = evaluate(service, "service.memory_limit")
    value = value_of(service, "service.memory_limit")
    if value is None or not isinstance(limit, Known):
        return None
    return value, Evidence(limit.because[0].place, "the memory limit")


@fact("postgres.server", on="service")
def server(service: Subject) -> Fact[bool]:
    """True where the service starts a PostgreSQL server."""
    return Known(server_of(service) is not None, service.node.get("image") or service.node)


@fact("postgres.settings", on="service")
def settings(service: Subject) -> Fact[dict[str, str]]:
    """Every setting that the files give, by name, as it is written; defaults are left out."""
    found = server_of(service)
    if found is None:
        return Known({}, service.node)
    if found.gap:
        raise Undecidable(found.gap)
    known = [one for one in found.settings.values() if not one.why]
    return Known({one.name: one.value for one in known}, *(Evidence(one.place) for one in known))


def _share(service: Subject, name: str, *, only_given: bool) -> Fact[float | None]:
    found, limit = server_of(service), None
    if found is not None and (not only_given or name in found.settings):
        limit = _limit(service)
    if found is None or limit is None:
        return Known(None, service.node)
    size, place, _ = _size(service, found, name)
    return Known(size / limit[0], place, limit[1])


@fact("postgres.shared_buffers_share", on="service", unit="ratio")
def shared_buffers_share(service: Subject) -> Fact[float | None]:
    """shared_buffers as a share of the container's memory limit; None without a server or a limit."""
    return _share(service, "shared_buffers", only_given=False)


@fact("postgres.cache_share", on="service", unit="ratio")
def cache_share(service: Subject) -> Fact[float | None]:
    """effective_cache_size, where the files set it, as a share of the container's memory limit."""
    return _share(service, "effective_cache_size", only_given=True)


@fact("postgres.shared_buffers", on="service", unit="bytes")
def shared_buffers(service: Subject) -> Fact[int | None]:
    """shared_buffers in bytes; 128 MiB by default."""
    found = server_of(service)
    if found is None:
        return Known(None, service.node)
    size, place, _ = _size(service, found, "shared_buffers")
    return Known(size, place)


@fact("postgres.work_mem_share", on="service", unit="ratio")
def work_mem_share(service: Subject) -> Fact[float | None]:
    """shared_buffers and one work_mem for each connection, as a share of the limit; None where work_mem is not set."""
    found = server_of(service)
    limit = _limit(service) if found is not None and "work_mem" in found.settings else None
    if found is None or limit is None:
        return Known(None, service.node)
    work, place, _ = _size(service, found, "work_mem")
    buffers, _, _ = _size(service, found, "shared_buffers")
    connections, there = _number(service, found, "max_connections")
    return Known((buffers + work * connections) / limit[0], place, there, limit[1])


def connections_of(service: Subject) -> tuple[int, Evidence] | None:
    """Connections that the server leaves to applications, and where max_connections stands; None without a server."""
    found = server_of(service)
    if found is None:
        return None
    most, place = _number(service, found, "max_connections")
    kept = sum(_number(service, found, f"{name}_connections")[0] for name in ("superuser_reserved", "reserved"))
    return most - kept, place


_LARGE = 1024 * _MIB
_SHM = 64 * _MIB
"""The engine's default size of /dev/shm."""


@fact("postgres.needs_shared_memory", on="service")
def needs_shared_memory(service: Subject) -> Fact[str | None]:
    """The setting that makes much of /dev/shm: large shared_buffers or many parallel workers; None for others.

    Parallel queries exchange rows through /dev/shm (dynamic_shared_memory_type posix).
    """
    found = server_of(service)
    if found is None:
        return Known(None, service.node)
    given = found.settings.get("shared_buffers")
    if given is not None and not given.why:
        size, place, _ = _size(service, found, "shared_buffers")
        if size >= _LARGE:
            return Known(f"shared_buffers {given.value}", place)
    for name, least in (("max_parallel_workers_per_gather", 3), ("max_parallel_workers", 9)):
        given = found.settings.get(name)
        if given is not None and given.value.isdigit() and int(given.value) >= least:
            return Known(f"{name} {given.value}", Evidence(given.place))
    return Known(None, service.node)


@fact("service.shared_memory", on="service", unit="bytes")
def shared_memory(service: Subject) -> Fact[int]:
    """Size of /dev/shm: shm_size, a tmpfs mounted there, or the host's with ``ipc: host``; 64 MiB by default."""
    node = service.node.get("shm_size")
    if node is not None and node.value is not None:
        return Known(parse_bytes(str(node.known())) or _SHM, node)
    ipc = service.node.get("ipc")
    mounts = [
        *(service.node.get("volumes") or service.node).entries(),
        *(service.node.get("tmpfs") or service.node).entries(),
    ]
    for mount in mounts:
        target = mount.get("target") or mount
        if str(target.value).partition(":")[0] == "/dev/shm":
            return Known(_LARGE, mount)
    if ipc is not None and ipc.value in ("host",):
        return Known(_LARGE, ipc)
    return Known(_SHM, service.node)
