"""What Prometheus itself says: which targets it reaches, which rules it runs, what fires."""

from __future__ import annotations

from typing import Any

from infra_audit.live.probes.container import Container, Failed

__all__ = ["state"]

_PORT = 9090
_SECONDS = 3.0


def state(container: Container) -> dict[str, Any]:
    """Targets (job, address, health, error), rules (group, name, health, error, file), firing alerts; raises Failed."""
    prefix = next((word.partition("=")[2] for word in container.words() if "--web.route-prefix=" in word), "")
    targets = _data(container, f"{prefix.rstrip('/')}/api/v1/targets?state=active")
    rules = _data(container, f"{prefix.rstrip('/')}/api/v1/rules")
    alerts = _data(container, f"{prefix.rstrip('/')}/api/v1/alerts")
    return {
        "targets": [
            {
                "job": (target.get("labels") or {}).get("job", target.get("scrapePool", "")),
                "address": (target.get("labels") or {}).get("instance", ""),
                "health": target.get("health", ""),
                "error": str(target.get("lastError", ""))[:300],
            }
            for target in targets.get("activeTargets") or ()
        ],
        "rules": [
            {
                "group": group.get("name", ""),
                "file": group.get("file", ""),
                "name": rule.get("name", ""),
                "health": rule.get("health", ""),
                "error": str(rule.get("lastError", ""))[:300],
            }
            for group in rules.get("groups") or ()
            for rule in group.get("rules") or ()
        ],
        "alerts": [
            {
                "name": (alert.get("labels") or {}).get("alertname", ""),
                "severity": (alert.get("labels") or {}).get("severity", ""),
                "since": alert.get("activeAt", ""),
                "labels": alert.get("labels") or {},
            }
            for alert in alerts.get("alerts") or ()
            if alert.get("state") == "firing"
        ],
    }


def _data(container: Container, path: str) -> dict[str, Any]:
    answer = container.fetch_json(_PORT, path, _SECONDS)
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
        raise Failed(f"{path.partition('?')[0]} answers what is no Prometheus")
    data: dict[str, Any] = answer["data"]
    return data
