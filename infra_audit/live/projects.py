"""Which project and service a container belongs to, by the labels that Compose and Swarm give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["COMPOSE", "env_files_of", "files_of", "folder_of", "is_one_off", "number_of", "project_of", "service_of"]

COMPOSE = "com.docker.compose."
_STACK = "com.docker.stack.namespace"
_SWARM_SERVICE = "com.docker.swarm.service.name"


def project_of(labels: Mapping[str, Any]) -> str | None:
    """The Compose project or Swarm stack; None for a container of neither."""
    return labels.get(f"{COMPOSE}project") or labels.get(_STACK) or None


def service_of(labels: Mapping[str, Any]) -> str | None:
    """The service's name in its Compose file."""
    name = labels.get(f"{COMPOSE}service")
    if name:
        return str(name)
    name = str(labels.get(_SWARM_SERVICE) or "")
    return name.removeprefix(f"{labels.get(_STACK, '')}_") or None


def is_one_off(labels: Mapping[str, Any]) -> bool:
    """True for a container of ``docker compose run``."""
    return str(labels.get(f"{COMPOSE}oneoff", "")).lower() == "true"


def number_of(labels: Mapping[str, Any]) -> int:
    """Which replica a container is, from 1; 0 where nothing says so."""
    text = str(labels.get(f"{COMPOSE}container-number", "0"))
    return int(text) if text.isdigit() else 0


def files_of(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """The Compose files that a container was made from."""
    text = str(labels.get(f"{COMPOSE}project.config_files", ""))
    return tuple(part for part in text.split(",") if part)


def folder_of(labels: Mapping[str, Any]) -> str:
    """The project directory."""
    return str(labels.get(f"{COMPOSE}project.working_dir", ""))


def env_files_of(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """The env files that Compose was given for the project."""
    text = str(labels.get(f"{COMPOSE}project.environment_file", ""))
    return tuple(part for part in text.split(",") if part)
