"""Where the engine is, and why one cannot be asked there."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from infra_audit.errors import EngineError, UsageError
from infra_audit.live.deadline import Late
from infra_audit.named import NamedTuple

__all__ = ["Address", "address", "socket_of", "why"]

_UNIX = "unix://"
_DEFAULT = f"{_UNIX}/var/run/docker.sock" if os.name == "posix" else "npipe:////./pipe/docker_engine"


class Address(NamedTuple):
    """Where the engine is; ``tls``: its certificates, for the SDK."""

    host: str
    tls: Any = None


def socket_of(host: str) -> str | None:
    """The path of a socket on this machine; None for an engine that is reached in another way."""
    return "/" + host.removeprefix(_UNIX).lstrip("/") if host.startswith(_UNIX) else None


def address(host: str | None, context: str | None, environ: Mapping[str, str]) -> Address:
    """The engine that the Docker client would talk to.

    In its order: --host, --context, DOCKER_HOST, DOCKER_CONTEXT, the context that the client's configuration has as
    current, the default socket. TLS as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH or the context say.
    """
    home = environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    given = host or (None if context else environ.get("DOCKER_HOST"))
    name = "" if given else context or environ.get("DOCKER_CONTEXT") or _current_context(home)
    if name not in ("", "default"):
        found = _of_context(name, os.path.join(home, "contexts"))
    else:
        found = Address(given or _DEFAULT)
        folder, verify = environ.get("DOCKER_CERT_PATH"), bool(environ.get("DOCKER_TLS_VERIFY"))
        if (folder or verify) and found.host.startswith("tcp:"):
            found = found._replace(tls=_tls(folder or home, verify=verify))
    if socket_of(found.host) is None:
        _need("docker", "an engine that is not behind a socket of this machine", "infra-audit[live]")
        if found.host.startswith("ssh:"):
            _need("paramiko", "an engine behind ssh://", "docker[ssh]")
    return found


def _current_context(home: str) -> str:
    """What the Docker client's configuration names as current; "" where it names none."""
    try:
        with open(os.path.join(home, "config.json"), encoding="utf-8") as stream:
            return str(json.load(stream).get("currentContext") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _of_context(name: str, folder: str) -> Address:
    """The address of a context as the Docker client keeps it: a folder named after the hash of its name."""
    identity = hashlib.sha256(name.encode()).hexdigest()
    try:
        with open(os.path.join(folder, "meta", identity, "meta.json"), encoding="utf-8") as stream:
            endpoint = json.load(stream)["Endpoints"]["docker"]
            host, verify = str(endpoint["Host"]), not endpoint.get("SkipTLSVerify")
    except FileNotFoundError:
        raise UsageError(f"no Docker context is called {name}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"the Docker context {name} names no engine") from None
    certificates = os.path.join(folder, "tls", identity, "docker")
    has_tls = host.startswith("tcp:") and (os.path.isdir(certificates) or not verify)
    return Address(host, _tls(certificates, verify=verify) if has_tls else None)


def _tls(folder: str, *, verify: bool) -> Any:
    """The certificates of a folder for the SDK; raises UsageError where it cannot read them."""
    _need("docker", "an engine behind TLS", "infra-audit[live]")
    from docker.errors import TLSParameterError
    from docker.tls import TLSConfig

    authority, certificate, key = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    own = (certificate, key) if os.path.exists(certificate) or os.path.exists(key) else None
    try:
        return TLSConfig(client_cert=own, ca_cert=authority if verify else None, verify=verify)
    except TLSParameterError:
        raise UsageError(
            f"{folder} must hold ca.pem, and cert.pem with key.pem: an engine behind TLS wants them"
        ) from None


def _need(module: str, what: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{what} needs the extra: pip install '{extra}'")


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
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or str(cause.reason or "").replace("_", " ").lower()
            return f"no engine at {host} over TLS with these certificates: {reason or 'it ends the handshake'}"
        if type(cause).__name__ in _BROKEN_OFF:
            return f"the engine at {host} broke off while it answered"
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
