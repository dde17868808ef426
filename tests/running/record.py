"""Runs the project of compose.yaml on an engine of its own and keeps what ``live`` sees: python -m tests.running.record

The result says nothing of the machine that it was made on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from infra_audit.live.store import Snapshot, dump
from tests.command import ROOT, environment
from tests.lab.engine import Engine
from tests.lab.images import write_images
from tests.lab.rootfs import rootfs
from tests.lab.stack import CACHE
from tests.oracle import binary
from tests.running import COMPOSE, PROJECT, SNAPSHOT

_SECRETS = {name: f"planted-{name}" for name in ("DB_PASSWORD", "QUEUE_PASSWORD", "GRAFANA_PASSWORD")}
_FOLDER = Path("/srv/shop")
"""Where the project lies on the engine's host. The folder is there in the engine's namespace alone."""
_PATIENCE = 120.0


def main() -> None:
    with Engine() as engine:
        _load_images(engine)
        _run(engine, "sh", "-euc", f'mount -t tmpfs tmpfs {_FOLDER.parent}; mkdir "$1"; cp "$0" "$1"', COMPOSE, _FOLDER)
        _run(engine, binary(), "up", "-d", "--wait", "--pull", "never", cwd=_FOLDER)
        until = time.monotonic() + _PATIENCE
        while not _is_complete(data := _look(engine)):
            if time.monotonic() > until:
                sys.exit(f"not all probes answer: {json.dumps(data['probes'], indent=1)}")
            time.sleep(2)
        SNAPSHOT.write_text(_anywhere(data, engine), encoding="utf-8")


def _load_images(engine: Engine) -> None:
    names = {service["image"] for service in yaml.safe_load(COMPOSE.read_text())["services"].values()}
    archive = engine.folder / "images.tar"
    with archive.open("wb") as out:
        write_images(rootfs(CACHE), sorted(names), out)
    engine.docker("load", "--quiet", "--input", str(archive))
    archive.unlink()


def _run(engine: Engine, *command: str | Path, cwd: Path = ROOT) -> None:
    variables = {**engine.environment, **_SECRETS, "DOCKER_HOST": engine.host}
    subprocess.run(engine.inside(*command, cwd=cwd), env=variables, check=True, timeout=300)


def _look(engine: Engine) -> dict[str, Any]:
    path = engine.folder / "snapshot.json"
    command = engine.inside(sys.executable, "-m", "infra_audit", "live", "-p", PROJECT, "--save", path, cwd=ROOT)
    variables = environment(DOCKER_HOST=engine.host, DOCKER_CONFIG=str(engine.folder))
    subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, timeout=120, check=False)
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def _is_complete(data: dict[str, Any]) -> bool:
    """True where every probe answered and Prometheus has scraped and evaluated."""
    probes = [probe for made in data["probes"].values() for probe in made.values()]
    monitoring = data["probes"].get("shop-prometheus-1", {}).get("prometheus", {})
    states = [one["health"] for part in ("targets", "rules") for one in monitoring.get(part, ())]
    healthy = all(
        container["State"].get("Health", {}).get("Status", "healthy") == "healthy" for container in data["containers"]
    )
    return healthy and len(states) == 4 and not {*states} - {"up", "ok"} and not any("error" in one for one in probes)


def _anywhere(data: dict[str, Any], engine: Engine) -> str:
    """The snapshot as text, as an engine in its usual place on some host would give it."""
    own = data["engine"]
    data["engine"] = {**own, "Name": "shop-host", "KernelVersion": "", "OperatingSystem": ""}
    text = dump(Snapshot(data))
    text = text.replace(f"{engine.folder}/docker.sock", "/var/run/docker.sock")
    text = text.replace(f"{engine.folder}/data", "/var/lib/docker")
    told = [engine.name, own["Name"], own["KernelVersion"], *_SECRETS.values()]
    assert not [part for part in told if part in text]
    return text


if __name__ == "__main__":
    main()
