"""Facts about Redis and Valkey servers: their settings however they are given, and what follows from them."""

from __future__ import annotations

from fnmatch import fnmatchcase

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.redis_directives import (
    DEFAULTS,
    normal,
)
from infra_audit.facts.redis_start import Start, started
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, evaluate, fact
from infra_audit.source import Span
from infra_audit.tree import Node

RESERVED_DESCRIPTORS = 32
"""File descriptors that the server keeps for itself (CONFIG_MIN_RESERVED_FDS of Redis and Valkey)."""

_CACHE_NAMES = ("cache", "*-cache", "cache-*", "*_cache", "cache_*", "*cache*redis*", "*redis*cache*")


def running_server(service: Subject) -> Start | None:
    """How the server is started, or None where the service starts none; raises Undecidable."""
    start = started(service)
    if start.server is None:
        raise Undecidable(start.why)
    return start if start.server else None


def _image(service: Subject) -> Node:
    return service.node.get("image") or service.node


def setting(service: Subject, name: str) -> Fact[str | None]:
    """The normalised value of a directive as the server starts with it; None without a server."""
    start = running_server(service)
    if start is None:
        return Known(None, service.node)
    found = start.last(name)
    if found is not None and found.why:
        return Unknown(found.why if found.name == "*" else f"{name}: {found.why}")
    if found is None:
        return Known(_default(start, name), Evidence(service.node, f"{name} is not set"))
    if name == "save":
        return _save(start)
    return Known(normal(name, found.words), Evidence(found.place, f"{name} by {found.via}"))


def _default(start: Start, name: str) -> str | None:
    own = dict(start.flavour.defaults) if start.flavour else {}
    return own.get(name, DEFAULTS.get(name))


def _save(start: Start) -> Fact[str | None]:
    """Each ``save`` line adds to the ones before it; an empty one takes all away."""
    points: list[str] = []
    evidence: list[Evidence] = []
    for line in start.all("save"):
        if line.why:
            points, evidence = [], []
            continue
        words = " ".join(line.words).split()
        points = points + words if words else []
        evidence.insert(0, Evidence(line.place, f"save by {line.via}"))
    return Known(" ".join(points), *evidence)


def _number(service: Subject, name: str) -> Fact[int | None]:
    found = setting(service, name)
    if isinstance(found, Unknown):
        return found
    if found.value is None:
        return Known(None, *found.because)
    try:
        return Known(int(found.value), *found.because)
    except ValueError:
        return Unknown(f"{name} {found.value!r} is no number, so the server does not start")


def _place(start: Start, name: str, service: Subject) -> Node | Span:
    found = start.last(name)
    return found.place if found is not None and found.name == name else service.node


@fact("redis.server", on="service")
def server(service: Subject) -> Fact[bool]:
    """True where the service starts a Redis or Valkey server; not for sentinels and command-line clients."""
    return Known(running_server(service) is not None, _image(service))


@fact("redis.settings", on="service")
def settings(service: Subject) -> Fact[dict[str, str]]:
    """Every directive that the files give, by name, normalised (sizes in bytes); defaults are left out."""
    start = running_server(service)
    if start is None:
        return Known({}, service.node)
    unknown = start.last("*")
    if unknown is not None:
        return Unknown(unknown.why)
    found: dict[str, str] = {}
    places: list[Evidence] = []
    for name in dict.fromkeys(line.name for line in start.settings):
        value = setting(service, name)
        if isinstance(value, Known) and name not in ("requirepass", "masterauth", "user", "tls-key-file-pass"):
            found[name] = str(value.value)
            places += value.because
    return Known(found, *places)


@fact("redis.maxmemory", on="service", unit="bytes")
def maxmemory(service: Subject) -> Fact[int | None]:
    """How much memory the server's data may take, in bytes; 0 for no bound."""
    return _number(service, "maxmemory")


@fact("redis.maxmemory_share", on="service", unit="ratio")
def maxmemory_share(service: Subject) -> Fact[float | None]:
    """maxmemory as a share of the container's memory limit; None where there is no bound or no limit."""
    limit = evaluate(service, "service.memory_limit")
    if isinstance(limit, Known) and not limit.value:
        return Known(None, *limit.because)
    memory = evaluate(service, "redis.maxmemory")
    if isinstance(memory, Unknown):
        return memory
    if not memory.value:
        return Known(None, *memory.because)
    if isinstance(limit, Unknown):
        return limit
    places = [Evidence(part.place, "the memory limit") for part in limit.because]
    return Known(memory.value / limit.value, *memory.because, *places)


@fact("redis.maxclients", on="service")
def maxclients(service: Subject) -> Fact[int | None]:
    """How many clients the server is told to take; 10000 by default."""
    return _number(service, "maxclients")


@fact("redis.maxclients_possible", on="service")
def maxclients_possible(service: Subject) -> Fact[int | None]:
    """How many clients the declared limit of open files lets through; None where the files declare none.

    The server raises its soft limit to the hard one, and keeps 32 descriptors for itself.
    """
    if running_server(service) is None:
        return Known(None, service.node)
    node = service.node.get("ulimits", "nofile")
    if node is None or node.value is None:
        return Known(None, service.node)
    hard = node.get("hard") or node.get("soft") or node
    limit = int(hard.known())
    if limit < 0:
        return Known(None, hard)
    return Known(limit - RESERVED_DESCRIPTORS, Evidence(hard, f"nofile is {limit}"))


@fact("redis.policy", on="service")
def policy(service: Subject) -> Fact[str | None]:
    """What the server does at maxmemory: noeviction by default."""
    return setting(service, "maxmemory-policy")


@fact("redis.policy_given", on="service")
def policy_given(service: Subject) -> Fact[bool]:
    """True where the files choose maxmemory-policy, so that it is a decision."""
    start = running_server(service)
    if start is None:
        return Known(False, service.node)
    found = start.last("maxmemory-policy")
    if found is not None and found.name == "*":
        return Unknown(found.why)
    return Known(found is not None, found.place if found else service.node)


@fact("redis.persistence", on="service")
def persistence(service: Subject) -> Fact[str | None]:
    """How data outlives the process: aof, rdb, "aof and rdb", or none; the server's default is rdb."""
    start = running_server(service)
    if start is None:
        return Known(None, service.node)
    aof, rdb = setting(service, "appendonly"), setting(service, "save")
    if isinstance(aof, Unknown):
        return aof
    if isinstance(rdb, Unknown):
        return rdb
    ways = [name for name, on in (("aof", aof.value == "yes"), ("rdb", bool(rdb.value))) if on]
    return Known(" and ".join(ways) or "none", *aof.because, *rdb.because)


@fact("redis.log_asked_for", on="service")
def log_asked_for(service: Subject) -> Fact[bool]:
    """True where the files themselves switch appendonly on: somebody wants the data to stay."""
    start = running_server(service)
    if start is None:
        return Known(False, service.node)
    aof = setting(service, "appendonly")
    if isinstance(aof, Unknown):
        return aof
    return Known(aof.value == "yes" and start.last("appendonly") is not None, *aof.because)


@fact("redis.is_cache", on="service")
def is_cache(service: Subject) -> Fact[bool]:
    """True where the service's name, or its container's, says that it is a cache."""
    if running_server(service) is None:
        return Known(False, service.node)
    container = service.node.get("container_name")
    names = [service.name, str(container.value) if container else ""]
    called = any(fnmatchcase(name.lower(), pattern) for name in names for pattern in _CACHE_NAMES)
    return Known(called, service.node)
