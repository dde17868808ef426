"""Many containers on an engine of their own: what ``live`` is measured on.

Every process sleeps, and the health checks come so seldom that the engine rests while others are measured.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.engine import Engine
from tests.lab.images import load_images
from tests.oracle import binary

__all__ = ["many_containers"]

_SERVICE = """\
  {name}:
    image: registry.example.com/{project}/{name}:1.{number}.0
    command: [sleep, infinity]
    init: true
    restart: unless-stopped
    logging: *logging
    environment:
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      DATABASE_URL: postgres://{project}@database.example.com:5432/{project}
      API_TOKEN: planted-{project}-{number}
      WORKERS: "4"
    networks: [backend]
    volumes: ["{name}:/data"]
    deploy:
      replicas: {replicas}
      resources:
        limits: {{cpus: "0.50", memory: 64M}}
        reservations: {{memory: 16M}}
    healthcheck:
      test: [CMD, test, -d, /data]
      interval: 1h
      timeout: 5s
      retries: 3
"""


def _compose(project: str, subnet: int, services: int, replicas: int) -> str:
    names = [f"service{number}" for number in range(services)]
    texts = (
        _SERVICE.format(name=name, project=project, number=number, replicas=replicas)
        for number, name in enumerate(names)
    )
    return "".join(
        (
            "x-logging: &logging\n  driver: json-file\n",
            '  options: {max-size: 10m, max-file: "3"}\n\nservices:\n',
            *texts,
            f"networks:\n  backend:\n    ipam: {{config: [{{subnet: 172.30.{subnet}.0/24}}]}}\nvolumes:\n",
            *(f"  {name}:\n" for name in names),
        )
    )


@contextlib.contextmanager
def many_containers(folder: Path, projects: int, services: int, replicas: int) -> Iterator[Engine]:
    """An engine on which so many projects run, from Compose files in the folder; removed with all it runs."""
    with Engine() as engine:
        for number in range(projects):
            name = f"app{number}"
            here = folder / name
            here.mkdir(parents=True)
            (here / "compose.yaml").write_text(_compose(name, number, services, replicas))
            load_images(engine, [f"registry.example.com/{name}/service{one}:1.{one}.0" for one in range(services)])
            subprocess.run(
                engine.inside(binary(), "up", "-d", "--quiet-pull", cwd=here),
                env={**engine.environment, "DOCKER_HOST": engine.host},
                check=True,
                capture_output=True,
            )
        yield engine
