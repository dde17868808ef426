"""The reference stack: real Docker Compose accepts it, and it says what its plan and its documentation say."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra_audit.plan import Bound, Plan
from infra_audit.units import parse_bytes
from tests.command import ROOT
from tests.fixtures import STACK
from tests.oracle import ENVIRONMENT, binary

PRODUCTION = ("docker-compose.yml", "docker-compose.prod.yml")
DEVELOPMENT = ("docker-compose.yml", "docker-compose.dev.yml")
STATELESS = ("scraper-1001tracklists", "data-transformer", "rest-api")


def template(name: str) -> dict[str, str]:
    lines = (STACK / name).read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {key: value for key, _, value in pairs}


def config(
    files: tuple[str, ...], variables: dict[str, str], env_file: str | Path = os.devnull
) -> subprocess.CompletedProcess[str]:
    """What the real Docker Compose makes of files; variables and env file are all it sees."""
    arguments = [part for file in files for part in ("-f", file)]
    return subprocess.run(
        [binary(), *arguments, "--env-file", str(env_file), "config", "--format", "json"],
        cwd=STACK,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def filled(name: str) -> dict[str, str]:
    return {key: value or f"test-{key.lower()}" for key, value in template(name).items()}


@cache
def merged(files: tuple[str, ...], name: str) -> dict[str, Any]:
    done = config(files, filled(name))
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def production() -> dict[str, Any]:
    return merged(PRODUCTION, ".env.production")


def development() -> dict[str, Any]:
    return merged(DEVELOPMENT, ".env.development")


def plan() -> Plan:
    return Plan.of(yaml.safe_load((ROOT / "policies/plans/reference.yaml").read_text()))


@pytest.mark.parametrize("load", [production, development])
def test_compose_accepts_the_deployment(load: Any) -> None:
    assert len(load()["services"]) == 17


@pytest.mark.parametrize("files", [PRODUCTION, DEVELOPMENT], ids=["production", "development"])
@pytest.mark.parametrize("name", [".env.production", ".env.development"])
def test_compose_accepts_every_filled_in_template(files: tuple[str, ...], name: str, tmp_path: Path) -> None:
    text = (STACK / name).read_text()
    (tmp_path / "env").write_text(re.sub(r"(?m)^(\w+)=$", r"\1=0123456789abcdef", text))
    done = config(files, {}, tmp_path / "env")
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr


def test_compose_refuses_the_template_of_production_as_it_is() -> None:
    done = config(PRODUCTION, {}, STACK / ".env.production")
    assert done.returncode != 0
    assert "is missing a value" in done.stderr


def test_development_asks_for_nothing() -> None:
    assert config(DEVELOPMENT, {}, STACK / ".env.development").returncode == 0


@pytest.mark.parametrize("variable", template(".env.production"))
def test_production_refuses_to_start_without(variable: str) -> None:
    done = config(PRODUCTION, {**filled(".env.production"), variable: ""})
    assert done.returncode != 0
    assert f"required variable {variable} is missing a value" in done.stderr


def test_the_production_template_holds_no_secret() -> None:
    secrets = [key for key in template(".env.production") if key.endswith("PASSWORD")]
    assert len(secrets) == 5
    assert not any(template(".env.production")[key] for key in secrets)


def test_the_templates_declare_what_the_files_use() -> None:
    text = "".join(path.read_text() for path in STACK.glob("docker-compose*.yml"))
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(template(".env.production")) == set(template(".env.development"))


def test_every_mounted_file_exists() -> None:
    for load in (production, development):
        for name, service in load()["services"].items():
            for mount in service.get("volumes", ()):
                if mount["type"] == "bind" and mount["source"].startswith(str(STACK)):
                    assert os.path.exists(mount["source"]), (name, mount["source"])
                    assert mount["read_only"], (name, mount["source"])


def test_the_gateway_asks_the_dns_for_each_request() -> None:
    """So it starts before any replica does, and follows when they come and go."""
    written = (STACK / "nginx/nginx.conf").read_text()
    assert re.search(r"^\s*resolver 127\.0\.0\.11 valid=\d+s", written, re.MULTILINE)
    assert "upstream {" not in written
    assert all(target.startswith("$") for target in re.findall(r"proxy_pass (\S+);", written))


@pytest.mark.parametrize("name", STATELESS)
def test_a_replicated_service_can_run_replicated(name: str) -> None:
    service = production()["services"][name]
    assert "container_name" not in service
    assert "ports" not in service
    assert "volumes" not in service
    assert service["deploy"]["update_config"]["order"] == "start-first"
    assert service["stop_grace_period"]


@pytest.mark.parametrize("role", plan().roles.values(), ids=lambda role: role.name)
def test_production_is_what_the_plan_says(role: Any) -> None:
    service = production()["services"][role.name]
    limits = service["deploy"]["resources"]["limits"]
    assert role.cpus in (None, limits["cpus"])
    assert role.memory in (None, int(limits["memory"]))
    assert role.replicas in (None, service["deploy"].get("replicas", 1))
    assert set(role.networks) == set(service["networks"])
    assert service["healthcheck"]["interval"] == role.health["interval"]
    assert service["healthcheck"]["timeout"] == role.health["timeout"]
    published = [int(port["published"]) for port in service.get("ports", ())]
    assert published == role.values.get("published", [])
    environment = service.get("environment", {})
    if role.stage:
        assert f"http://127.0.0.1:8000{role.health['path']}" in service["healthcheck"]["test"]
    for key, bound in role.values.get("environment", {}).items():
        assert float(environment[key]) == Bound.of(bound).value


def test_the_plan_knows_every_service() -> None:
    assert set(plan().roles) == set(production()["services"])


def test_networks_are_what_the_plan_says() -> None:
    networks = production()["networks"]
    assert set(networks) == set(plan().networks)
    for name, planned in plan().networks.items():
        assert [part["subnet"] for part in networks[name]["ipam"]["config"]] == [planned.subnet]
        assert networks[name]["driver_opts"]["com.docker.network.driver.mtu"] == str(planned.mtu)


def test_limits_and_one_replica_more_make_the_budget() -> None:
    cpus = memory = 0.0
    for service in production()["services"].values():
        limits = service["deploy"]["resources"]["limits"]
        cpus += limits["cpus"] * service["deploy"].get("replicas", 1)
        memory += int(limits["memory"]) * service["deploy"].get("replicas", 1)
    assert cpus + 2 == plan().budget["cpus"]
    assert memory + 2 * 1024**3 == parse_bytes(plan().budget["memory"])


def test_the_planned_stages_reach_the_target() -> None:
    rates = [role.replicas * role.stage["rate"] for role in plan().roles.values() if role.replicas and role.stage]
    assert min(rates) == plan().target["throughput"]


def test_administration_is_published_on_loopback_only() -> None:
    everything = {
        (name, port["published"]): port.get("host_ip")
        for load in (production, development)
        for name, service in load()["services"].items()
        for port in service.get("ports", ())
        if (load, name) != (production, "api-gateway")
    }
    assert set(everything.values()) == {"127.0.0.1"}


@pytest.mark.parametrize(("load", "limit"), [(production, 200), (development, 50)])
def test_database_connections_suffice_for_an_update(load: Any, limit: int) -> None:
    services = load()["services"]
    pools = []
    for name in STATELESS:
        environment = services[name]["environment"]
        if "DB_POOL_SIZE" in environment:
            size = int(environment["DB_POOL_SIZE"]) + int(environment["DB_MAX_OVERFLOW"])
            pools.append((size, services[name]["deploy"].get("replicas", 1)))
    exporter, superusers = 5, 3
    needed = sum(size * replicas for size, replicas in pools) + max(size for size, _ in pools)
    assert needed + exporter + superusers <= limit
    settings = (STACK / "postgres/postgresql.conf").read_text() + " ".join(services["postgres"]["command"])
    assert re.findall(r"max_connections ?= ?(\d+)", settings)[-1] == str(limit)


@pytest.mark.parametrize("load", [production, development])
def test_postgres_fits_into_its_container(load: Any) -> None:
    service = load()["services"]["postgres"]
    limit = int(service["deploy"]["resources"]["limits"]["memory"])
    written = (STACK / "postgres/postgresql.conf").read_text() + " ".join(service["command"])
    settings = {name: parse_bytes(size) or 0 for name, size in re.findall(r"(\w+) ?= ?(\d+[MG]B)", written)}
    assert settings["shared_buffers"] <= 0.4 * limit
    assert settings["effective_cache_size"] <= limit
    connections = int(re.findall(r"max_connections ?= ?(\d+)", written)[-1])
    most = settings["shared_buffers"] + connections * settings["work_mem"] + 3 * settings["maintenance_work_mem"]
    assert most <= 2 / 3 * limit
    assert int(service["shm_size"]) > 64 * 1024**2


def test_redis_can_open_a_file_descriptor_for_each_client() -> None:
    written = (STACK / "redis/redis.conf").read_text()
    maxclients = int(re.findall(r"^maxclients (\d+)$", written, re.MULTILINE)[0])
    assert production()["services"]["redis"]["ulimits"]["nofile"]["soft"] >= maxclients + 32


@pytest.mark.parametrize("load", [production, development])
def test_redis_leaves_a_fifth_of_its_container_free(load: Any) -> None:
    service = load()["services"]["redis"]
    settings = (STACK / "redis/redis.conf").read_text() + " ".join(service["command"])
    maxmemory = parse_bytes(re.findall(r"maxmemory (\d+mb)", settings)[-1])
    assert maxmemory is not None
    assert maxmemory <= 0.8 * int(service["deploy"]["resources"]["limits"]["memory"])


@pytest.mark.parametrize(("load", "file"), [(production, "rabbitmq.conf"), (development, "rabbitmq.development.conf")])
def test_rabbitmq_stops_publishers_before_its_container_is_full(load: Any, file: str) -> None:
    written = (STACK / "rabbitmq" / file).read_text()
    watermark = parse_bytes(re.findall(r"^vm_memory_high_watermark.absolute = (\S+)$", written, re.MULTILINE)[0])
    assert watermark is not None
    assert watermark <= 0.7 * int(load()["services"]["rabbitmq"]["deploy"]["resources"]["limits"]["memory"])
