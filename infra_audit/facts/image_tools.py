"""What is known about the insides of well-known images: programs they lack, and whether they bring a health check.

As of 2025-11, from the images' own Dockerfiles. An image that is not named here is unknown, not complete. A tag may
be rebuilt at any time, so only what has held over many releases is named.
"""

from __future__ import annotations

from functools import lru_cache

from infra_audit.facts.products import Image
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["SHELL_TOOLS", "brings_no_health_check", "lacking"]

SHELL_TOOLS = frozenset(
    ("sh", "bash", "ash", "curl", "wget", "nc", "ncat", "netcat", "grep", "test", "cat", "echo", "ls")
)
"""Programs that an image without a shell certainly lacks."""

_CURL = frozenset(("curl",))
_BOTH = frozenset(("curl", "wget"))
_BUSYBOX = frozenset(("curl", "bash"))


class _Rule(NamedTuple):
    """Programs that images lack. ``repositories`` fits the whole name, ``tags`` what the tag must hold."""

    repositories: Pattern
    tags: Pattern
    lacks: frozenset[str]


def _rule(repositories: str, tags: str, lacks: frozenset[str], hints: tuple[str, ...] = ()) -> _Rule:
    return _Rule(Pattern(rf"(?:{repositories})\Z", hints=hints or tuple(repositories.split("|"))), Pattern(tags), lacks)


_ALPINE = r"alpine"
_NOT_ALPINE = r"\A(?!.*(?:alpine|windows|nanoserver|servercore))"
_ANY = r"\A(?!.*(?:windows|nanoserver|servercore))"
_SLIM = r"slim"

_RULES = (
    _rule(r"postgres|redis|valkey/valkey", _NOT_ALPINE, _BOTH),
    _rule(r"postgres|redis|valkey/valkey|rabbitmq|memcached|python|node|golang|alpine", _ALPINE, _CURL),
    _rule(r"rabbitmq", _NOT_ALPINE, _CURL),
    _rule(r"python|node", _SLIM, _BOTH),
    _rule(r"debian|ubuntu", _ANY, _BOTH),
    _rule(r"alpine|traefik|registry", _ANY, _CURL),
    _rule(r"caddy", r"\A(?!.*(?:builder|windows))", _CURL),
    _rule(r"qdrant/qdrant", _ANY, _BOTH),
    _rule(
        r"(?:prom|quay\.io/prometheus)/(?:prometheus|alertmanager|node-exporter|blackbox-exporter|pushgateway)"
        r"|(?:quay\.io/)?prometheuscommunity/postgres-exporter",
        _ANY,
        _BUSYBOX,
        ("prom/", "prometheus"),
    ),
    _rule(r"(?:prom|quay\.io/prometheus)/\S+", r"distroless", SHELL_TOOLS, ("prom/", "prometheus/")),
    _rule(r"gcr\.io/distroless/\S+", r"\A(?!.*debug)", SHELL_TOOLS, ("distroless/",)),
    _rule(r"scratch", _ANY, SHELL_TOOLS),
    _rule(
        r"oliver006/redis_exporter|portainer/portainer-[ce]e|nats",
        _NOT_ALPINE,
        SHELL_TOOLS,
        ("redis_exporter", "portainer", "nats"),
    ),
    _rule(r"containrrr/watchtower", _ANY, SHELL_TOOLS),
)


@lru_cache(maxsize=1024)
def lacking(image: Image) -> frozenset[str]:
    """Programs that an image is known to lack; empty where nothing is known."""
    if image.digest and not image.tag:
        return frozenset()
    name = image.path if image.on_hub else f"{image.registry}/{image.path}"
    found: set[str] = set()
    for rule in _RULES:
        if rule.repositories.match(name) and rule.tags.search(image.tag):
            found |= rule.lacks
    return frozenset(found)


_NO_HEALTH_CHECK = Pattern(
    r"(?:postgres|redis|mysql|mariadb|mongo|rabbitmq|memcached|nats|zookeeper|cassandra|influxdb|nginx|httpd|haproxy"
    r"|traefik|caddy|registry|wordpress|alpine|debian|ubuntu|busybox|scratch|python|node|golang|ruby|php|rust|openjdk"
    r"|eclipse-temurin|amazoncorretto|maven|gradle|elixir|perl|tomcat|buildpack-deps"
    r"|valkey/valkey|postgis/postgis|timescale/timescaledb|pgvector/pgvector|clickhouse/clickhouse-server"
    r"|bitnami/(?:postgresql|redis|mariadb|mysql|mongodb|rabbitmq|kafka|nginx)"
    r"|confluentinc/cp-(?:kafka|zookeeper)|apache/kafka|qdrant/qdrant|gcr\.io/distroless/\S+"
    r"|prom/(?:prometheus|alertmanager|node-exporter|pushgateway|blackbox-exporter)|grafana/(?:grafana|loki))\Z"
)
"""Repositories whose images have no HEALTHCHECK. Docker's official images leave it to the one who runs them."""


def brings_no_health_check(image: Image) -> bool:
    """True where an image is known to have no HEALTHCHECK of its own; False says nothing."""
    name = image.path if image.on_hub else f"{image.registry}/{image.path}"
    return _NO_HEALTH_CHECK.match(name) is not None
