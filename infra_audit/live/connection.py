"""A connection to an engine. With ``address`` the only importer of the Docker SDK.

Nothing is changed: every request is a GET, apart from an ``exec`` for a probe, which is made through ``Engine.run``
and can be forbidden.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, Protocol

from infra_audit.errors import EngineError
from infra_audit.live.address import Address, address, socket_of, why
from infra_audit.live.deadline import Deadline, within

__all__ = ["Engine", "connect"]

_OLDEST, _NEWEST = (1, 41), (1, 51)
"""The versions of the API that are understood: those of the engines 20.10 to 28."""


class _Channel(Protocol):
    def get(self, path: str) -> tuple[int, bytes]: ...

    def close(self) -> None: ...


class _Local(HTTPConnection):
    """HTTP over a socket of this machine."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Socket:
    """Requests over a socket of this machine: a third of what the SDK takes for each, and nothing to import."""

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        self._idle: list[_Local] = []

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _Local(self._path, self._timeout)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        self._idle.append(connection)
        return answer.status, body

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


class _Sdk:
    """Requests to any other place, as the Docker SDK makes them."""

    def __init__(self, at: Address, timeout: float, version: str) -> None:
        from docker import APIClient

        self.client = APIClient(
            base_url=at.host, version=version, timeout=timeout, tls=at.tls or False, use_ssh_client=True
        )
        # REQUESTS_CA_BUNDLE and its like would replace the authority that the context names
        self.client.trust_env = False

    def get(self, path: str) -> tuple[int, bytes]:
        answer = self.client._get(self.client.base_url + path)
        return answer.status_code, answer.content

    def close(self) -> None:
        self.client.close()


class Engine:
    """An engine that answers. Every call may block: make it through ``deadline.within``."""

    def __init__(self, at: Address, timeout: float) -> None:
        self.host = at.host
        self._at = at
        self._timeout = max(1.0, timeout)
        path = socket_of(at.host)
        self._channel: _Channel = (
            _Sdk(at, self._timeout, _text(_OLDEST)) if path is None else _Socket(path, self._timeout)
        )
        self.version = self._get("/version")
        self.api = _agreed(self.version)

    def get(self, path: str) -> Any:
        """What the engine answers to a GET, as JSON data; raises EngineError or LookupError (404)."""
        return self._get(f"/v{self.api}{path}")

    def _get(self, path: str) -> Any:
        status, body = self._channel.get(path)
        if status == 404:
            raise LookupError(path)
        if status >= 400:
            raise EngineError(f"the engine refuses {path.split('?')[0]}: {_reason(status, body)}")
        return json.loads(body)

    def run(self, container: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
        """What a command inside a container prints; raises EngineError where it fails."""
        sdk = _Sdk(self._at, self._timeout, self.api)
        try:
            client = sdk.client
            made = client.exec_create(container, command, stderr=False, environment=dict(environment or {}))
            output = client.exec_start(made["Id"])
            code = client.exec_inspect(made["Id"])["ExitCode"]
        finally:
            sdk.close()
        if code:
            raise EngineError(f"{command[0]} ended with exit code {code}")
        return output.decode("utf-8", "replace")  # type: ignore[no-any-return]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._channel.close()


def connect(host: str | None, context: str | None, environ: Mapping[str, str], deadline: Deadline) -> Engine:
    """A connection, with the API version that both sides know; raises EngineError."""
    at = address(host, context, environ)
    try:
        return within(deadline, lambda: Engine(at, deadline.left()))
    except Exception as error:
        raise EngineError(why(error, at.host)) from None


def _agreed(told: Mapping[str, Any]) -> str:
    """The newest version of the API that both sides know; raises EngineError where there is none."""
    newest, oldest = _numbers(told.get("ApiVersion")), _numbers(told.get("MinAPIVersion"))
    if newest < _OLDEST:
        raise EngineError(
            f"the engine {told.get('Version')} speaks API {_text(newest)}; needed is {_text(_OLDEST)} (Docker 20.10)"
        )
    return _text(max(min(newest, _NEWEST), oldest))


def _numbers(text: Any) -> tuple[int, int]:
    major, _, minor = str(text or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _reason(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"
