"""One image archive for ``docker load``: one shared layer under every name that the stack's files use."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.command import ROOT
from tests.lab import ours
from tests.lab.engine import Engine
from tests.lab.rootfs import rootfs

__all__ = ["load_images"]

_CACHE = ROOT / "build" / "lab"
"""Where the root file system is kept between runs; git ignores it."""

OURS = "registry.example.com/tracklists/infra-audit"
_PATH = "/usr/lib/postgresql/15/bin:/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin"
_DEFAULTS: dict[str, Any] = {"Entrypoint": ["/usr/bin/entry"], "Env": [f"PATH={_PATH}"]}
_ANSWERS: dict[str, Any] = {"Entrypoint": ["/usr/bin/entry", "app"]}
_IMAGES: dict[str, dict[str, Any]] = {
    "postgres": {"Cmd": ["postgres"], "Volumes": ["/var/lib/postgresql/data"], "ExposedPorts": ["5432/tcp"]},
    "redis": {"Cmd": ["redis-server"], "Volumes": ["/data"], "WorkingDir": "/data", "ExposedPorts": ["6379/tcp"]},
    "rabbitmq": {
        "Cmd": ["rabbitmq-server"],
        "Volumes": ["/var/lib/rabbitmq"],
        "Env": [*_DEFAULTS["Env"], "HOME=/var/lib/rabbitmq"],
        "ExposedPorts": ["5672/tcp", "15672/tcp", "15692/tcp"],
    },
    "nginx": {"Cmd": ["nginx", "-g", "daemon off;"], "ExposedPorts": ["80/tcp"]},
    "prom/prometheus": {"Entrypoint": ["/usr/bin/prometheus"], "WorkingDir": "/prometheus"},
    "prom/alertmanager": {**_ANSWERS, "Env": [*_DEFAULTS["Env"], "PORT=9093"]},
    "prom/blackbox-exporter": {**_ANSWERS, "Env": [*_DEFAULTS["Env"], "PORT=9115"]},
    "prom/node-exporter": {"Entrypoint": ["/usr/bin/node_exporter"]},
    "prometheuscommunity/postgres-exporter": {"Entrypoint": ["/usr/bin/postgres_exporter"]},
    "oliver006/redis_exporter": {"Entrypoint": ["/usr/bin/redis_exporter"]},
    "grafana/grafana": {**_ANSWERS, "Env": [*_DEFAULTS["Env"], "PORT=3000"]},
    "gcr.io/cadvisor/cadvisor": {**_ANSWERS, "Env": [*_DEFAULTS["Env"], "PORT=8080"]},
    "wollomatic/socket-proxy": {"Entrypoint": ["/usr/bin/entry", "socket-proxy"], "WorkingDir": "/"},
    OURS: ours.CONFIG,
}
"""What the real image of a name starts. The stand-in answers for what is no Debian package, and for Alertmanager, whose
package is older than the stack's configuration. For the socket proxy stands nginx with the same rules."""
_APPLICATION: dict[str, Any] = {"Cmd": ["app"]}


def load_images(engine: Engine, names: Iterable[str]) -> None:
    """Gives an engine the images of these names. One that stands for no server gets the application's stand-in."""
    wanted = sorted(set(names))
    layers = {_product(name): [rootfs(_CACHE)] for name in wanted}
    if OURS in layers:
        on_top = engine.folder / "ours.tar"
        ours.write_layer(on_top)
        layers[OURS].append(on_top)
    process = subprocess.Popen(
        ["docker", "--host", engine.host, "load", "-q"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=engine.environment,
    )
    assert process.stdin is not None
    with process.stdin as out:
        _write(wanted, layers, out)
    assert process.wait() == 0


def _product(name: str) -> str:
    return name.rpartition(":")[0]


def _write(names: Sequence[str], layers: Mapping[str, Sequence[Path]], out: IO[bytes]) -> None:
    with tarfile.open(fileobj=out, mode="w|") as tar:

        def put(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        digests: dict[Path, str] = {}
        for path in {path for parts in layers.values() for path in parts}:
            with path.open("rb") as stream:
                digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
            tar.add(path, path.name)
        manifest = []
        for name in names:
            parts = layers[_product(name)]
            body = json.dumps(_config(name, [digests[path] for path in parts])).encode()
            file = f"{hashlib.sha256(body).hexdigest()}.json"
            put(file, body)
            manifest.append({"Config": file, "RepoTags": [name], "Layers": [path.name for path in parts]})
        put("manifest.json", json.dumps(manifest).encode())


def _config(name: str, layers: Sequence[str]) -> dict[str, Any]:
    config = _DEFAULTS | _IMAGES.get(_product(name), _APPLICATION)
    sets: dict[str, Any] = {
        key: {name: {} for name in config[key]} for key in ("Volumes", "ExposedPorts") if key in config
    }
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": config | sets,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}" for layer in layers]},
        "history": [{"created_by": f"test lab, in place of {name}"} for _ in layers],
    }
