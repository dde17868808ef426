"""The monitoring of the reference stack, running: a real Prometheus with the stack's own configuration and rules.

Real are Prometheus, Alertmanager, PostgreSQL, Redis and RabbitMQ with the stack's settings, and the exporters of the
host, of PostgreSQL, of Redis and of the gateway. What cannot be had stands in as a small HTTP server: the applications
and infra-audit, which has no engine here, serve the files that declare their metrics, cAdvisor what its entry of the
catalogue says about the stack's containers, and the gateway and Grafana answer. The configuration is copied; only
addresses and intervals change in the copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pika
import yaml

from tests.exporters import CATALOGUE
from tests.fixtures import STACK
from tests.servers import Server, found, free_port, own_folder, postgres, rabbitmq, redis, started

APPLICATIONS = {"scraper-1001tracklists": 2, "data-transformer": 2, "rest-api": 2}
"""Service → replicas."""
PROGRAMS = {
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "rabbitmq-server": "rabbitmq-server",
    "redis-server": "redis-server",
    "initdb": "postgresql-15",
}
"""Program → Debian's package."""
MONITORING = STACK / "monitoring"
_PASSWORD = "test-password"


class Running(NamedTuple):
    """What the tests ask: Prometheus, the servers behind it, and the addresses of the exporters."""

    prometheus: Server
    database: Server
    cache: Server
    exporters: dict[str, tuple[Server, str]]

    def work(self) -> None:
        """A little of what clients do all the time."""
        for key in ("a", "b", "none"):
            redis_cli(self.cache, "get", key)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query."""
        answer = json.loads(self.prometheus.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        data: list[dict[str, Any]] = answer["data"]["result"]
        return data

    def api(self, path: str) -> Any:
        return json.loads(self.prometheus.get(f"/api/v1/{path}"))["data"]


def missing_packages() -> list[str]:
    return [package for program, package in PROGRAMS.items() if found(program) is None]


@contextmanager
def running_stack() -> Iterator[Running]:
    with ExitStack() as all_of_it, own_folder() as folder:
        enter = all_of_it.enter_context

        def at(name: str) -> Path:
            (folder / name).mkdir()
            return folder / name

        addresses: dict[str, str] = {}
        broker = enter(rabbitmq(at("rabbitmq"), *(STACK / "rabbitmq" / "rabbitmq.conf").read_text().splitlines()))
        addresses["rabbitmq:15692"] = broker.address
        enter(_consumer(int((broker.folder / "amqp-port").read_text())))
        database = enter(_database(at("postgres")))
        cache = enter(_cache(at("redis")))
        exporters = {"rabbitmq": (broker, "/metrics")}
        for service, port, command, env in (
            ("node-exporter", 9100, "prometheus-node-exporter", {}),
            (
                "postgres-exporter",
                9187,
                "prometheus-postgres-exporter",
                {
                    "DATA_SOURCE_URI": f"{database.address}/tracklists?sslmode=disable",
                    "DATA_SOURCE_USER": "monitoring",
                    "DATA_SOURCE_PASS": _PASSWORD,
                },
            ),
            (
                "redis-exporter",
                9121,
                "prometheus-redis-exporter",
                {"REDIS_ADDR": f"redis://{cache.address}", "REDIS_PASSWORD": _PASSWORD},
            ),
        ):
            own = free_port()
            server = enter(started([command, f"--web.listen-address=127.0.0.1:{own}"], own, at(service), env=env))
            addresses[f"{service}:{port}"] = server.address
            exporters[service.removesuffix("-exporter")] = (server, "/metrics")
        own = free_port()
        prober = ["prometheus-blackbox-exporter", f"--config.file={MONITORING}/blackbox/blackbox.yml"]
        enter(started([*prober, f"--web.listen-address=127.0.0.1:{own}"], own, at("blackbox")))
        addresses["blackbox-exporter:9115"] = f"127.0.0.1:{own}"
        own = free_port()
        # The file that tells nobody: the test speaks to no other machine.
        teller = [f"--config.file={MONITORING}/alertmanager/alertmanager.development.yml", "--storage.path=data"]
        listen = [f"--web.listen-address=127.0.0.1:{own}", "--cluster.listen-address="]
        enter(started(["prometheus-alertmanager", *teller, *listen], own, at("alertmanager")))
        addresses["alertmanager:9093"] = f"127.0.0.1:{own}"

        addresses["cadvisor:8080"] = enter(_stand_in(_containers()))
        addresses["api-gateway:8080"] = enter(_stand_in("ok\n"))
        addresses["grafana:3000"] = enter(_stand_in("# TYPE grafana_build_info gauge\ngrafana_build_info 1\n"))
        addresses["infra-audit:9910"] = enter(_stand_in((MONITORING / "metrics" / "infra-audit.prom").read_text()))
        replicas = {
            service: [enter(_stand_in((MONITORING / "metrics" / f"{service}.prom").read_text())) for _ in range(count)]
            for service, count in APPLICATIONS.items()
        }
        own = free_port()
        addresses["localhost:9090"] = f"127.0.0.1:{own}"
        config = at("prometheus") / "config"
        shutil.copytree(MONITORING / "prometheus", config)
        (config / "prometheus.yml").write_text(rewritten(addresses, replicas))
        command = ["prometheus", f"--config.file={config}/prometheus.yml", "--storage.tsdb.path=data"]
        listen = [f"--web.listen-address=127.0.0.1:{own}"]
        prometheus = Server(own, folder / "prometheus")
        # It answers 503, which is an OSError here, until it has loaded its configuration.
        enter(started([*command, *listen], own, prometheus.folder, ready=lambda: prometheus.get("/-/ready")))
        yield Running(prometheus, database, cache, exporters)


def rewritten(addresses: dict[str, str], replicas: dict[str, list[str]]) -> str:
    """The stack's prometheus.yml with addresses on loopback, a scrape each second, and replicas instead of a DNS."""
    text = (MONITORING / "prometheus" / "prometheus.yml").read_text()
    for name, address in addresses.items():
        assert name in text, f"nothing scrapes {name}"
        text = re.sub(rf"\b{re.escape(name)}\b", address, text)
    config = yaml.safe_load(text)
    config["global"] = dict.fromkeys(config["global"], "1s")
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
        if "dns_sd_configs" in job:
            (lookup,) = job.pop("dns_sd_configs")
            job["static_configs"] = [{"targets": replicas.pop(lookup["names"][0])}]
        hosts = [target for part in job["static_configs"] for target in part["targets"]]
        assert all("127.0.0.1:" in host for host in hosts), f"{job['job_name']}: {hosts} is not on loopback"
    assert not replicas, f"nothing scrapes {sorted(replicas)}"
    return yaml.safe_dump(config)


@contextmanager
def _consumer(port: int) -> Iterator[None]:
    """Somebody who publishes tracks, and who takes them without finishing."""
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
        channel = connection.channel()
        channel.queue_declare("tracks", durable=True)
        for _ in range(20):
            channel.basic_publish("", "tracks", b"track")
        channel.basic_qos(prefetch_count=5)
        channel.basic_consume("tracks", lambda *_: None)
        connection.process_data_events(time_limit=0.5)
        yield


@contextmanager
def _database(folder: Path) -> Iterator[Server]:
    """PostgreSQL with the stack's settings and its own set-up script, and a table that is used."""
    lines = (STACK / "postgres" / "postgresql.conf").read_text().splitlines()
    pairs = [line.split("#")[0].split("=", 1) for line in lines if "=" in line.split("#")[0]]
    settings = {key.strip(): value.strip().strip("'") for key, value in pairs}
    settings.pop("listen_addresses")
    with postgres(folder, *(f"{key}={value}" for key, value in settings.items())) as server:
        client = [found("psql") or "", "-h", "127.0.0.1", "-p", str(server.port), "-U", "tracklists", "-q"]
        env = {**os.environ, "POSTGRES_MONITORING_PASSWORD": _PASSWORD}
        for database, arguments in (
            ("postgres", ["-c", "CREATE DATABASE tracklists"]),
            ("tracklists", ["-v", "ON_ERROR_STOP=1", "-f", STACK / "postgres" / "initdb" / "10-monitoring.sql"]),
            ("tracklists", ["-c", "CREATE TABLE track (id int PRIMARY KEY)"]),
            ("tracklists", ["-c", "INSERT INTO track SELECT generate_series(1, 100)"]),
            ("tracklists", ["-c", "BEGIN", "-c", "INSERT INTO track VALUES (0)", "-c", "ROLLBACK"]),
        ):
            subprocess.run([*client, *map(str, arguments), database], check=True, env=env, timeout=20)
        yield server


@contextmanager
def _cache(folder: Path) -> Iterator[Server]:
    """Redis with the stack's own file, some keys, a hit and a miss."""
    (folder / "redis.conf").write_text((STACK / "redis" / "redis.conf").read_text().replace("dir /data", "dir ."))
    with redis(folder, *_after_file(folder / "redis.conf")) as server:
        for command in ("SET a 1 EX 1000", "SET b 2", "GET a", "GET none"):
            redis_cli(server, *command.split())
        yield server


def _after_file(file: Path) -> list[str]:
    """Redis takes a file only as its first argument; a later ``include`` is read in its place."""
    return ["--include", str(file), "--bind", "127.0.0.1", "--requirepass", _PASSWORD]


def redis_cli(server: Server, *words: str) -> str:
    env = {**os.environ, "REDISCLI_AUTH": _PASSWORD}
    command = [found("redis-cli") or "", "-p", str(server.port), *words]
    return subprocess.run(command, check=True, env=env, capture_output=True, text=True, timeout=20).stdout


def psql(server: Server, query: str) -> str:
    """The answer to the role that Grafana and the exporter use."""
    command = [found("psql") or "", "-h", "127.0.0.1", "-p", str(server.port), "-U", "monitoring", "-At", "-c", query]
    return subprocess.run([*command, "tracklists"], check=True, capture_output=True, text=True, timeout=20).stdout


@contextmanager
def _stand_in(text: str) -> Iterator[str]:
    """An HTTP server that answers every path with ``text``, in which counters grow; gives its address."""
    serve = _growing(text)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = serve().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _growing(text: str) -> Callable[[], str]:
    """Counters and histograms grow by a hundredth of their written value each second."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))
    begin = time.monotonic()

    def line(written: str) -> str:
        name = re.split(r"[{ ]", written, maxsplit=1)[0]
        kind = kinds.get(name) or kinds.get(re.sub(r"_(bucket|sum|count)$", "", name))
        if written.startswith("#") or kind not in ("counter", "histogram"):
            return written
        series, _, value = written.rpartition(" ")
        return f"{series} {float(value) * (1 + (time.monotonic() - begin) / 100)}"

    return lambda: "".join(f"{line(one)}\n" for one in text.splitlines())


def _containers() -> str:
    """What cAdvisor would say of the stack's containers, with the metrics and labels of its entry in the catalogue."""
    entry = json.loads((CATALOGUE / "cadvisor.json").read_text())
    services = yaml.safe_load((STACK / "docker-compose.yml").read_text())["services"]
    values = {"container_spec_memory_limit_bytes": 2e9, "container_memory_working_set_bytes": 5e8}
    lines = []
    for name, metric in entry["metrics"].items():
        if not name.startswith("container_"):
            continue
        lines.append(f"# TYPE {name} {metric['type']}")
        for service in services:
            labels = dict.fromkeys(metric["labels"], "x") | {
                "name": f"tracklists-{service}-1",
                "id": f"/docker/{service}",
                "container_label_com_docker_compose_service": service,
            }
            written = ",".join(f'{label}="{value}"' for label, value in labels.items())
            still = "errors" in name or "dropped" in name or "throttled" in name
            lines.append(f"{name}{{{written}}} {values.get(name, 0 if still else 1000)}")
    return "\n".join(lines) + "\n"
