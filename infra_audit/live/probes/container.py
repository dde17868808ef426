"""What a probe knows of a container, and how it asks over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Container", "Failed"]

_MOST = 8 * 1024 * 1024
"""The largest answer that is read, in bytes."""


class Failed(Exception):
    """The probe got no answer that it can use; the text says why and holds no secret."""


class Container:
    """A running container as the engine described it, with its secrets: nothing of this is kept."""

    def __init__(self, name: str, inspect: Mapping[str, Any], redis_password: str | None = None) -> None:
        self.name = name
        self.inspect = inspect
        self.redis_password = redis_password

    @property
    def id(self) -> str:
        return str(self.inspect["Id"])

    @property
    def image(self) -> str:
        return str((self.inspect.get("Config") or {}).get("Image") or "")

    @property
    def pid(self) -> int:
        """The first process as this machine sees it; raises Failed where the engine's processes are not here."""
        pid = int((self.inspect.get("State") or {}).get("Pid") or 0)
        if pid <= 0:
            raise Failed("the engine gives no process")
        return pid

    @property
    def environment(self) -> dict[str, str]:
        pairs = (str(entry).partition("=") for entry in (self.inspect.get("Config") or {}).get("Env") or ())
        return {name: value for name, _, value in pairs}

    @property
    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        return (self.inspect.get("NetworkSettings") or {}).get("Networks") or {}

    @property
    def on_bridge(self) -> bool:
        """True where the container's addresses are reachable from the engine's host alone."""
        return (self.inspect.get("HostConfig") or {}).get("NetworkMode") != "host"

    @property
    def address(self) -> str:
        """An address at which this machine reaches the container; raises Failed."""
        if not self.on_bridge:
            return "127.0.0.1"
        found = next((str(one["IPAddress"]) for one in self.networks.values() if one.get("IPAddress")), None)
        if found is None:
            raise Failed("the container has no address")
        return found

    def words(self) -> Iterator[str]:
        """Entrypoint and command."""
        config = self.inspect.get("Config") or {}
        for key in ("Entrypoint", "Cmd"):
            yield from map(str, config.get(key) or ())

    def fetch(self, port: int, path: str, seconds: float, login: tuple[str, str] | None = None) -> str:
        """What the container answers to an HTTP GET; raises Failed."""
        import urllib.error
        import urllib.request

        request = urllib.request.Request(f"http://{self.address}:{port}{path}")
        if login is not None:
            token = base64.b64encode(":".join(login).encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        # no proxy stands between a host and its own containers
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=seconds) as response:
                return response.read(_MOST).decode("utf-8", "replace")  # type: ignore[no-any-return]
        except urllib.error.HTTPError as error:
            raise Failed(f"port {port} answers {error.code} to {path.partition('?')[0]}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Failed(f"port {port}: {getattr(reason, 'strerror', None) or 'no answer'}") from None

    def fetch_json(self, port: int, path: str, seconds: float, login: tuple[str, str] | None = None) -> Any:
        try:
            return json.loads(self.fetch(port, path, seconds, login))
        except ValueError:
            raise Failed(f"port {port} answers no JSON to {path.partition('?')[0]}") from None
