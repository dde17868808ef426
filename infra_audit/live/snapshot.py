"""One pass over a Docker engine: what is there, as plain data without secrets."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from infra_audit.errors import EngineError
from infra_audit.live.connection import Engine
from infra_audit.live.deadline import Deadline, Outcome, every
from infra_audit.live.masking import Masker
from infra_audit.live.projects import project_of
from infra_audit.live.reach import why
from infra_audit.live.store import FORMAT, Snapshot
from infra_audit.live.trim import CONTAINER, IMAGE, INFO, NETWORK, SERVICE, SUMMARY, TASK, VOLUME, trim
from infra_audit.named import NamedTuple

__all__ = ["take"]

_WORKERS = 8


def take(
    engine: Engine, deadline: Deadline, masker: Masker, choose: Callable[[Sequence[Mapping[str, Any]]], Collection[str]]
) -> tuple[Snapshot, dict[str, Mapping[str, Any]]]:
    """The snapshot of the projects that ``choose`` names, and of all else there is.

    ``choose`` gets the labels of every container, and on a manager of a Swarm those of every service.
    Also the containers as the engine gives them, by name, for probes that need a credential.
    """
    host = engine.host

    def ask(path: str) -> Callable[[], Any]:
        return lambda: engine.get(path)

    def look(entry: Mapping[str, Any]) -> Callable[[], _Looked]:
        return lambda: _looked(engine.get(f"/containers/{entry['Id']}/json"), masker)

    wanted = ("/containers/json?all=1", "/info", "/networks", "/volumes")
    first = every(deadline, [ask(path) for path in wanted], workers=_WORKERS)
    listed, info, networks, volumes = (_must(outcome, host) for outcome in first)
    swarm = info.get("Swarm", {}).get("ControlAvailable", False)
    services = _all(every(deadline, [ask("/services")])[0], SERVICE) if swarm else []
    found = [*listed, *(entry.get("Spec") or {} for entry in services or ())]
    names = choose([entry.get("Labels") or {} for entry in found])
    chosen = [entry for entry in listed if project_of(entry.get("Labels") or {}) in names]
    images = sorted({entry["ImageID"] for entry in chosen if entry.get("ImageID")})
    more = [
        *(f"/networks/{entry['Id']}" for entry in networks),
        *(f"/images/{image}/json" for image in images),
        *(("/tasks",) if swarm else ()),
    ]
    jobs = [*map(look, chosen), *map(ask, more)]
    outcomes = every(deadline, jobs, workers=_WORKERS)
    answers = dict(zip(more, outcomes[len(chosen) :], strict=True))

    missed: list[dict[str, str]] = []
    raw: dict[str, Mapping[str, Any]] = {}
    containers = []
    for entry, outcome in zip(chosen, outcomes, strict=False):
        name = _name(entry)
        if isinstance(outcome.error, LookupError):
            missed.append({"container": name, "why": "it went away while it was looked at", "gone": "yes"})
        elif outcome.error is not None:
            missed.append({"container": name, "why": why(outcome.error, host), **_labels(entry)})
        else:
            raw[name], kept, secrets = outcome.value
            containers.append(kept)
            masker.learn(*secrets)
    data = {
        "snapshot": FORMAT,
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": host,
        "engine": trim(info, INFO) | {"ApiVersion": engine.version.get("ApiVersion", "")},
        "projects": sorted(names),
        "containers": containers,
        "others": [trim(entry, SUMMARY) for entry in listed if entry not in chosen],
        "networks": [trim(_or(answers[f"/networks/{entry['Id']}"], entry), NETWORK) for entry in networks],
        "volumes": [trim(entry, VOLUME) for entry in volumes.get("Volumes") or ()],
        "images": {image: trim(_or(answers[f"/images/{image}/json"], {}), IMAGE) for image in images},
        "services": services,
        "tasks": _all(answers["/tasks"], TASK) if swarm else [],
        "missed": missed,
        "probes": {},
    }
    masker.learn_from({key: part for key, part in data.items() if key != "containers"})
    return Snapshot(masker.apply(data), masker=masker), raw


class _Looked(NamedTuple):
    """A container as the engine gives it, what is kept of that, and the secrets in it."""

    answer: Mapping[str, Any]
    kept: dict[str, Any]
    secrets: set[str]


def _looked(answer: Mapping[str, Any], masker: Masker) -> _Looked:
    """Done by the threads that ask, while the engine thinks."""
    kept = trim(answer, CONTAINER)
    return _Looked(answer, kept, masker.secrets_in(kept))


def _labels(entry: Mapping[str, Any]) -> dict[str, str]:
    labels = entry.get("Labels") or {}
    return {"project": project_of(labels) or "", "service": labels.get("com.docker.compose.service", "")}


def _name(entry: Mapping[str, Any]) -> str:
    names: Iterable[str] = entry.get("Names") or ()
    return next((name.lstrip("/") for name in names if name.count("/") == 1), str(entry.get("Id", ""))[:12])


def _or(outcome: Outcome[Any], otherwise: Any) -> Any:
    return otherwise if outcome.error is not None else outcome.value


def _all(outcome: Outcome[Any], keep: Mapping[str, Any]) -> list[Any] | None:
    """The trimmed entries of a list; None where the engine did not give it."""
    return None if outcome.error is not None else [trim(entry, keep) for entry in outcome.value]


def _must(outcome: Outcome[Any], host: str) -> Any:
    if outcome.error is not None:
        raise EngineError(why(outcome.error, host))
    return outcome.value
