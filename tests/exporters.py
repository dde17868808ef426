"""Writes the exporter catalogue from what the real exporters serve: ``python -m tests.exporters [EXPORTER…]``.

Each exporter runs here, in front of a real server that has something to tell, once as it is and once with each of the
flags in exporters.yaml; what it serves on its path is written to infra_audit/monitoring/exporters/EXPORTER.json. One
whose program is not installed keeps its file (cAdvisor is in Debian 11 alone: put it on the PATH).
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pika
import yaml

from tests.command import ROOT
from tests.servers import Server, found, free_port, own_folder, postgres, rabbitmq, redis, started

CATALOGUE = ROOT / "infra_audit" / "monitoring" / "exporters"
_DESCRIBED: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).with_suffix(".yaml")).read_text())
_OWN_LABELS = {"histogram": "le", "summary": "quantile"}

Metrics = dict[str, dict[str, Any]]


_TYPE = re.compile(r"# TYPE (\S+) (\w+)")
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="(?:[^"\\]|\\.)*"')
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def metrics_of(text: str) -> Metrics:
    """Metrics in an exposition: type and label names. Series of a histogram or summary are one metric, its family.

    The parser of prometheus_client is not used: it adds ``_total`` to the counters that are served without it.
    """
    types: dict[str, str] = {}
    labels: dict[str, set[str]] = {}
    for line in text.splitlines():
        if match := _TYPE.match(line):
            types[match[1]] = {"unknown": "untyped"}.get(match[2], match[2])
        elif match := _SAMPLE.match(line):
            family = _SUFFIX.sub("", match[1])
            name = family if types.get(family) in _OWN_LABELS else match[1]
            labels.setdefault(name, set()).update(set(_LABEL.findall(match[2] or "")))
    return {
        name: {"type": kind, "labels": sorted(own - {_OWN_LABELS.get(kind)})}
        for name, own in sorted(labels.items())
        if (kind := types.get(name, "untyped"))
    }


@contextmanager
def _node(folder: Path, flags: list[str]) -> Iterator[Server]:
    port = free_port()
    with started(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}", *flags], port, folder) as it:
        yield it


@contextmanager
def _postgres(folder: Path, flags: list[str]) -> Iterator[Server]:
    """The exporter of a server with a table, a statement statistics extension, and somebody who streams its log."""
    with postgres(folder, "shared_preload_libraries=pg_stat_statements", "max_replication_slots=2") as server:
        client = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "tracklists"]
        for query in (
            "CREATE EXTENSION pg_stat_statements",
            "CREATE TABLE track (id int PRIMARY KEY)",
            "INSERT INTO track SELECT generate_series(1, 100)",
            "SELECT pg_create_physical_replication_slot('copy', true)",
        ):
            subprocess.run([found("psql") or "", *client, "-qc", query, "postgres"], check=True, stdout=-3, timeout=20)
        receive = [found("pg_receivewal") or "", *client, "-D", str(folder), "-S", "copy"]
        port = free_port()
        env = {"DATA_SOURCE_URI": f"{server.address}/postgres?sslmode=disable", "DATA_SOURCE_USER": "tracklists"}
        command = ["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{port}", *flags]
        with subprocess.Popen(receive, stderr=subprocess.DEVNULL) as copier:
            try:
                with started(command, port, folder, env=env | {"DATA_SOURCE_PASS": ""}) as exporter:
                    time.sleep(1)
                    yield exporter
            finally:
                copier.terminate()


@contextmanager
def _redis(folder: Path, flags: list[str]) -> Iterator[Server]:
    """The exporter of a server with keys of each type, a slow command and a replica."""
    (folder / "replica").mkdir()
    with (
        redis(folder, "--slowlog-log-slower-than", "0", "--appendonly", "yes", "--maxmemory", "64mb") as server,
        redis(folder / "replica", "--replicaof", f"127.0.0.1 {server.port}"),
    ):
        for command in ("SET a 1 EX 1000", "LPUSH b 1", "XADD c * f v", "XGROUP CREATE c g 0", "GET a", "GET none"):
            subprocess.run([found("redis-cli") or "", "-p", str(server.port), *command.split()], check=True, stdout=-3)
        time.sleep(2)
        port = free_port()
        command = ["prometheus-redis-exporter", f"--web.listen-address=127.0.0.1:{port}", *flags]
        with started([*command, f"--redis.addr=redis://{server.address}"], port, folder) as exporter:
            yield exporter


@contextmanager
def _rabbitmq(folder: Path, flags: list[str]) -> Iterator[Server]:
    """A broker with a queue that holds a message and has a consumer."""
    with rabbitmq(folder) as server:
        parameters = pika.ConnectionParameters("127.0.0.1", int((folder / "amqp-port").read_text()))
        with pika.BlockingConnection(parameters) as connection:
            channel = connection.channel()
            channel.queue_declare("tracks", durable=True)
            channel.basic_publish("", "tracks", b"track")
            channel.basic_publish("", "tracks", b"track")
            channel.basic_qos(prefetch_count=1)
            channel.basic_consume("tracks", lambda *_: None)
            # The plugin serves what the broker collected, which it does every five seconds.
            connection.process_data_events(time_limit=7)
            # How long an answer took is told by the next one.
            server.get("/metrics")
            server.get("/metrics/per-object")
            yield server


@contextmanager
def _cadvisor(folder: Path, flags: list[str]) -> Iterator[Server]:
    """The exporter of a machine that has a group of processes with a CPU limit (control groups, version 1)."""
    port = free_port()
    group = Path("/sys/fs/cgroup/cpu/infra-audit-test")
    group.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("50000")
        with started(["cadvisor", "-listen_ip=127.0.0.1", f"-port={port}"], port, folder) as server:
            time.sleep(3)
            yield server
    finally:
        group.rmdir()


@contextmanager
def _prometheus(folder: Path, flags: list[str]) -> Iterator[Server]:
    port = free_port()
    (folder / "rules.yml").write_text(
        "groups: [{name: g, rules: [{record: 'a:b', expr: up}, {alert: A, expr: up >= 0}]}]\n"
    )
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]},
        "scrape_configs": [
            {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
            {"job_name": "dns", "dns_sd_configs": [{"names": ["localhost"], "type": "A", "port": port}]},
            {"job_name": "file", "file_sd_configs": [{"files": ["*.json"]}]},
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    command = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    with started([*command, "--storage.tsdb.path=data"], port, folder) as server:
        time.sleep(4)
        server.get("/api/v1/query?query=up")
        yield server


@contextmanager
def _alertmanager(folder: Path, flags: list[str]) -> Iterator[Server]:
    port = free_port()
    (folder / "alertmanager.yml").write_text("route: {receiver: a}\nreceivers: [{name: a}]\n")
    command = ["prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=data"]
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with started([*command, *listen], port, folder) as server:
        server.get("/api/v2/alerts")
        yield server


@contextmanager
def _blackbox(folder: Path, flags: list[str]) -> Iterator[Server]:
    port = free_port()
    (folder / "blackbox.yml").write_text("modules: {http_2xx: {prober: http}}\n")
    command = ["prometheus-blackbox-exporter", f"--config.file={folder}/blackbox.yml"]
    with started([*command, f"--web.listen-address=127.0.0.1:{port}"], port, folder) as server:
        yield server


class Recipe(NamedTuple):
    """How an exporter is run and read: its program, a command that tells its version, its paths."""

    program: str
    version: str
    start: Callable[[Path, list[str]], AbstractContextManager[Server]]
    paths: tuple[str, ...] = ("/metrics",)


_RECIPES = {
    "node_exporter": Recipe("prometheus-node-exporter", "prometheus-node-exporter --version", _node),
    "postgres_exporter": Recipe("prometheus-postgres-exporter", "prometheus-postgres-exporter --version", _postgres),
    "redis_exporter": Recipe("prometheus-redis-exporter", "prometheus-redis-exporter --version", _redis),
    # Its own program starts Erlang's port mapper, which stays.
    "rabbitmq_prometheus": Recipe(
        "rabbitmq-server", "dpkg-query -W rabbitmq-server", _rabbitmq, ("/metrics", "/metrics/per-object")
    ),
    "cadvisor": Recipe("cadvisor", "cadvisor -version", _cadvisor),
    "prometheus": Recipe("prometheus", "prometheus --version", _prometheus),
    "alertmanager": Recipe("prometheus-alertmanager", "prometheus-alertmanager --version", _alertmanager),
    "blackbox_exporter": Recipe(
        "prometheus-blackbox-exporter",
        "prometheus-blackbox-exporter --version",
        _blackbox,
        ("/metrics", "/probe?module=http_2xx&target={address}/metrics"),
    ),
}


def _version(command: str) -> str:
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=60)
    number = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    assert number, f"{command} does not say a version"
    return number[0]


def _served(recipe: Recipe, flags: list[str]) -> Metrics:
    metrics: Metrics = {}
    with own_folder() as folder, recipe.start(folder, flags) as server:
        for path in recipe.paths:
            for name, metric in metrics_of(server.get(path.format(address=server.address))).items():
                known = metrics.setdefault(name, metric)
                known["labels"] = sorted({*known["labels"], *metric["labels"]})
    return metrics


def recorded(exporter: str) -> dict[str, Any]:
    """What the catalogue says about an exporter: its description, and the metrics that it serves here and now."""
    about = dict(_DESCRIBED[exporter])
    flags: list[str] = about.pop("flags", [])
    labels: list[str] = about.pop("labels", [])
    metrics: Metrics = {}
    version = None
    if recipe := _RECIPES.get(exporter):
        version = _version(recipe.version)
        metrics = _served(recipe, [])
        for flag in flags:
            for name, metric in _served(recipe, shlex.split(flag)).items():
                metrics.setdefault(name, metric | {"flag": shlex.split(flag)[0]})
    for name, metric in metrics.items():
        if labels and name.startswith("container_"):
            metric["labels"] = sorted({*metric["labels"], *labels})
    return {"exporter": exporter, "version": version, **about, "metrics": dict(sorted(metrics.items()))}


def compact(entry: dict[str, Any]) -> str:
    """JSON with a line for each key and each metric."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items() if key != "metrics"]
    metrics = [f"    {json.dumps(name)}: {json.dumps(metric)}" for name, metric in entry["metrics"].items()]
    body = ",\n".join(metrics)
    lines.append('  "metrics": {\n' + body + "\n  }" if metrics else '  "metrics": {}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    for exporter in sys.argv[1:] or _DESCRIBED:
        if exporter in _RECIPES and not found(_RECIPES[exporter].program):
            print(f"{exporter}: {_RECIPES[exporter].program} is not installed; its file stays as it is")
            continue
        entry = recorded(exporter)
        (CATALOGUE / f"{exporter}.json").write_text(compact(entry))
        print(f"{exporter} {entry['version']}: {len(entry['metrics'])} metrics")


if __name__ == "__main__":
    main()
