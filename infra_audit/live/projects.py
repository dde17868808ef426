"""Which project and service a container belongs to, by the labels that Compose and Swarm give it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from infra_audit.named import NamedTuple

__all__ = ["COMPOSE", "Origin", "folder_of", "is_one_off", "number_of", "origin_of", "project_of", "service_of"]

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


class Origin(NamedTuple):
    """What a project was made from: absolute paths on the engine's host, as far as its labels tell them."""

    files: tuple[str, ...] = ()
    folder: str = ""
    env_files: tuple[str, ...] = ()


def folder_of(labels: Mapping[str, Any]) -> str:
    """The project directory."""
    return str(labels.get(f"{COMPOSE}project.working_dir", ""))


def origin_of(containers: Iterable[Mapping[str, Any]]) -> Origin:
    """What most of a project's containers were made from, by their labels; not those of ``docker compose run``."""
    found = Counter(
        Origin(_paths(labels, "config_files"), folder_of(labels), _paths(labels, "environment_file"))
        for labels in containers
        if not is_one_off(labels)
    )
    return max(found, key=lambda origin: (bool(origin.files), found[origin]), default=Origin())


def _paths(labels: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of files; Compose before its second version wrote them as they were typed in the project directory."""
    text = str(labels.get(f"{COMPOSE}project.{key}", ""))
    return tuple(os.path.join(folder_of(labels), part) for part in text.split(",") if part)
