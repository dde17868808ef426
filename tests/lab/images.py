"""One image archive for ``docker load``: one shared layer under every name that the stack's files use."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from tests.command import ROOT
from tests.lab.engine import Engine
from tests.lab.rootfs import rootfs

__all__ = ["load_images"]

_CACHE = ROOT / "build" / "lab"
"""Where the root file system is kept between runs; git ignores it."""

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
}
"""What the real image of a name starts. The stand-in answers for what is no Debian package, and for Alertmanager, whose
package is older than the stack's configuration."""
_APPLICATION: dict[str, Any] = {"Cmd": ["app"]}


def load_images(engine: Engine, names: Iterable[str]) -> None:
    """Gives an engine the images of these names. One that stands for no server gets the application's stand-in."""
    path = rootfs(_CACHE)
    process = subprocess.Popen(
        ["docker", "--host", engine.host, "load", "-q"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=engine.environment,
    )
    assert process.stdin is not None
    with process.stdin as out:
        _write(path, sorted(set(names)), out)
    assert process.wait() == 0


def _write(layer_tar: Path, names: Iterable[str], out: IO[bytes]) -> None:
    with layer_tar.open("rb") as stream:
        layer = hashlib.file_digest(stream, "sha256").hexdigest()
    with tarfile.open(fileobj=out, mode="w|") as tar:

        def put(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        tar.add(layer_tar, "layer.tar")
        manifest = []
        for name in names:
            body = json.dumps(_config(name, layer)).encode()
            file = f"{hashlib.sha256(body).hexdigest()}.json"
            put(file, body)
            manifest.append({"Config": file, "RepoTags": [name], "Layers": ["layer.tar"]})
        put("manifest.json", json.dumps(manifest).encode())


def _config(name: str, layer: str) -> dict[str, Any]:
    config = _DEFAULTS | _IMAGES.get(name.rpartition(":")[0], _APPLICATION)
    sets = {key: {name: {} for name in config[key]} for key in ("Volumes", "ExposedPorts") if key in config}
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": config | sets,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created_by": f"test lab, in place of {name}"}],
    }
