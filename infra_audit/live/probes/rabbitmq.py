"""The memory at which RabbitMQ stops its publishers, from the metrics that it serves to Prometheus."""

from __future__ import annotations

from typing import Any

from infra_audit.live.probes.container import Container, Failed

__all__ = ["memory"]

_PORT = 15692
_METRICS = {"rabbitmq_resident_memory_limit_bytes": "watermark", "rabbitmq_process_resident_memory_bytes": "used"}


def memory(container: Container) -> dict[str, Any]:
    """watermark and used, in bytes; raises Failed."""
    found = {}
    for line in container.fetch(_PORT, "/metrics", 3.0).splitlines():
        name, _, value = line.partition(" ")
        if name in _METRICS:
            try:
                found[_METRICS[name]] = int(float(value))
            except ValueError:
                continue
    if "watermark" not in found:
        raise Failed("its metrics do not tell the memory watermark")
    return found
