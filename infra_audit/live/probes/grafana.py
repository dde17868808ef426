"""What Grafana itself says: whether it is well, which dashboards it has, which data sources answer."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from infra_audit.live.probes.container import Container, Failed

__all__ = ["state"]

_PORT = 3000
_SECONDS = 3.0


def state(container: Container) -> dict[str, Any]:
    """database ("ok"), dashboards (title, uid), data sources (name, uid, type, health, message); raises Failed.

    With the administrator that the container's own variables name; without one only the health is known.
    """
    health = container.fetch_json(_PORT, "/api/health", _SECONDS)
    if not isinstance(health, dict) or "database" not in health:
        raise Failed("/api/health answers what is no Grafana")
    found: dict[str, Any] = {"database": health["database"], "version": health.get("version", "")}
    environment = container.environment
    password = environment.get("GF_SECURITY_ADMIN_PASSWORD")
    if not password:
        return found
    login = (environment.get("GF_SECURITY_ADMIN_USER") or "admin", password)
    dashboards = container.fetch_json(_PORT, "/api/search?type=dash-db&limit=5000", _SECONDS, login)
    sources = container.fetch_json(_PORT, "/api/datasources", _SECONDS, login)
    found["dashboards"] = [{"title": one.get("title", ""), "uid": one.get("uid", "")} for one in dashboards]
    found["datasources"] = [_source(container, one, login) for one in sources]
    return found


def _source(container: Container, source: dict[str, Any], login: tuple[str, str]) -> dict[str, Any]:
    uid = str(source.get("uid", ""))
    told = {"name": source.get("name", ""), "uid": uid, "type": source.get("type", "")}
    try:
        answer = container.fetch_json(_PORT, f"/api/datasources/uid/{quote(uid)}/health", _SECONDS, login)
    except Failed as error:
        return {**told, "health": "ERROR", "message": str(error)}
    return {**told, "health": answer.get("status", ""), "message": str(answer.get("message", ""))[:300]}
