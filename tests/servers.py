"""Real servers from Debian's packages, each on a free loopback port and in a folder of its own, ended with its test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Server", "found", "free_port", "own_folder", "postgres", "rabbitmq", "redis", "started"]

_PLACES = "/usr/lib/rabbitmq/bin:/usr/lib/postgresql/15/bin:/usr/bin:/usr/sbin"
_PATIENCE = 60.0
"""Seconds that a server may take to answer; a machine of two cores that runs all tests at once is slow."""


class Server(NamedTuple):
    """A running server: where it listens, and where it wrote its log."""

    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str) -> str:
        """The body of an HTTP answer."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=20) as answer:
            body: bytes = answer.read()
        return body.decode()


def found(program: str) -> str | None:
    """The path of a server's program, or None where its package is not installed."""
    return shutil.which(program, path=f"{_PLACES}:{os.environ['PATH']}")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder that every user may enter: some servers refuse to run as root and run as their own user."""
    with tempfile.TemporaryDirectory(prefix="infra-audit-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@contextmanager
def started(
    command: Sequence[str | Path],
    port: int,
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    ready: Callable[[], object] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[Server]:
    """A server that answers on its port; with ``ready``, one for which that raises no OSError any more."""
    program = found(str(command[0]))
    assert program, f"{command[0]} is not installed"
    log = folder / "log"
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [program, *map(str, command[1:])],
            cwd=folder,
            env={"PATH": f"{_PLACES}:/bin", "HOME": str(folder), "LANG": "C.UTF-8", **(env or {})},
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, port, ready, log)
        yield Server(port, folder)
    finally:
        _end(process, stop)


def _wait(process: subprocess.Popen[bytes], port: int, ready: Callable[[], object] | None, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                pass
            if ready:
                ready()
            return
        except OSError as error:
            told = f"{error}: {log.read_text(errors='replace')[-2000:]}"
            assert process.poll() is None, f"{process.args!r} ended with {process.returncode}: {told}"
            assert time.monotonic() < deadline, f"{process.args!r} does not answer: {told}"
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """The whole session of a server; the Erlang machine and PostgreSQL have processes of their own."""
    with suppress(ProcessLookupError):
        process.send_signal(stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@contextmanager
def redis(folder: Path, *options: str) -> Iterator[Server]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *options]
    with started(command, port, folder) as server:
        yield server


@contextmanager
def postgres(folder: Path, *options: str) -> Iterator[Server]:
    """A PostgreSQL whose superuser ``tracklists`` needs no password on loopback; fsync is off."""
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    initdb = found("initdb")
    assert initdb, "postgresql-15 is not installed"
    arguments = [initdb, "-D", data, "-U", "tracklists", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(arguments, check=True, cwd=folder, user=user, stdout=subprocess.DEVNULL, timeout=_PATIENCE)
    settings = ["fsync=off", "jit=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", *options]
    command = ["postgres", "-D", data, "-p", str(port), *(part for setting in settings for part in ("-c", setting))]

    def ready() -> None:
        done = subprocess.run([found("pg_isready") or "", "-q", "-h", "127.0.0.1", "-p", str(port)], timeout=10)
        if done.returncode:
            raise ConnectionError("PostgreSQL is starting")

    with started(command, port, folder, user=user, ready=ready, stop=signal.SIGINT) as server:
        yield server


@contextmanager
def rabbitmq(folder: Path, *conf: str) -> Iterator[Server]:
    """A RabbitMQ with its management and Prometheus plugins; the server's port is that of its metrics."""
    ports = {name: free_port() for name in ("epmd", "distribution", "amqp", "management", "metrics")}
    (folder / "amqp-port").write_text(str(ports["amqp"]))
    (folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
    settings = [
        f"listeners.tcp.default = 127.0.0.1:{ports['amqp']}",
        f"management.tcp.port = {ports['management']}",
        "management.tcp.ip = 127.0.0.1",
        f"prometheus.tcp.port = {ports['metrics']}",
        "prometheus.tcp.ip = 127.0.0.1",
        *conf,
    ]
    (folder / "rabbitmq.conf").write_text("".join(f"{line}\n" for line in settings))
    env = {
        "RABBITMQ_NODENAME": f"test-{ports['amqp']}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }

    def listening() -> None:
        """The plugins answer before the broker takes connections."""
        socket.create_connection(("127.0.0.1", ports["amqp"]), timeout=1).close()

    # Erlang would leave its port mapper behind, as a daemon.
    with (
        started(["epmd", "-port", str(ports["epmd"])], ports["epmd"], folder, env=env),
        started(["rabbitmq-server"], ports["metrics"], folder, env=env, ready=listening) as server,
    ):
        yield server._replace(folder=folder)
