"""A small engine: one image that can do nothing but sleep, and Compose projects from files that a test writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.command import Ran, infra_audit
from tests.lab.engine import Engine, why_no_engine
from tests.oracle import binary

__all__ = ["IMAGE", "Small", "small"]

IMAGE = "small:1"


class Small:
    """The engine, the real Docker Compose and our command beside it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        image = engine.folder / "image.tar"
        linked = subprocess.run(["ldd", "/bin/busybox"], capture_output=True, text=True, check=False).stdout
        with tarfile.open(image, "w", dereference=True) as tar:
            tar.add("/bin/busybox", "bin/sleep")
            for library in re.findall(r"/\S+", linked):
                tar.add(os.path.realpath(library), library)
        engine.docker("import", '--change=CMD ["/bin/sleep", "1000"]', str(image), IMAGE)

    def docker(self, *args: str) -> str:
        return self.engine.docker(*args).stdout.decode().strip()

    def run(self, name: str, project: str, *command: str, start: bool = True) -> None:
        """A container that says of itself to be the service app of a project."""
        labels = (f"project={project}", "service=app", "oneoff=False", "container-number=1")
        options = [f"--label=com.docker.compose.{label}" for label in labels]
        how = ("run", "--detach") if start else ("create",)
        self.docker(*how, f"--name={name}", "--network=none", *options, IMAGE, *(command or ("sleep", "1000")))

    def compose(self, folder: Path, *args: str, **env: str) -> None:
        """Runs the real Docker Compose on the files of a folder, where the engine is."""
        done = self.try_compose(folder, *args, **env)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]

    def try_compose(self, folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """The same, whether or not Compose refuses them."""
        return subprocess.run(
            self.engine.inside(binary(), *args, cwd=folder),
            env={**self.engine.environment, "DOCKER_HOST": self.engine.host, **env},
            capture_output=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def project(self, folder: Path, text: str, *args: str, **env: str) -> Iterator[None]:
        """A project that runs from a Compose file in a folder; it goes afterwards."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "compose.yaml").write_text(text)
        self.compose(folder, *args, "up", "--detach", "--pull=never", **env)
        try:
            yield
        finally:
            down = ("--project-name", folder.name, "down", "--timeout=0", "--volumes", "--remove-orphans")
            self.compose(folder.parent, *down)

    def live(self, *args: str | Path, cwd: Path | None = None, **env: str) -> Ran:
        return infra_audit("live", "--host", self.engine.host, "--no-probe", "all", *args, cwd=cwd, **env)

    def report(self, *args: str | Path, cwd: Path | None = None, **env: str) -> dict[str, Any]:
        """The JSON report of ``live``."""
        ran = self.live("--format", "json", *args, cwd=cwd, **env)
        assert ran.out, ran.err
        report: dict[str, Any] = json.loads(ran.out)
        return report


@pytest.fixture(scope="session")
def small() -> Iterator[Small]:
    why = why_no_engine()
    if why:
        pytest.skip(why)
    with Engine() as engine:
        yield Small(engine)
