"""A connection to an engine: HTTP over a socket of this machine, over TCP with or without TLS, or over ssh.

Nothing is changed: every request is a GET, apart from an ``exec`` for a probe, which is made through ``Engine.run``
and can be forbidden. No client library: of a look's time most would be theirs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

from infra_audit.errors import EngineError
from infra_audit.live.address import Address, address
from infra_audit.live.deadline import Deadline, within
from infra_audit.live.reach import Reach, reach, why

__all__ = ["Engine", "connect"]

_OLDEST, _NEWEST = (1, 41), (1, 51)
"""The versions of the API that are understood: those of the engines 20.10 to 28."""


class _Connection(HTTPConnection):
    """HTTP over whatever reaches the engine."""

    def __init__(self, to: Reach, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._to = to

    def connect(self) -> None:
        self.sock = self._to.open(self.timeout or 0)


class Engine:
    """An engine that answers. Every call may block: make it through ``deadline.within``."""

    def __init__(self, at: Address, timeout: float) -> None:
        self.host = at.host
        self._timeout = max(1.0, timeout)
        self._to = reach(at)
        self._idle: list[_Connection] = []
        try:
            self.version = self._json("GET", "/version")
        except (OSError, HTTPException):
            said = self._to.said()
            self.close()
            if said:
                raise EngineError(f"no engine at {self.host}: {said}") from None
            raise
        self.api = _agreed(self.version)

    def get(self, path: str) -> Any:
        """What the engine answers to a GET, as JSON data; raises EngineError or LookupError (404)."""
        return self._json("GET", f"/v{self.api}{path}")

    def run(self, container: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
        """What a command inside a container prints; raises EngineError where it fails."""
        pairs = [f"{name}={value}" for name, value in (environment or {}).items()]
        asked = {"AttachStdout": True, "Cmd": command, "Env": pairs}
        identity = self._json("POST", f"/v{self.api}/containers/{container}/exec", asked)["Id"]
        output = self._ask("POST", f"/v{self.api}/exec/{identity}/start", {"Detach": False, "Tty": False})
        code = self.get(f"/exec/{identity}/json")["ExitCode"]
        if code:
            raise EngineError(f"{command[0]} ended with exit code {code}")
        return b"".join(_frames(output)).decode("utf-8", "replace")

    def close(self) -> None:
        for connection in self._idle:
            with contextlib.suppress(OSError):
                connection.close()
        self._to.close()

    def _json(self, method: str, path: str, data: Any = None) -> Any:
        return json.loads(self._ask(method, path, data))

    def _ask(self, method: str, path: str, data: Any = None) -> bytes:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _Connection(self._to, self._timeout)
        body = None if data is None else json.dumps(data)
        connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        self._idle.append(connection)
        if answer.status == 404:
            raise LookupError(path)
        if answer.status >= 400:
            raise EngineError(f"the engine refuses {path.split('?')[0]}: {_reason(answer.status, text)}")
        return text


def connect(host: str | None, context: str | None, environ: Mapping[str, str], deadline: Deadline) -> Engine:
    """A connection, with the API version that both sides know; raises EngineError."""
    at = address(host, context, environ)
    try:
        return within(deadline, lambda: Engine(at, deadline.left()))
    except Exception as error:
        raise EngineError(why(error, at.host)) from None


def _agreed(told: Any) -> str:
    """The newest version of the API that both sides know; raises EngineError where there is none."""
    says = told if isinstance(told, dict) else {}
    newest, oldest = _numbers(says.get("ApiVersion")), _numbers(says.get("MinAPIVersion"))
    if newest < _OLDEST:
        what = f"the engine {says.get('Version', '')} speaks API {_text(newest)}"
        raise EngineError(f"{what}; needed is {_text(_OLDEST)} (Docker 20.10)")
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


def _frames(output: bytes) -> list[bytes]:
    """What a command printed. Its answer comes in pieces: eight bytes, of which the last four are the length."""
    found = []
    while len(output) >= 8:
        end = 8 + int.from_bytes(output[4:8], "big")
        found.append(output[8:end])
        output = output[end:]
    return found
