"""Engines that fail: a server at a socket that does with each request what a test says."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Talk", "drips", "engine_at", "never_answers", "relay"]

Talk = Callable[[socket.socket, str], None]
"""What a server does with a connection on which one request was read: its first line."""


@contextlib.contextmanager
def engine_at(path: Path, talk: Talk) -> Iterator[str]:
    """A server at a socket in the file system; gives its address."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(64)
    threading.Thread(target=_serve, args=(server, talk), daemon=True).start()
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        path.unlink()


def _serve(server: socket.socket, talk: Talk) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, talk), daemon=True).start()


def _answer(connection: socket.socket, talk: Talk) -> None:
    with connection, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(4096)
            if not part:
                return
            head += part
        talk(connection, head.split(b"\r\n")[0].decode())


def never_answers(connection: socket.socket, _: str) -> None:
    time.sleep(60)


def drips(connection: socket.socket, _: str) -> None:
    """One byte every fifth of a second, of an answer that would never end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(300):
        connection.sendall(b" ")
        time.sleep(0.2)


def relay(engine: str, fails: Callable[[str], int | None]) -> Talk:
    """Hands requests on to a real engine; ``fails(path)`` may say a status instead, 0 to break off."""

    def talk(connection: socket.socket, line: str) -> None:
        method, path, _ = line.split(" ", 2)
        status = fails(path)
        if status == 0:
            return
        if status is None:
            status, body = _ask(engine, method, path)
        else:
            body = b'{"message": "no such container"}'
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(body)}"
        )
        connection.sendall(f"{head}\r\n\r\n".encode() + body)

    return talk


def _ask(engine: str, method: str, path: str) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("localhost", timeout=30)
    client.sock = socket.socket(socket.AF_UNIX)
    client.sock.connect(urlsplit(engine).path)
    client.request(method, path, headers={"Connection": "close"})
    answer = client.getresponse()
    return answer.status, answer.read()
