"""One pass over a Docker engine: what is there, as plain data without secrets.

The only importer of the Docker SDK. Nothing is changed: every request is a GET (an ``exec`` for a probe is made by
``probes`` through ``Engine.run`` and can be forbidden).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from infra_audit.errors import EngineError, UsageError
from infra_audit.live.deadline import Deadline, Late, Outcome, every, within
from infra_audit.live.masking import Masker
from infra_audit.live.projects import project_of
from infra_audit.live.store import FORMAT, Snapshot
from infra_audit.live.trim import CONTAINER, IMAGE, INFO, NETWORK, SERVICE, SUMMARY, TASK, VOLUME, trim
from infra_audit.named import NamedTuple

__all__ = ["Address", "Engine", "connect", "take"]

_WORKERS = 8
_DEFAULT_HOST = "unix:///var/run/docker.sock"


class Address(NamedTuple):
    """Where the engine is: ``host`` and ``tls`` (for the SDK), and the name of the context that said so."""

    host: str
    tls: Any = False
    context: str = ""


def address(host: str | None, context: str | None, environ: Mapping[str, str]) -> Address:
    """The engine that the Docker client would talk to.

    In its order: --host, --context, DOCKER_HOST, DOCKER_CONTEXT, the context that the client's configuration has as
    current, the default socket. TLS as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH or the context say.
    """
    _sdk()
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    given = host or (None if context else environ.get("DOCKER_HOST"))
    if given:
        settings = kwargs_from_env(environment={**environ, "DOCKER_HOST": given})
        return Address(given, settings.get("tls", False))
    name = context or environ.get("DOCKER_CONTEXT")
    found = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    if found is None:
        raise UsageError(f"no Docker context is called {name}")
    return Address(found.Host or _DEFAULT_HOST, found.TLSConfig or False, found.name)


class Engine:
    """A connection to an engine. Every call may block: make it through ``deadline.within``."""

    def __init__(self, at: Address, timeout: float) -> None:
        from docker import APIClient

        self.host = at.host
        self.client = APIClient(
            base_url=at.host, version="auto", timeout=max(1, timeout), tls=at.tls, use_ssh_client=True
        )
        # REQUESTS_CA_BUNDLE and its like would replace the authority that the context names
        self.client.trust_env = False

    def get(self, path: str, **parameters: Any) -> Any:
        """What the engine answers to a GET, as JSON data; raises EngineError or LookupError (404)."""
        client = self.client
        response = client._get(client._url(path), params=parameters)
        if response.status_code == 404:
            raise LookupError(path)
        if response.status_code >= 400:
            raise EngineError(f"the engine refuses {path.split('?')[0]}: {_reason(response)}")
        return response.json()

    def run(self, container: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
        """What a command inside a container prints; raises EngineError where it fails."""
        client = self.client
        made = client.exec_create(container, command, stderr=False, environment=dict(environment or {}))
        output = client.exec_start(made["Id"])
        code = client.exec_inspect(made["Id"])["ExitCode"]
        if code:
            raise EngineError(f"{command[0]} ended with exit code {code}")
        return output.decode("utf-8", "replace")  # type: ignore[no-any-return]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close()


def connect(host: str | None, context: str | None, environ: Mapping[str, str], deadline: Deadline) -> Engine:
    """A connection, with the API version that both sides know; raises EngineError."""
    at = address(host, context, environ)
    try:
        return within(deadline, lambda: Engine(at, deadline.left()))
    except Exception as error:
        raise EngineError(_why(error, at.host)) from None


def take(
    engine: Engine, deadline: Deadline, masker: Masker, choose: Callable[[Sequence[Mapping[str, Any]]], Collection[str]]
) -> tuple[Snapshot, dict[str, Mapping[str, Any]]]:
    """The snapshot of the projects that ``choose`` names from the list of all containers, and of all else there is.

    Also the containers as the engine gives them, by name, for probes that need a credential.
    """
    host = engine.host

    def ask(path: str, **parameters: Any) -> Callable[[], Any]:
        return lambda: engine.get(path, **parameters)

    first = every(
        deadline,
        [ask("/containers/json", all=1), ask("/info"), ask("/networks"), ask("/volumes"), ask("/version")],
        workers=_WORKERS,
    )
    listed, info, networks, volumes, version = (_must(outcome, host) for outcome in first)
    names = choose(listed)
    chosen = [entry for entry in listed if project_of(entry.get("Labels") or {}) in names]
    swarm = info.get("Swarm", {}).get("ControlAvailable", False)
    images = sorted({entry["ImageID"] for entry in chosen if entry.get("ImageID")})
    more = [
        *(f"/containers/{entry['Id']}/json" for entry in chosen),
        *(f"/networks/{entry['Id']}" for entry in networks),
        *(f"/images/{image}/json" for image in images),
        *(("/services", "/tasks") if swarm else ()),
    ]
    answers = dict(zip(more, every(deadline, [ask(path) for path in more], workers=_WORKERS), strict=True))

    missed: list[dict[str, str]] = []
    raw: dict[str, Mapping[str, Any]] = {}
    containers = []
    for entry in chosen:
        name = _name(entry)
        outcome = answers[f"/containers/{entry['Id']}/json"]
        if isinstance(outcome.error, LookupError):
            missed.append({"container": name, "why": "it went away while it was looked at", "gone": "yes"})
        elif outcome.error is not None:
            missed.append({"container": name, "why": _why(outcome.error, host), **_labels(entry)})
        else:
            raw[name] = outcome.value
            containers.append(trim(outcome.value, CONTAINER))
    data = {
        "snapshot": FORMAT,
        "taken": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": host,
        "engine": trim(info, INFO) | {"ApiVersion": version.get("ApiVersion", "")},
        "projects": sorted(names),
        "containers": containers,
        "others": [trim(entry, SUMMARY) for entry in listed if entry not in chosen],
        "networks": [trim(_or(answers[f"/networks/{entry['Id']}"], entry), NETWORK) for entry in networks],
        "volumes": [trim(entry, VOLUME) for entry in volumes.get("Volumes") or ()],
        "images": {image: trim(_or(answers[f"/images/{image}/json"], {}), IMAGE) for image in images},
        "services": _all(answers["/services"], SERVICE) if swarm else [],
        "tasks": _all(answers["/tasks"], TASK) if swarm else [],
        "missed": missed,
        "probes": {},
    }
    masker.learn_from(data)
    return Snapshot(masker.apply(data), masker=masker), raw


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
        raise EngineError(_why(outcome.error, host))
    return outcome.value


# -- errors --------------------------------------------------------------------------------------


def _sdk() -> None:
    try:
        import docker  # noqa: F401
    except ImportError:
        raise UsageError("looking at an engine needs the extra: pip install 'infra-audit[live]'") from None


def _reason(response: Any) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


_ERRNO = {
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "no permission to use the socket",
    errno.ECONNREFUSED: "nothing listens there",
    errno.ECONNRESET: "it closed the connection",
    errno.EPIPE: "it closed the connection",
}


def _why(error: Exception, host: str) -> str:
    """One line about what went wrong with an engine, without what the SDK puts around it."""
    if isinstance(error, EngineError):
        return error.message
    if isinstance(error, Late):
        return f"the engine at {host} did not answer in time"
    causes = list(_causes(error))
    for cause in causes:  # what the system says comes before what libraries make of it
        if isinstance(cause, OSError) and cause.errno in _ERRNO:
            return f"no engine at {host}: {_ERRNO[cause.errno]}"
    for cause in causes:
        if type(cause).__name__ in ("ReadTimeout", "ReadTimeoutError", "ConnectTimeout"):
            return f"the engine at {host} did not answer in time"
        if type(cause).__name__ in ("RemoteDisconnected", "IncompleteRead", "ProtocolError", "ChunkedEncodingError"):
            return f"the engine at {host} broke off while it answered"
        if isinstance(cause, ImportError) and host.startswith("ssh"):
            return "an engine behind ssh:// needs another extra: pip install 'docker[ssh]'"
    return f"no engine at {host}: {type(error).__name__}"


def _causes(error: BaseException) -> Iterable[BaseException]:
    """The error, what it was raised from, and the errors that it was made with; each once."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, *one.args, getattr(one, "reason", None)]
        waiting += [item for item in inner if isinstance(item, BaseException)]
