"""Facts about services and what they may use: products, limits, runtimes, host ports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra_audit.compose import load
from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.products import Image, parse_image, product_of_image
from infra_audit.facts.registry import Fact, Known, Unknown, evaluate
from infra_audit.facts.services import simple_commands


def deployed(folder: Path, text: str) -> Deployment:
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    return load([str(folder / "compose.yaml")])


def service_of(folder: Path, *lines: str, image: str = "example/app:1") -> Subject:
    """One service; each line is a key with its value in YAML's flow style."""
    text = f"services:\n  app:\n    image: {image}\n" + "".join(f"    {line}\n" for line in lines)
    service = deployed(folder, text).service("app")
    assert service is not None
    return service


def value(fact: Fact[Any]) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


# -- images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis", Image("", "redis", "", "")),
        ("redis:7.4", Image("", "redis", "7.4", "")),
        ("team/app@sha256:ab", Image("", "team/app", "", "sha256:ab")),
        ("localhost/app:1", Image("localhost", "app", "1", "")),
        ("registry.example:5000/a/b:1@sha256:ab", Image("registry.example:5000", "a/b", "1", "sha256:ab")),
    ],
)
def test_an_image_in_its_parts(text: str, expected: Image) -> None:
    assert parse_image(text) == expected


@pytest.mark.parametrize(
    ("image", "product"),
    [
        ("redis:7", "redis"),
        ("bitnamilegacy/redis:7", "redis"),
        ("redis/redis-stack-server", "redis"),
        ("valkey/valkey:8", "valkey"),
        ("timescale/timescaledb-ha:pg16", "postgres"),
        ("pgvector/pgvector:pg17", "postgres"),
        ("quay.io/prometheus/prometheus", "prometheus"),
        ("oliver006/redis_exporter", "redis-exporter"),
        ("prometheuscommunity/postgres-exporter", "postgres-exporter"),
        ("bitnami/redis-sentinel", "redis-sentinel"),
        ("mcr.microsoft.com/mssql/server:2022", "mssql"),
        ("opensearchproject/opensearch", "opensearch"),
        ("supabase/postgres-meta", None),
        ("redislabs/redisinsight", "redisinsight"),
        ("example/redis-api", None),
        ("example/server", None),
    ],
)
def test_the_product_of_an_image(image: str, product: str | None) -> None:
    assert product_of_image(parse_image(image)) == product


def test_an_unset_tag_does_not_hide_the_product_but_an_unset_name_does(tmp_path: Path) -> None:
    assert value(evaluate(service_of(tmp_path, image="redis:${NOT_SET}"), "service.product")) == "redis"
    assert isinstance(evaluate(service_of(tmp_path, image="${NOT_SET}:7"), "service.product"), Unknown)


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["command: redis-server --port 1"], [["redis-server", "--port", "1"]]),
        (['entrypoint: ["sh", "-c"]', 'command: ["exec a b && c"]'], [["a", "b"], ["c"]]),
        (['command: ["/bin/bash", "-lc", "X=1 a --b \'c d\'"]'], [["a", "--b", "c d"]]),
        (['command: ["psql", "-c", "select 1; select 2"]'], [["psql", "-c", "select 1; select 2"]]),
        ([], []),
    ],
)
def test_the_commands_that_a_service_runs(tmp_path: Path, lines: list[str], expected: list[list[str]]) -> None:
    service = service_of(tmp_path, *lines)
    assert [[word.text for word in words] for words in simple_commands(service)] == expected


def test_a_word_of_a_script_has_its_own_place(tmp_path: Path) -> None:
    service = service_of(tmp_path, 'command: ["sh", "-c", "exec java -Xmx4g -jar a.jar"]', "mem_limit: 1g")
    [item] = value(evaluate(service, "service.runtime_memory_above_limit"))
    assert item.because[0].span.text == "-Xmx4g"


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "lines", "expected"),
    [
        ("service.cpu_limit", ["cpus: 1.5"], 1.5),
        ("service.cpu_limit", ["cpu_quota: 150000"], 1.5),
        ("service.cpu_limit", ["cpu_quota: 5000", "cpu_period: 10000"], 0.5),
        ("service.cpu_limit", ["cpu_quota: -1"], None),
        ("service.cpu_limit", ['deploy: {resources: {limits: {cpus: "0.50"}}}'], 0.5),
        ("service.memory_limit", ["mem_limit: 1g"], 1024**3),
        ("service.memory_limit", ["deploy: {resources: {limits: {memory: 512M}}}"], 512 * 1024**2),
        ("service.memory_limit", ["mem_limit: -1"], None),
        ("service.memory_limit", [], None),
        ("service.pids_limit", ["deploy: {resources: {limits: {pids: 10}}}"], 10),
        ("service.nofile_limit", ["ulimits: {nofile: {soft: 10, hard: 20}}"], 10),
        ("service.nofile_limit", ["ulimits: {nofile: 30}"], 30),
        ("service.replicas", ["scale: 3"], 3),
        ("service.replicas", ["deploy: {replicas: 0}"], 0),
        ("service.replicas", [], 1),
    ],
)
def test_a_bound_however_it_is_written(tmp_path: Path, fact: str, lines: list[str], expected: float | None) -> None:
    assert value(evaluate(service_of(tmp_path, *lines), fact)) == expected


def test_a_limit_in_an_unset_variable_is_unknown(tmp_path: Path) -> None:
    assert isinstance(evaluate(service_of(tmp_path, "mem_limit: ${NOT_SET}"), "service.memory_limit"), Unknown)


@pytest.mark.parametrize(
    ("lines", "restart"),
    [
        ([], True),
        (["restart: unless-stopped"], True),
        (['restart: "no"'], False),
        (["deploy: {restart_policy: {condition: none}}"], False),
        (["command: sleep infinity"], False),
        (["command: sleep infinity", "restart: always"], True),
        (["command: sleep 600"], False),
        (["command: cat /target"], False),
        (['command: sh -c "sleep 3; curl -X PUT http://search:9200/tracks"'], False),
        (["entrypoint: /bin/sh", 'command: ["-c", "sleep 3; ollama pull llama3.2"]'], False),
        (['command: sh -c "mkdir -p /data && exec server"'], True),
        (['command: sh -c "while true; do curl http://web/; done"'], True),
    ],
)
def test_which_service_keeps_running(tmp_path: Path, lines: list[str], restart: bool) -> None:
    assert value(evaluate(service_of(tmp_path, *lines), "service.long_running")) is restart


# -- runtimes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("environment: {JAVA_OPTS: -Xmx2g}", 1),
        ("environment: {JAVA_OPTS: -Xmx2g -Xmx512m}", 0),
        ("environment: {X_OPTS: -Xmx1g}", 0),
        ("environment: {JAVA_TOOL_OPTIONS: '-XX:MaxHeapSize=2g'}", 1),
        ("environment: {NODE_OPTIONS: --max-old-space-size=2048}", 1),
        ("environment: {NODE_OPTIONS: --max-old-space-size=900}", 0),
        ("environment: {GOMEMLIMIT: 1500MiB}", 1),
        ('environment: {GOMEMLIMIT: "off"}', 0),
        ("command: node --max_old_space_size=4096 a.js", 1),
        ("command: postgres -c shared_buffers=2GB", 1),
        ("command: postgres -c 'shared_buffers = 262145'", 1),
        ("command: postgres -c shared_buffers=131072", 0),
        ("command: mysqld --innodb-buffer-pool-size=2G", 1),
        ("command: mongod --wiredTigerCacheSizeGB 1.5", 1),
        ("command: echo -Xmx2gb", 0),
    ],
)
def test_a_runtime_that_may_take_more_than_one_gib(tmp_path: Path, line: str, count: int) -> None:
    service = service_of(tmp_path, line, "mem_limit: 1g")
    assert len(value(evaluate(service, "service.runtime_memory_above_limit"))) == count


def test_a_heap_in_an_unset_variable_is_undecided(tmp_path: Path) -> None:
    service = service_of(tmp_path, 'environment: {JAVA_OPTS: "-Xmx${NOT_SET}"}', "mem_limit: 1g")
    [item] = value(evaluate(service, "service.runtime_memory_above_limit"))
    assert item.unknown
    assert "NOT_SET" in item.text


# -- host ports -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "conflicts"),
    [
        ("80:80", "80:80", 1),
        ("80:80", "80:80/udp", 0),
        ("127.0.0.1:80:80", "80:80", 1),
        ("127.0.0.1:80:80", "0.0.0.0:80:80", 1),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", 0),
        ("[::]:80:80", "0.0.0.0:80:80", 0),
        ("[::1]:80:80", "[::]:80:80", 1),
        ("80-82:80-82", "81:81", 1),
        ("80-82:80", "81:81", 0),
        ("80-81:80", "80-81:80-81", 1),
        ("80", "80:80", 0),
        ("${NOT_SET}:80", "80:80", 0),
    ],
)
def test_which_ports_clash(tmp_path: Path, one: str, other: str, conflicts: int) -> None:
    text = f'services:\n  a: {{image: a, ports: ["{one}"]}}\n  b: {{image: b, ports: ["{other}"]}}\n'
    items = value(evaluate(deployed(tmp_path, text).root, "deployment.port_conflicts"))
    assert len([item for item in items if not item.unknown]) == conflicts


@pytest.mark.parametrize(
    ("first", "second", "conflicts"),
    [("[]", "[]", 1), ("[x]", "[]", 1), ("[x]", "[y]", 0), ("[x, y]", "[y, z]", 1)],
)
def test_ports_clash_only_where_services_run_together(tmp_path: Path, first: str, second: str, conflicts: int) -> None:
    text = (
        f'services:\n  a: {{image: a, profiles: {first}, ports: ["80:80"]}}\n'
        f'  b: {{image: b, profiles: {second}, ports: ["80:80"]}}\n'
    )
    assert len(value(evaluate(deployed(tmp_path, text).root, "deployment.port_conflicts"))) == conflicts


def test_a_deployment_for_swarm_is_known_by_its_networks(tmp_path: Path) -> None:
    text = "services: {a: {image: a}}\nnetworks: {n: {driver: overlay}}\n"
    assert value(evaluate(deployed(tmp_path, text).root, "deployment.for_swarm")) is True
    assert (
        value(evaluate(service_of(tmp_path, "deploy: {replicas: 2}").deployment.root, "deployment.for_swarm")) is False
    )
