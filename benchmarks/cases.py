"""The inputs of the benchmark, made in the style of real deployments: limits, health checks, networks,
an anchor, variables."""

from __future__ import annotations

from pathlib import Path

__all__ = ["tree", "write"]

_HEADER = """\
x-logging: &logging
  driver: json-file
  options: {max-size: 10m, max-file: "3"}

services:
"""
_SERVICE = """\
  {name}:
    image: registry.example.com/shop/{name}:1.{number}.0
    restart: unless-stopped
    logging: *logging
    environment:
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      DATABASE_URL: postgres://shop@{previous}:5432/shop
      WORKERS: "4"
    ports: ["{port}:8080"]
    networks: [backend]
    depends_on: [{previous}]
    deploy:
      resources:
        limits: {{cpus: "0.50", memory: 512M}}
    healthcheck:
      test: [CMD, curl, -f, "http://localhost:8080/health"]
      interval: 30s
      timeout: 5s
      retries: 3
"""
_FOOTER = """\
networks:
  backend:
    ipam: {config: [{subnet: 172.28.0.0/16}]}
"""


def write(folder: Path, services: int) -> Path:
    """A deployment of so many services, each depending on the one before it."""
    folder.mkdir(parents=True)
    first = "  service0:\n    image: postgres:15-alpine\n    networks: [backend]\n"
    rest = (
        _SERVICE.format(name=f"service{number}", previous=f"service{number - 1}", number=number, port=8000 + number)
        for number in range(1, services)
    )
    (folder / "compose.yaml").write_text(_HEADER + first + "".join(rest) + _FOOTER)
    return folder


def tree(folder: Path, deployments: int, services: int) -> Path:
    """A repository of so many deployments, each in a folder of its own."""
    for number in range(deployments):
        write(folder / f"app{number:03}", services)
    return folder
