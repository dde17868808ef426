"""What a PostgreSQL server is really set to: one query over pg_settings, by ``psql`` inside the container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from infra_audit.errors import EngineError
from infra_audit.live.probes.container import Container, Failed

__all__ = ["settings"]

_NAMES = (
    "shared_buffers",
    "effective_cache_size",
    "work_mem",
    "maintenance_work_mem",
    "max_connections",
    "max_wal_size",
    "max_worker_processes",
    "max_parallel_workers",
    "checkpoint_timeout",
    "wal_compression",
    "listen_addresses",
    "shared_preload_libraries",
)
_QUERY = (
    "select json_object_agg(name, json_build_object('value', setting, 'unit', coalesce(unit, ''), 'source', source,"
    " 'file', coalesce(sourcefile, ''), 'pending', pending_restart)) from pg_settings where name in ({names})"
)


class Runner(Protocol):
    def run(self, container: str, command: list[str], environment: Mapping[str, str] | None = None) -> str: ...


def settings(container: Container, engine: Runner) -> dict[str, Any]:
    """Setting → value, unit, source, and whether a restart is pending; raises Failed.

    Over the socket inside the container, which the images let its own user in by; a read-only session.
    """
    environment = container.environment
    user = environment.get("POSTGRES_USER") or "postgres"
    query = _QUERY.format(names=", ".join(f"'{name}'" for name in _NAMES))
    command = ["psql", "-XAtq", "-h", "/var/run/postgresql", "-U", user, "-d", environment.get("POSTGRES_DB") or user]
    options = {"PGOPTIONS": "-c default_transaction_read_only=on -c statement_timeout=4000", "PGCONNECT_TIMEOUT": "3"}
    try:
        found = json.loads(engine.run(container.id, [*command, "-c", query], options))
    except EngineError as error:
        raise Failed(error.message) from None
    except ValueError:
        raise Failed("psql prints no JSON") from None
    if not isinstance(found, dict):
        raise Failed("pg_settings is empty")
    return found
