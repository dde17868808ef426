"""Where the engine is: what the command line, the environment and the Docker client's own files say."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from infra_audit.errors import UsageError
from infra_audit.named import NamedTuple

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Address", "address", "socket_of"]

_UNIX = "unix://"
_DEFAULT = f"{_UNIX}/var/run/docker.sock"


class Address(NamedTuple):
    """Where the engine is, and what is needed for TLS."""

    host: str
    tls: SSLContext | None = None


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


def _tls(folder: str, *, verify: bool) -> SSLContext:
    """TLS with the certificates of a folder; raises UsageError where they cannot be read."""
    import ssl

    authority, certificate, key = (os.path.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))
    try:
        context = ssl.create_default_context(cafile=authority if verify else None)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if os.path.exists(certificate) or os.path.exists(key):
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        why = "must hold ca.pem, and cert.pem with key.pem: an engine behind TLS wants them"
        raise UsageError(f"{folder} {why}") from None
    return context
