"""A private Docker engine: its own data, socket, and network, mount and process namespaces.

It meets neither the machine's own engine nor another lab. Whatever happens to the tests, it ends with them: the
kernel kills the namespace's first process when its parent is gone, and with it everything inside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

__all__ = ["LABEL", "Engine", "why_no_engine"]

LABEL = "infra-audit.lab"
_PROGRAMS = ("dockerd", "docker", "containerd", "runc", "unshare", "nsenter", "setpriv", "ip", "iptables")
_START = """
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
name=$0 label=$1
shift
exec dockerd --data-root $PWD/data --exec-root $PWD/run --pidfile $PWD/pid --host unix://$PWD/docker.sock \
    --cgroup-parent "/$name" --label "$label=$name" --userland-proxy=false "$@" >log 2>&1
"""
_PATIENCE = 60.0
"""Seconds in which the engine must answer."""


def why_no_engine() -> str:
    """Why no engine can run here; "" where one can."""
    if os.geteuid() != 0:
        return "an engine of its own needs root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Engine:
    """A running engine, as a context manager.

    ``host`` is its address, ``pid`` the first process of its namespaces: the daemon. ``programs``: a folder with the
    programs of another engine (``newer.sh``); ``options``: more for the daemon.
    """

    def __init__(self, programs: Path | None = None, *options: str) -> None:
        why = why_no_engine()
        if why:
            raise RuntimeError(why)
        # an engine's socket path must stay short
        self.folder = Path(tempfile.mkdtemp(prefix="infra-audit-lab-", dir="/var/tmp"))
        self.name = self.folder.name
        self.host = f"unix://{self.folder}/docker.sock"
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*command, "--mount-proc", "sh", "-euc", _START, self.name, LABEL, *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"} if programs else None,
        )
        self._wait()
        self.pid = int(_children(self._process.pid)[0])

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        until = time.monotonic() + _PATIENCE
        while self.docker("version", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                log = (self.folder / "log").read_text() if (self.folder / "log").exists() else ""
                self.stop()
                raise RuntimeError(f"the engine did not start:\n{log[-2000:]}")
            time.sleep(0.1)

    def docker(
        self, *args: str, check: bool = True, timeout: float = 120, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs the engine's own client."""
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            ["docker", "--host", self.host, *args],
            check=check,
            timeout=timeout,
            env=self.environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def inside(self, *args: str | Path, cwd: Path) -> list[str]:
        """A command that sees the engine's network, processes and mounts, as one on the engine's host would."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", f"--wdns={cwd}", *map(str, args)]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the tester's own Docker settings."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "DOCKER_CONFIG": str(self.folder)}

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the engine's daemon alone."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Ends everything that runs in the engine's namespaces and removes what it left."""
        with contextlib.suppress(ProcessLookupError):
            for child in _children(self._process.pid):
                os.kill(int(child), signal.SIGKILL)
            self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        cgroups = Path("/sys/fs/cgroup")
        for top in (cgroups / self.name, *cgroups.glob(f"*/{self.name}")):
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
