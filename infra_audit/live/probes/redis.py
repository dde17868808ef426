"""What a Redis server is really set to: CONFIG GET over its own protocol."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from infra_audit.live.probes.container import Container, Failed

__all__ = ["settings"]

_SECONDS = 3.0
_PORT = 6379
_KEYS = (
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "tcp-keepalive",
    "timeout",
    "appendonly",
    "appendfsync",
    "save",
    "databases",
    "tcp-backlog",
    "protected-mode",
    "io-threads",
    "maxmemory-samples",
    "lazyfree-lazy-eviction",
)
"""What is asked: never a directive that holds a password."""

_PASSWORDS = ("REDIS_PASSWORD", "REDISCLI_AUTH", "VALKEY_PASSWORD")
_OPTION = re.compile(r"--requirepass[\s=]+[\"']?([^\s\"']+)")


def settings(container: Container) -> dict[str, Any]:
    """Directive → value as the server has it; raises Failed."""
    try:
        import redis
    except ImportError:
        raise Failed("it needs the extra: pip install 'infra-audit[live]'") from None
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    for password in (*_passwords(container), None):
        client = redis.Redis(
            host=container.address,
            port=_port(container),
            password=password,
            socket_timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return {str(key): value for pattern in _KEYS for key, value in client.config_get(pattern).items()}
        except (redis.AuthenticationError, redis.ResponseError) as error:
            refusal = str(error).split(" ", 1)[0]  # the code (NOAUTH, WRONGPASS, NOPERM), never the text
        except redis.ConnectionError:
            raise Failed("nothing answers on its port") from None
        except redis.TimeoutError:
            raise Failed("it did not answer in time") from None
        finally:
            client.close()
    raise Failed(f"it refuses the password that is known ({refusal}): name one with --redis-password-file")


def _port(container: Container) -> int:
    words = list(container.words())
    for word, following in pairwise(words):
        if word == "--port" and following.isdigit():
            return int(following)
    return _PORT


def _passwords(container: Container) -> Iterator[str]:
    """What the container itself is given: variables, files that variables name, the command."""
    if container.redis_password is not None:
        yield container.redis_password
        return
    environment = container.environment
    for name in _PASSWORDS:
        if environment.get(name):
            yield environment[name]
        path = environment.get(f"{name}_FILE")
        if path and path.startswith("/"):
            yield from _file(container, path)
    for word, following in zip(words := list(container.words()), [*words[1:], ""], strict=True):
        if word == "--requirepass" and following:
            yield following
        elif (found := _OPTION.search(word)) and not found[1].startswith("$"):
            yield found[1]
    yield from _file(container, "/run/secrets/redis_password")


def _file(container: Container, path: str) -> Iterator[str]:
    """A secret as the container's own files have it, where this machine may read them."""
    try:
        with open(os.path.join(f"/proc/{container.pid}/root", path.lstrip("/")), encoding="utf-8") as stream:
            yield stream.read(4096).strip()
    except (OSError, ValueError, Failed):
        return
