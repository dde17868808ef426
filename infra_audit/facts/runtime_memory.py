"""Facts about what the runtime inside a container is told to take: heaps, caches, buffers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from infra_audit.deployment import Subject
from infra_audit.facts.products import FAMILIES
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact, value_of
from infra_audit.facts.services import Word, command_words, environment_items, may_run, sub_span
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node
from infra_audit.units import format_bytes, parse_bytes

__all__: list[str] = []

_MIB = 1024**2
_GIB = 1024**3
_POSTGRES_BLOCK = 8192


class _Setting(NamedTuple):
    """How a runtime is told its memory: a pattern with the groups ``value`` and, perhaps, ``unit``."""

    name: str
    pattern: Pattern
    size: Callable[[str], int | None]


class _Found(NamedTuple):
    name: str
    size: int
    place: Node | Span


def _times(unit: int) -> Callable[[str], int | None]:
    """Reads a bare number that counts in a unit."""
    return lambda text: int(float(text) * unit) if re.fullmatch(r"\d+(?:\.\d+)?", text) else None


def _postgres_size(text: str) -> int | None:
    """A memory setting of PostgreSQL; a number without a unit counts blocks of 8 KiB."""
    text = text.strip("'\" ")
    return int(text) * _POSTGRES_BLOCK if text.isdigit() else parse_bytes(text)


_JVM = (
    _Setting(
        "the JVM's heap (-Xmx)", Pattern(r"(?<!\S)-Xmx(?P<value>\d+[kKmMgGtT]?)(?!\S)", hints=("-Xmx",)), parse_bytes
    ),
    _Setting(
        "the JVM's heap (MaxHeapSize)",
        Pattern(r"(?<!\S)-XX:MaxHeapSize=(?P<value>\d+[kKmMgGtT]?)(?!\S)", hints=("-XX:MaxHeapSize",)),
        parse_bytes,
    ),
)
_NODE = _Setting(
    "Node's old space (--max-old-space-size)",
    Pattern(r"(?<!\S)--max[-_]old[-_]space[-_]size[= ](?P<value>\d+)(?!\S)", hints=("--max",)),
    _times(_MIB),
)
_IN_TEXTS = (*_JVM, _NODE)
"""Looked for in every environment value and in the command line."""

_WORD_SIZE = r"(?P<value>'?\d+(?:\s?[kKMGT]i?B|[kKMGT])?'?)(?!\S)"
_IN_COMMANDS = (
    *_IN_TEXTS,
    _Setting(
        "shared_buffers",
        Pattern(rf"(?<![\w.])shared_buffers\s*=\s*{_WORD_SIZE}", hints=("shared_buffers",)),
        _postgres_size,
    ),
    _Setting(
        "innodb_buffer_pool_size",
        Pattern(rf"(?<!\S)--innodb[-_]buffer[-_]pool[-_]size[= ]{_WORD_SIZE}", hints=("--innodb",)),
        parse_bytes,
    ),
    _Setting(
        "WiredTiger's cache",
        Pattern(r"(?<!\S)--wiredTigerCacheSizeGB[= ](?P<value>\d+(?:\.\d+)?)(?!\S)", hints=("--wiredTiger",)),
        _times(_GIB),
    ),
)

_VARIABLES: dict[str, tuple[str, Callable[[str], int | None]]] = {
    "GOMEMLIMIT": ("GOMEMLIMIT", parse_bytes),
    "MAX_HEAP_SIZE": ("the JVM's heap (MAX_HEAP_SIZE)", parse_bytes),
    "NEO4J_dbms_memory_heap_max__size": ("Neo4j's heap", parse_bytes),
    "NEO4J_server_memory_heap_max__size": ("Neo4j's heap", parse_bytes),
    "NEO4J_dbms_memory_pagecache_size": ("Neo4j's page cache", parse_bytes),
    "NEO4J_server_memory_pagecache_size": ("Neo4j's page cache", parse_bytes),
    "POSTGRESQL_SHARED_BUFFERS": ("shared_buffers", _postgres_size),
    "POSTGRES_SHARED_BUFFERS": ("shared_buffers", _postgres_size),
}
"""Variables whose whole value is a size."""

_MAY_HOLD_ONE = Pattern(r"_OPTS\Z|_OPTIONS\Z|\AGOMEMLIMIT\Z|HEAP")


@fact("service.runtime_memory_above_limit", on="service")
def runtime_memory_above_limit(service: Subject) -> Fact[list[Item]]:
    """Memory settings of the runtime (JVM, Node, Go, Redis, PostgreSQL, …) that exceed the container's limit."""
    settings = [*_in_environment(service), *_in_command(service), *_of_redis(service)]
    undecided = [
        Item(f"{name}: {node.why_unknown()}", (Evidence(node),), unknown=True)
        for name, node in environment_items(service)
        if isinstance(node.value, str) and HOLE in node.value and _MAY_HOLD_ONE.search(name)
    ]
    if not settings and not undecided:
        return Known([], service.node)
    limit = evaluate(service, "service.memory_limit")
    bound = value_of(service, "service.memory_limit")
    if bound is None or not isinstance(limit, Known):
        return Known([], service.node)
    limit_here = Evidence(limit.because[0].place, "the limit is here")
    items = [
        Item(f"{found.name} may take {format_bytes(found.size)}", (Evidence(found.place), limit_here), expected=bound)
        for found in settings
        if found.size > bound
    ]
    return Known(items + undecided, limit_here)


def _in_environment(service: Subject) -> Iterator[_Found]:
    for name, node in environment_items(service):
        text = node.value
        if not isinstance(text, str) or HOLE in text:
            continue
        whole = _VARIABLES.get(name)
        if whole is not None:
            size = whole[1](text)
            if size is not None:
                yield _Found(whole[0], size, node)
        for setting in _IN_TEXTS if "-" in text else ():
            *_, last = [None, *setting.pattern.finditer(text)]  # the last one counts
            size = setting.size(last["value"]) if last else None
            if last is not None and size is not None:
                yield _Found(f"{setting.name} in {name}", size, sub_span(node, last.start(), last.end()))


def _in_command(service: Subject) -> Iterator[_Found]:
    words = command_words(service)
    text, places = _joined(words)
    for setting in _IN_COMMANDS if words else ():
        *_, last = [None, *setting.pattern.finditer(text)]
        size = setting.size(last["value"]) if last and HOLE not in last[0] else None
        if last is not None and size is not None:
            place = next(place for end, place in places if last.start("value") < end)
            yield _Found(setting.name, size, place)


def _joined(words: list[Word]) -> tuple[str, list[tuple[int, Node | Span]]]:
    """The words in one text, and where each ends in it."""
    text = ""
    places: list[tuple[int, Node | Span]] = []
    for word in words:
        text += word.text + " "
        places.append((len(text), word.place))
    return text, places


def _of_redis(service: Subject) -> Iterator[_Found]:
    """Redis' maxmemory, however it is given."""
    if not may_run(service, FAMILIES["redis"]):
        return
    maxmemory = evaluate(service, "redis.maxmemory")
    if isinstance(maxmemory, Known) and maxmemory.value and maxmemory.because:
        yield _Found("maxmemory", maxmemory.value, maxmemory.because[0].place)
