"""Where the engine is, and why one cannot be asked there."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from infra_audit.errors import EngineError, UsageError
from infra_audit.live.deadline import Late
from infra_audit.named import NamedTuple

__all__ = ["Address", "address", "socket_of", "why"]

_SOCKET = "/var/run/docker.sock"
_UNIX = "unix://"


class Address(NamedTuple):
    """Where the engine is: ``host`` and ``tls`` (for the SDK), and the name of the context that said so."""

    host: str
    tls: Any = False
    context: str = ""


def socket_of(host: str) -> str | None:
    """The path of a socket on this machine; None for an engine that is reached in another way."""
    return "/" + host.removeprefix(_UNIX).lstrip("/") if host.startswith(_UNIX) else None


def address(host: str | None, context: str | None, environ: Mapping[str, str]) -> Address:
    """The engine that the Docker client would talk to.

    In its order: --host, --context, DOCKER_HOST, DOCKER_CONTEXT, the context that the client's configuration has as
    current, the default socket. TLS as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH or the context say.
    """
    given = host or (None if context else environ.get("DOCKER_HOST"))
    name = context or environ.get("DOCKER_CONTEXT") or _current_context(environ)
    if given is None and name in ("", "default") and os.name == "posix":
        given = _UNIX + _SOCKET
    if given and socket_of(given):
        return Address(given)
    _sdk()
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    if given:
        settings = kwargs_from_env(environment={**environ, "DOCKER_HOST": given})
        return Address(given, settings.get("tls", False))
    found = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    if found is None:
        raise UsageError(f"no Docker context is called {name}")
    return Address(found.Host or _UNIX + _SOCKET, found.TLSConfig or False, found.name)


def _current_context(environ: Mapping[str, str]) -> str:
    """What the Docker client's configuration names as current; "" where it names none."""
    folder = environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
            return str(json.load(stream).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _sdk() -> None:
    try:
        import docker  # noqa: F401
    except ImportError:
        raise UsageError("looking at an engine there needs the extra: pip install 'infra-audit[live]'") from None


# -- errors --------------------------------------------------------------------------------------

_ERRNO = {
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "no permission to use the socket",
    errno.ECONNREFUSED: "nothing listens there",
    errno.ECONNRESET: "it closed the connection",
    errno.EPIPE: "it closed the connection",
}
_LATE = ("ReadTimeout", "ReadTimeoutError", "ConnectTimeout", "TimeoutError")
_BROKEN_OFF = ("RemoteDisconnected", "IncompleteRead", "ProtocolError", "ChunkedEncodingError")


def why(error: Exception, host: str) -> str:
    """One line about what went wrong with an engine, without what libraries put around it."""
    if isinstance(error, EngineError):
        return error.message
    if isinstance(error, Late):
        return f"the engine at {host} did not answer in time"
    causes = list(_causes(error))
    for cause in causes:  # what the system says comes before what libraries make of it
        if isinstance(cause, OSError) and cause.errno in _ERRNO:
            return f"no engine at {host}: {_ERRNO[cause.errno]}"
    for cause in causes:
        if type(cause).__name__ in _LATE:
            return f"the engine at {host} did not answer in time"
        if type(cause).__name__ in _BROKEN_OFF:
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
