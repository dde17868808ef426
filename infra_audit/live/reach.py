"""Ways to an engine, and why one leads nowhere."""

from __future__ import annotations

import contextlib
import errno
import shlex
import socket
import ssl
import subprocess
from abc import ABC, abstractmethod
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from urllib.parse import urlsplit

from infra_audit.errors import EngineError, UsageError
from infra_audit.live.address import Address, socket_of
from infra_audit.live.deadline import Late

__all__ = ["Reach", "reach", "why"]

_PORT, _TLS_PORT = 2375, 2376
_PATIENCE = 1.0
"""Seconds in which a program that lost its other side ends."""


class Reach(ABC):
    """Opens sockets to an engine."""

    @abstractmethod
    def open(self, timeout: float) -> socket.socket: ...

    def said(self) -> str:
        """What a helper said of its failure; "" where there is none."""
        return ""

    def close(self) -> None:  # noqa: B027 - most ways leave nothing open
        """Ends what the way itself started."""


def reach(at: Address) -> Reach:
    """The way to an address; raises UsageError where there is none."""
    path = socket_of(at.host)
    if path is not None:
        return _Local(path)
    parts = urlsplit(at.host)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("tcp", "http", "https", "ssh"):
        raise UsageError(f"{at.host} is no address of an engine: unix://PATH, tcp://HOST:PORT or ssh://USER@HOST")
    if parts.scheme == "ssh":
        return _Shell(host, port, parts.username, parts.path)
    return _Network(host, port or (_TLS_PORT if at.tls else _PORT), at.tls)


class _Local(Reach):
    """A socket of this machine."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self, timeout: float) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX)
        opened.settimeout(timeout)
        opened.connect(self._path)
        return opened


class _Network(Reach):
    """A port of a host."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._at = (host, port)
        self._tls = tls

    def open(self, timeout: float) -> socket.socket:
        opened = socket.create_connection(self._at, timeout)
        return opened if self._tls is None else self._tls.wrap_socket(opened, server_hostname=self._at[0])


class _Shell(Reach):
    """The engine of a host that ssh leads to, as the Docker client does it: its program there speaks to the engine."""

    def __init__(self, host: str, port: int | None, user: str | None, path: str) -> None:
        there = ["docker", *(["--host", f"unix://{path}"] if path.strip("/") else []), "system", "dial-stdio"]
        # nobody is there to answer a question
        options = ["-o", "BatchMode=yes", "-T", *(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
        self._command = ["ssh", *options, "--", host, shlex.join(there)]
        self._running: list[subprocess.Popen[bytes]] = []

    def open(self, timeout: float) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        with theirs:
            try:
                self._running.append(
                    subprocess.Popen(
                        self._command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE
                    )
                )
            except FileNotFoundError:
                raise EngineError("an engine behind ssh:// needs the program ssh") from None
        return ours

    def said(self) -> str:
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, error = process.communicate(timeout=_PATIENCE)
                lines = [line.strip() for line in error.decode("utf-8", "replace").split("\n") if line.strip()]
                return lines[-1] if lines else ""
        return ""

    def close(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)


# -- errors --------------------------------------------------------------------------------------

_ERRNO = {
    errno.ENOENT: "there is no such socket",
    errno.EACCES: "no permission to use the socket",
    errno.ECONNREFUSED: "nothing listens there",
    errno.ECONNRESET: "it closed the connection",
    errno.EPIPE: "it closed the connection",
    errno.EHOSTUNREACH: "the host cannot be reached",
    errno.ENETUNREACH: "the host cannot be reached",
}


def why(error: Exception, host: str) -> str:
    """One line about what went wrong with an engine."""
    if isinstance(error, EngineError | UsageError):
        return error.message
    if isinstance(error, Late | TimeoutError):
        return f"the engine at {host} did not answer in time"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or str(error.reason or "").replace("_", " ").lower()
        return f"no engine at {host} over TLS with these certificates: {reason or 'it ends the handshake'}"
    if isinstance(error, socket.gaierror):
        return f"no engine at {host}: nobody knows this name"
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return f"no engine at {host}: {_ERRNO[error.errno]}"
    if isinstance(error, RemoteDisconnected | IncompleteRead):
        return f"the engine at {host} broke off while it answered"
    if isinstance(error, HTTPException | ValueError | LookupError):
        return f"what answers at {host} is no engine"
    return f"no engine at {host}: {type(error).__name__}"
