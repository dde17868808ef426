"""The reference stack on an engine of its own: the stack's own files and one small override."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.command import ROOT
from tests.lab.engine import Engine
from tests.lab.images import load_images
from tests.oracle import binary

__all__ = ["FILES", "SECRETS", "Stack"]

FILES = ("docker-compose.yml", "docker-compose.prod.yml", "compose.lab.yaml")
_TEMPLATE = ".env.production"


def _variables() -> dict[str, str]:
    """The template of production, each secret filled in."""
    lines = (ROOT / "stack" / _TEMPLATE).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value or f"planted-{hashlib.sha256(key.encode()).hexdigest()[:12]}" for key, _, value in pairs}


SECRETS = {key: value for key, value in _variables().items() if value.startswith("planted-")}
"""The passwords of the stack: no output of ours may hold one."""

_RULES = """
  budget-host:
    enabled: false
    reason: the lab's host is far smaller than the one that the stack is made for
  alert-firing:
    enabled: false
    reason: the stand-ins in the lab serve none of the metrics that the stack's alerts watch
  healthcheck-timing:
    enabled: false
    reason: the lab's probes come more often than the plan documents, so that no test waits for one
"""
_IGNORED = shutil.ignore_patterns(".env.*")


class Stack:
    """The stack's files in a folder, and the project that runs from them."""

    name = "tracklists"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.folder = engine.folder / "stack"
        shutil.copytree(ROOT / "stack", self.folder, ignore=_IGNORED)
        shutil.copy(Path(__file__).parent / "compose.lab.yaml", self.folder)
        config = self.folder / ".infra-audit.yaml"
        config.write_text(config.read_text().replace("\nrules:\n", "\nrules:" + _RULES))
        secrets = self.folder / "secrets"
        secrets.mkdir()
        for name in ("slack-url", "pagerduty-key", "deadman-token"):
            (secrets / name).write_text("https://alerts.example.com/\n")
        socket = engine.folder / "docker.sock"
        own = {"ALERTMANAGER_SECRETS": secrets, "DOCKER_GROUP": socket.stat().st_gid, "LAB_SOCKET": socket}
        pairs = (_variables() | own).items()
        (self.folder / _TEMPLATE).write_text("".join(f"{key}={value}\n" for key, value in pairs))
        # the engine's user for Prometheus, nginx and others may read the files, as in a checkout
        subprocess.run(["chmod", "-R", "a+rX", self.folder], check=True)

    def load_images(self) -> None:
        load_images(self.engine, self.compose("config", "--images").stdout.decode().split())

    def up(self, *services: str) -> None:
        """Starts the stack and waits until everything is healthy."""
        self.compose("up", "-d", "--wait", "--wait-timeout", "180", "--pull", "never", *services)

    def compose(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Runs the real Docker Compose on the project's files, where the engine is."""
        files = [part for file in FILES for part in ("-f", file)]
        done = subprocess.run(
            self.engine.inside(binary(), *files, "--env-file", _TEMPLATE, *args, cwd=self.folder),
            env={**self.engine.environment, "DOCKER_HOST": self.engine.host},
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
        return done

    def container(self, service: str, number: int = 1) -> str:
        """The name of a replica."""
        return f"{self.name}-{service}-{number}"
