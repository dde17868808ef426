"""What redis-server accepts in its configuration: names, kinds of values, bounds and defaults.

State of the table: Redis 7.4 and Valkey 8.0 (August 2024), checked against ``CONFIG GET *`` of
Redis 7.0.15. Names that a later version adds are not in it; ``is_newer`` tells whether that matters.
Source: redis.io/docs/latest/operate/oss_and_stack/management/config, valkey.io/topics/valkey.conf.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from infra_audit.hints import nearest
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.units import parse_bytes

__all__ = [
    "ACCUMULATING",
    "DEFAULTS",
    "canonical",
    "complaint",
    "is_known",
    "is_newer",
    "normal",
    "normal_plan",
    "parse_memory",
    "similar",
    "written_size",
]


class Kind(NamedTuple):
    """How a directive's value is read. ``low`` and ``high`` bound numbers; ``words`` are the enum's values."""

    name: str
    low: int = 0
    high: int = 2**63 - 1
    words: frozenset[str] = frozenset()
    many: bool = False


_BOOL = Kind("bool")
_INT = Kind("int")
_SIZE = Kind("size")
_TEXT = Kind("text")
_FREE = Kind("free")  # several words, or a syntax of its own
_PORT = Kind("int", 0, 65535)
_INT_MAX = 2**31 - 1


def _enum(words: str, *, many: bool = False) -> Kind:
    return Kind("enum", words=frozenset(words.split()), many=many)


_GROUPS: tuple[tuple[Kind, str], ...] = (
    (
        _BOOL,
        """activedefrag activerehashing always-show-logo aof-disable-auto-gc aof-load-truncated
        aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble appendonly close-on-replica-write
        cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration
        cluster-enabled cluster-replica-no-failover cluster-require-full-coverage cluster-slot-stats-enabled
        crash-log-enabled crash-memcheck-enabled daemonize debug-assert-enabled disable-thp
        dual-channel-replication-enabled dynamic-hz extended-redis-compatibility hide-user-data-from-log
        io-threads-do-reads jemalloc-bg-thread latency-tracking lazyexpire-nested-arbitrary-keys
        lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del
        lazyfree-lazy-user-flush lua-enable-deprecated-api no-appendfsync-on-rewrite protected-mode
        rdb-del-sync-files rdb-save-incremental-fsync rdbchecksum rdbcompression repl-disable-tcp-nodelay
        repl-diskless-sync replica-announced replica-ignore-disk-write-errors replica-ignore-maxmemory
        replica-lazy-flush replica-read-only replica-serve-stale-data set-proc-title stop-writes-on-bgsave-error
        syslog-enabled tls-cluster tls-prefer-server-ciphers tls-replication tls-session-caching
        use-exit-on-panic""",
    ),
    (
        _PORT,
        """cluster-announce-bus-port cluster-announce-port cluster-announce-tls-port cluster-port port
        replica-announce-port tls-port""",
    ),
    (
        Kind("int", 0, _INT_MAX),
        """auto-aof-rewrite-percentage cluster-blacklist-ttl cluster-migration-barrier
        cluster-replica-validity-factor hz lfu-decay-time lfu-log-factor list-compress-depth min-replicas-max-lag
        min-replicas-to-write repl-diskless-sync-delay repl-diskless-sync-max-replicas replica-priority
        shutdown-timeout tcp-backlog tcp-keepalive timeout tls-session-cache-size tls-session-cache-timeout
        watchdog-period""",
    ),
    (Kind("int", 1, _INT_MAX), "databases repl-ping-replica-period repl-timeout"),
    (Kind("int", 1, 2**32 - 1), "maxclients"),
    (Kind("int", 1, 100), "active-defrag-cycle-max active-defrag-cycle-min"),
    (Kind("int", 0, 1000), "active-defrag-threshold-lower active-defrag-threshold-upper"),
    (Kind("int", 1, 1000), "max-new-connections-per-cycle max-new-tls-connections-per-cycle"),
    (Kind("int", 1, 10), "active-expire-effort"),
    (Kind("int", 1, 128), "io-threads"),
    (Kind("int", 0, 100), "maxmemory-eviction-tenacity"),
    (Kind("int", 1, _INT_MAX), "maxmemory-samples"),
    (Kind("int", -_INT_MAX - 1, _INT_MAX), "key-load-delay list-max-listpack-size rdb-key-save-delay"),
    (Kind("int", -1), "slowlog-log-slower-than"),
    (
        _INT,
        """acllog-max-len active-defrag-cycle-us active-defrag-max-scan-fields busy-reply-threshold
        cluster-node-timeout cluster-ping-interval events-per-io-thread hash-max-listpack-entries
        latency-monitor-threshold prefetch-batch-max-size repl-backlog-ttl set-max-intset-entries
        set-max-listpack-entries slowlog-max-len socket-mark-id stream-node-max-entries tracking-table-max-keys
        zset-max-listpack-entries loading-process-events-interval-bytes""",
    ),
    (
        _SIZE,
        """active-defrag-ignore-bytes auto-aof-rewrite-min-size client-query-buffer-limit cluster-link-sendbuf-limit
        hash-max-listpack-value hll-sparse-max-bytes maxmemory proto-max-bulk-len repl-backlog-size
        set-max-listpack-value stream-node-max-bytes zset-max-listpack-value""",
    ),
    (Kind("percent"), "maxmemory-clients"),
    (
        _TEXT,
        """aclfile aof-rewrite-cpulist appenddirname appendfilename availability-zone bgsave-cpulist bind-source-addr
        bio-cpulist cluster-announce-hostname cluster-announce-human-nodename cluster-announce-ip cluster-config-file
        dbfilename dir ignore-warnings locale-collate logfile masterauth masteruser notify-keyspace-events pidfile
        proc-title-template replica-announce-ip requirepass server-cpulist syslog-ident tls-ca-cert-dir
        tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file tls-client-key-file
        tls-client-key-file-pass tls-dh-params-file tls-key-file tls-key-file-pass tls-protocols unixsocket
        unixsocketgroup unixsocketperm""",
    ),
    (
        _FREE,
        """bind client-output-buffer-limit include latency-tracking-info-percentiles list-max-ziplist-entries
        list-max-ziplist-value loadmodule oom-score-adj-values rename-command replicaof save sentinel user""",
    ),
    (
        _enum(
            "allkeys-lfu allkeys-lru allkeys-random noeviction volatile-lfu volatile-lru volatile-random volatile-ttl"
        ),
        "maxmemory-policy",
    ),
    (_enum("always everysec no"), "appendfsync"),
    (_enum("debug verbose notice warning nothing"), "loglevel"),
    (_enum("upstart systemd auto no"), "supervised"),
    (_enum("user local0 local1 local2 local3 local4 local5 local6 local7"), "syslog-facility"),
    (_enum("disabled on-empty-db swapdb flush-before-load"), "repl-diskless-load"),
    (_enum("no yes relative absolute"), "oom-score-adj"),
    (_enum("allchannels resetchannels"), "acl-pubsub-default"),
    (_enum("no yes clients"), "sanitize-dump-payload"),
    (_enum("no yes local"), "enable-protected-configs enable-debug-command enable-module-command"),
    (_enum("ip hostname unknown-endpoint"), "cluster-preferred-endpoint-type"),
    (_enum("ignore panic panic-on-replicas"), "propagation-error-behavior"),
    (_enum("default save nosave now force", many=True), "shutdown-on-sigint shutdown-on-sigterm"),
    (_enum("no yes optional"), "tls-auth-clients"),
)
_KINDS = {name: kind for kind, names in _GROUPS for name in names.split()}

_ALIASES = {
    "slaveof": "replicaof",
    "lua-time-limit": "busy-reply-threshold",
    "hash-max-ziplist-entries": "hash-max-listpack-entries",
    "hash-max-ziplist-value": "hash-max-listpack-value",
    "zset-max-ziplist-entries": "zset-max-listpack-entries",
    "zset-max-ziplist-value": "zset-max-listpack-value",
    "list-max-ziplist-size": "list-max-listpack-size",
    "primaryauth": "masterauth",
    "primaryuser": "masteruser",
    "cluster-allow-slave-migration": "cluster-allow-replica-migration",
} | {
    name.replace("-", "_"): name for name in ("server-cpulist", "bio-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist")
}

ACCUMULATING = frozenset(
    ("client-output-buffer-limit", "include", "loadmodule", "rename-command", "save", "sentinel", "user")
)
"""Directives of which each line adds something; any other's last line counts."""

DEFAULTS = {
    "appendonly": "no",
    "maxclients": "10000",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "port": "6379",
    "requirepass": "",
    "save": "3600 1 300 100 60 10000",
    "tcp-backlog": "511",
    "tcp-keepalive": "300",
    "timeout": "0",
    "databases": "16",
    "appendfsync": "everysec",
    "replica-read-only": "yes",
    "rdbcompression": "yes",
    "stop-writes-on-bgsave-error": "yes",
    "lazyfree-lazy-eviction": "no",
    "activedefrag": "no",
    "maxmemory-samples": "5",
    "hz": "10",
    "io-threads": "1",
    "loglevel": "notice",
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": str(64 * 1024**2),
    "no-appendfsync-on-rewrite": "no",
}
"""What a server does without the directive, normalised (Redis 7; Valkey 8 frees lazily by default)."""

_LATEST = {"redis": (7, 4), "valkey": (8, 0)}
_MEMORY = Pattern(r"([0-9]+)(b|k|kb|m|mb|g|gb)?\Z", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}
_NUMBER = Pattern(r"[+-]?[0-9]+\Z")


def canonical(name: str) -> str:
    """A directive's present name: in lower case, "slave" said "replica", old names replaced."""
    name = name.lower()
    if name in _ALIASES:
        return _ALIASES[name]
    renamed = name.replace("slave", "replica")
    return renamed if renamed in _KINDS else name


def is_known(name: str) -> bool:
    """True for a directive of the table, and for ``module.setting``, which its module judges."""
    return "." in name or canonical(name) in _KINDS


def similar(name: str) -> str:
    """The known directive that a mistyped one most likely means, or ""."""
    return nearest(canonical(name), _KINDS, 0.85)


def is_newer(product: str, version: tuple[int, ...] | None) -> bool:
    """True where the server may know directives that this table does not; so for an unknown version."""
    latest = _LATEST.get(product)
    return version is None or latest is None or version[:2] > latest


def parse_memory(text: str) -> int | None:
    """A size as redis reads it (1k = 1000, 1kb = 1024), in bytes, or None."""
    match = _MEMORY.match(text)
    return int(match[1]) * _FACTORS[(match[2] or "").lower()] if match else None


def complaint(name: str, words: Sequence[str]) -> str:
    """Why redis-server refuses a directive's words; "" where it takes them or they are not judged here."""
    kind = _KINDS.get(canonical(name))
    if kind is None or kind.name == "free":
        return _free_complaint(canonical(name), words)
    if not words:
        return f"{name} has no value"
    if len(words) > 1 and not kind.many:
        return f"{name} takes one value, not {len(words)}"
    value = words[0]
    match kind.name:
        case "bool":
            return "" if value.lower() in ("yes", "no") else f"{name} must be yes or no, not {value!r}"
        case "enum":
            wrong = next((word for word in words if word.lower() not in kind.words), None)
            return "" if wrong is None else f"{name} must be one of {', '.join(sorted(kind.words))}, not {wrong!r}"
        case "size":
            return "" if parse_memory(value) is not None else f"{name} {value!r} is no size: write {_size_hint(value)}"
        case "percent":
            fine = parse_memory(value) is not None or (value.endswith("%") and value[:-1].isdigit())
            return "" if fine else f"{name} {value!r} is neither a size nor a percentage"
        case "int":
            return _int_complaint(name, kind, value)
    return ""


def _int_complaint(name: str, kind: Kind, value: str) -> str:
    if not _NUMBER.match(value):
        return f"{name} must be a whole number, not {value!r}"
    if int(value) < kind.low:
        return f"{name} must be at least {kind.low}, not {value}"
    if int(value) > kind.high:
        return f"{name} must be at most {kind.high}, not {value}"
    return ""


def _free_complaint(name: str, words: Sequence[str]) -> str:
    if name == "save":
        numbers = " ".join(words).split()
        if len(numbers) % 2 or not all(number.isdigit() for number in numbers):
            return f"save takes pairs of seconds and changes, not {' '.join(words)!r}"
    if name == "replicaof" and len(words) not in (1, 2):
        return f"replicaof takes a host and a port, not {len(words)} values"
    if name == "rename-command" and len(words) != 2:
        return f"rename-command takes a command and its new name, not {len(words)} values"
    return ""


def _size_hint(value: str) -> str:
    size = parse_bytes(value)
    if size is None:
        return "a number of bytes, or 512mb, 2gb"
    for suffix, power in (("gb", 3), ("mb", 2), ("kb", 1)):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{suffix}"
    return str(size)


def normal(name: str, words: Sequence[str]) -> str:
    """The value in one form, so that equal settings are equal texts: sizes in bytes, words in lower case."""
    kind = _KINDS.get(canonical(name), _FREE)
    text = " ".join(words)
    if kind.name in ("size", "percent"):
        size = parse_memory(text)
        return text if size is None else str(size)
    if kind.name in ("bool", "enum"):
        return text.lower()
    if kind.name == "int" and _NUMBER.match(text):
        return str(int(text))
    return " ".join(text.split()) if kind.name == "free" else text


def normal_plan(name: str, value: object) -> str:
    """A plan's value in the same form; ``true`` is yes, and 2GiB or 2g is a size as Compose reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(item) for item in value) if isinstance(value, list) else str(value)
    kind = _KINDS.get(canonical(name), _FREE)
    if kind.name == "size":
        size = parse_bytes(text)
        return normal(name, (text,)) if size is None else str(size)
    return normal(name, (text,))


def written_size(size: int) -> str:
    """A size as redis.conf holds it, exactly: 6gb, 1536mb, else the bytes."""
    for suffix, power in (("gb", 3), ("mb", 2), ("kb", 1)):
        if size and size % 1024**power == 0:
            return f"{size // 1024**power}{suffix}"
    return str(size)
