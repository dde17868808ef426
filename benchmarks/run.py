"""Start-up and audit time of infra-audit, beside what people use today. Prints medians and ratios.

    make bench                         everything
    make bench ARGS="--runs 5"         quicker

The inputs are made here: deployments of 5 and of 50 services in the style of real ones (limits,
health checks, networks, an anchor, variables). Runs of the programs that are compared take turns,
so that a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

BIN = Path(sys.executable).parent
HEADER = """\
x-logging: &logging
  driver: json-file
  options: {max-size: 10m, max-file: "3"}

services:
"""
SERVICE = """\
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
FOOTER = """\
networks:
  backend:
    ipam: {config: [{subnet: 172.28.0.0/16}]}
"""


def compose_file(services: int) -> str:
    """A deployment of so many services, each depending on the one before it."""
    first = "  service0:\n    image: postgres:15-alpine\n    networks: [backend]\n"
    rest = (
        SERVICE.format(name=f"service{number}", previous=f"service{number - 1}", number=number, port=8000 + number)
        for number in range(1, services)
    )
    return HEADER + first + "".join(rest) + FOOTER


def prepare() -> dict[str, str]:
    """Compiles our modules, as pip does for an installed package; returns the environment of the runs."""
    spec = importlib.util.find_spec("infra_audit")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        compileall.compile_dir(folder, quiet=1)
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def measure(commands: Mapping[str, list[str]], cwd: str, runs: int, env: Mapping[str, str]) -> dict[str, list[float]]:
    """Wall time in milliseconds of each run of each command, the commands taking turns."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if turn:  # the first turn fills caches
                times[name].append((time.perf_counter() - start) * 1000)
    return times


def table(title: str, times: Mapping[str, list[float]], against: str) -> Iterator[str]:
    base = statistics.median(times[against])
    yield f"{title:<44} {'median':>9} {'best':>9} {'ratio':>7}"
    for name, measured in times.items():
        median = statistics.median(measured)
        yield f"  {name:<42} {median:>6.0f} ms {min(measured):>6.0f} ms {median / base:>6.2f}x"
    yield ""


def docker_compose() -> str | None:
    spec = importlib.util.find_spec("compose")
    if spec is None or spec.origin is None:
        return None
    return os.path.join(os.path.dirname(spec.origin), "docker-compose")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (default 15)")
    runs = parser.parse_args().runs
    env = prepare()
    tool = str(BIN / "infra-audit")
    with tempfile.TemporaryDirectory(prefix="infra-audit-bench-") as folder:
        start_up = {
            "python -c pass": [sys.executable, "-c", "pass"],
            'python -c "import click"': [sys.executable, "-c", "import click"],
            "infra-audit --help": [tool, "--help"],
        }
        print("\n".join(table("start-up", measure(start_up, folder, runs * 2, env), 'python -c "import click"')))
        for services in (5, 50):
            case = Path(folder) / str(services)
            case.mkdir()
            (case / "compose.yaml").write_text(compose_file(services))
            commands = {"compose-lint": [str(BIN / "compose-lint"), "compose.yaml"]}
            engine = docker_compose()
            if engine:
                commands["docker compose config -q"] = [engine, "config", "-q"]
            commands["infra-audit check"] = [tool, "check", "compose.yaml"]
            print("\n".join(table(f"{services} services", measure(commands, str(case), runs, env), "compose-lint")))


if __name__ == "__main__":
    main()
