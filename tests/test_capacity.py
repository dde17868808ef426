"""Capacity: sums by layer, lower bounds that say so, and stages that do not multiply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, infra_audit

STACK = ("-f", ROOT / "stack" / "docker-compose.yml", "-f", ROOT / "stack" / "docker-compose.prod.yml")
GIB = 1024**3

PLAN = """\
plan: mill
target: {throughput: 100, unit: sacks/hour}
budget: {cpus: 4, memory: 2GiB}
roles:
  grind: {stage: {order: 1, rate: 10}}
  sift: {stage: {order: 2, rate: 40}}
"""
COMPOSE = """\
services:
  grind:
    image: example/grind:1
    deploy: {replicas: 4, resources: {limits: {cpus: "1.5", memory: 1G}, reservations: {memory: 256M}}}
  sift:
    image: example/sift:1
    scale: 4
    mem_limit: ${SIFT_MEMORY}
  store:
    image: postgres:17.2
    cpus: 2
    mem_limit: 4g
  migrate:
    image: flyway/flyway:10
    restart: "no"
    mem_limit: 8g
"""


def capacity(folder: Path, *args: str | Path) -> dict[str, Any]:
    ran = infra_audit("capacity", "--format", "json", *args, cwd=folder)
    assert ran.code == 0, ran.err
    data: dict[str, Any] = json.loads(ran.out)
    return data


@pytest.fixture
def mill(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def test_limits_and_reservations_are_multiplied_by_replicas(mill: Path) -> None:
    data = capacity(mill, "--plan", "plan.yaml")
    by_name = {one["service"]: one for one in data["services"]}
    assert by_name["grind"]["total"] == {
        "cpus": 6,
        "reserved_cpus": None,
        "memory": 4 * GIB,
        "reserved_memory": GIB,
    }
    assert {name: one["layer"] for name, one in by_name.items()} == {
        "grind": "processing",
        "sift": "processing",
        "store": "data",
    }
    assert data["total"] == {"cpus": 8, "reserved_cpus": None, "memory": 8 * GIB, "reserved_memory": GIB}
    assert data["layers"]["data"]["memory"] == 4 * GIB


def test_what_is_not_in_a_total_is_named(mill: Path) -> None:
    data = capacity(mill)
    assert data["missing"] == ["sift: no CPU limit", "sift: memory limit: SIFT_MEMORY is not set"]
    assert data["run_to_completion"] == ["migrate"]
    text = infra_audit("capacity", cwd=mill).out
    assert "Totals are lower bounds. Not in them: sift: no CPU limit; sift: memory limit: SIFT_MEMORY" in text


def test_stages_do_not_multiply(mill: Path) -> None:
    """4 × 4 replicas are 16 combinations; what they carry is what the slower stage carries."""
    pipeline = capacity(mill, "--plan", "plan.yaml")["pipeline"]
    assert (pipeline["replicas_multiplied"], pipeline["throughput"], pipeline["of_one_replica_each"]) == (16, 40, 10)
    assert [(stage["rate"], stage["slowest"]) for stage in pipeline["stages"]] == [(40, True), (160, False)]
    text = " ".join(infra_audit("capacity", "--plan", "plan.yaml", cwd=mill).out.split())
    assert "carries 40 sacks/hour: the slowest stage decides" in text
    assert "the target of 100 sacks/hour takes 10 × grind" in text
    assert "4 × 4 replicas are 16 combinations, not a 16-fold throughput" in text
    assert "4 times that of one replica each (10 sacks/hour)" in text


def test_budget_and_host_are_compared_with(mill: Path) -> None:
    args = ("--plan", "plan.yaml", "--host-cpus", "16", "--host-memory", "8GiB")
    data = capacity(mill, *args)
    assert data["budget"] == {"cpus": 4, "memory": 2 * GIB}
    assert data["host"] == {"cpus": 16, "memory": 8 * GIB}
    text = infra_audit("capacity", *args, cwd=mill).out
    assert "200 % ✗" in text
    assert "50 %" in text


def test_the_documented_sums_of_the_reference_stack(tmp_path: Path) -> None:
    """The document's own arithmetic: ~26 cores for the named services, 16-fold capacity from 4 × 4 replicas."""
    data = capacity(tmp_path, *STACK)
    named = ("postgres", "redis", "rabbitmq", "data-transformer", "scraper-1001tracklists", "rest-api")
    assert sum(one["total"]["cpus"] for one in data["services"] if one["service"] in named) == 26.5
    assert data["pipeline"]["replicas_multiplied"] == 16
    assert data["pipeline"]["throughput"] / data["pipeline"]["of_one_replica_each"] == 4
    assert data["missing"] == []


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_table_fits_and_an_empty_deployment_has_one(tmp_path: Path, width: int) -> None:
    text = infra_audit("capacity", *STACK, "--host-cpus", "32", "--width", width, cwd=tmp_path).out
    assert all(len(line) <= width for line in text.splitlines())
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    assert infra_audit("capacity", cwd=tmp_path).code == 0


def test_pools_are_compared_with_what_the_database_offers(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  db: {image: 'postgres:17.2', command: postgres -c max_connections=50}\n"
        "  api:\n"
        "    image: example/api:1\n"
        "    scale: 4\n"
        "    environment: {DATABASE_URL: 'postgres://shop@db/shop', DB_POOL_SIZE: 10, DB_MAX_OVERFLOW: 5}\n"
    )
    [one] = capacity(tmp_path)["connections"]
    assert one == {"server": "db", "wanted": 60, "offered": 47, "pools": ["api: 15 × 4 = 60"]}
    text = infra_audit("capacity", cwd=tmp_path).out
    assert "128 % ✗" in text
    assert "api: 15 × 4 = 60" in text


def test_a_wrong_host_is_one_clear_line(mill: Path) -> None:
    ran = infra_audit("capacity", "--host-memory", "64Gi", cwd=mill)
    assert (ran.code, ran.err) == (2, "infra-audit: --host-memory: '64Gi' is no size such as 64GiB\n")
    assert infra_audit("capacity", "--host-cpus", "0", cwd=mill).code == 2
