"""Plans: which service fills which role, what the plan says about a subject, and when it counts."""

from __future__ import annotations

from typing import Any

import pytest

from infra_audit.deployment import Subject
from infra_audit.engine.policies import shipped
from infra_audit.errors import ConfigError
from infra_audit.plan import MISSING, Bound, Plan, PlanBinding, bind
from tests.trees import deployment

TREE = """
    services:
      cache:
        image: docker.io/library/redis:7.4
        ports: [{target: 6379}]
      scraper-mixes:
        image: registry.example/acme/scraper:1
      job:
        image: acme/other@sha256:0123
        labels: {com.example.role: worker}
    networks:
      backend: {}
      frontend: {}
"""
PLAN: dict[str, Any] = {
    "plan": "demo",
    "target": {"throughput": 20000, "unit": "tracks/hour"},
    "roles": {
        "redis": {
            "match": {"product": ["redis", "valkey"]},
            "cpus": 2,
            "memory": "2GiB",
            "replicas": {"exactly": 1},
            "networks": ["backend"],
            "settings": {"maxclients": 10000, "vm_memory_high_watermark.relative": 0.4},
            "health": {"interval": "30s"},
        },
        "scraper": {"match": {"service": "scraper-*"}, "stage": {"order": 1, "rate": 5000}},
        "worker": {"match": {"label": {"com.example.role": "worker"}}},
        "proxy": {"match": {"image": "nginx"}},
    },
    "networks": {"backend": {"subnet": "172.28.0.0/16", "mtu": 1500}},
    "budget": {"cpus": 26},
}


def product_of(service: Subject) -> str | None:
    return "redis" if "redis" in str(service.node.get("image") and service.node.value["image"].value) else None


def binding(plan: dict[str, Any] = PLAN, *, adopted: bool | None = True, tree: str = TREE) -> PlanBinding:
    return bind(Plan.of(plan), deployment(tree), product_of, adopted=adopted)


def role_of(match: dict[str, Any], service: str, **more: Any) -> str | None:
    made = binding({"plan": "p", "roles": {"wanted": {"match": match}, **more}})
    role = made.filled.get(service)
    return role.name if role else None


@pytest.mark.parametrize(
    ("match", "service"),
    [
        ({"product": "redis"}, "cache"),
        ({"service": "ca*"}, "cache"),
        ({"image": "redis"}, "cache"),
        ({"image": "redis:7*"}, "cache"),
        ({"image": "*/acme/scraper"}, "scraper-mixes"),
        ({"image": "acme/other"}, "job"),
        ({"label": "com.example.role=worker"}, "job"),
        ({"label": "com.example.role"}, "job"),
        ({"label": ["x", "com.example.role"]}, "job"),
    ],
)
def test_a_role_finds_its_service(match: dict[str, Any], service: str) -> None:
    assert role_of(match, service) == "wanted"
    others = {"cache", "scraper-mixes", "job"} - {service}
    assert {role_of(match, other) for other in others} == {None}


@pytest.mark.parametrize("match", [{"label": "com.example.role=api"}, {"image": "scrap"}, {"service": "cach"}])
def test_what_does_not_match_fills_no_role(match: dict[str, Any]) -> None:
    assert {role_of(match, service) for service in ("cache", "scraper-mixes", "job")} == {None}


def test_a_role_without_match_is_filled_by_the_service_of_its_name() -> None:
    assert binding({"plan": "p", "roles": {"cache": {"cpus": 1}}}).services("cache") == ("cache",)


def test_labels_come_before_names_before_images_before_products() -> None:
    matches = [
        ("by product", {"product": "redis"}),
        ("by image", {"image": "redis"}),
        ("by name", {"service": "cache"}),
    ]
    while len(matches) > 1:
        roles = {name: {"match": match} for name, match in matches}
        assert binding({"plan": "p", "roles": roles}).filled["cache"].name == matches[-1][0]
        matches.pop()
    labelled = {"name": {"match": {"service": "job"}}, "label": {"match": {"label": "com.example.role"}}}
    assert binding({"plan": "p", "roles": labelled}).filled["job"].name == "label"


def test_what_the_plan_says_about_a_subject() -> None:
    made = deployment(TREE)
    bound = bind(Plan.of(PLAN), made, product_of, adopted=True)
    cache, scraper, job = made.subjects("service")
    assert bound.lookup(cache, "memory") == "2GiB"
    assert bound.lookup(cache, "health.interval") == "30s"
    assert bound.lookup(cache, "settings.vm_memory_high_watermark.relative") == 0.4
    assert bound.bound(cache, "cpus") == Bound(2)
    assert bound.bound(cache, "replicas") == Bound(1, exactly=True)
    assert bound.lookup(cache, "health.path") is MISSING
    assert bound.lookup(scraper, "memory") is MISSING
    assert bound.lookup(job, "memory") is MISSING
    assert bound.lookup(made.subjects("port")[0], "memory") == "2GiB"
    assert bound.lookup(made.root, "budget.cpus") == 26
    assert [bound.lookup(network, "mtu") for network in made.subjects("network")] == [1500, MISSING]


def test_a_role_reads_its_numbers() -> None:
    role = Plan.of(PLAN).roles["redis"]
    assert (role.cpus, role.memory, role.replicas, role.networks) == (2.0, 2 * 1024**3, 1, ("backend",))
    assert role.settings["maxclients"] == 10000
    assert role.health == {"interval": "30s"}
    assert role.stage is None
    network = Plan.of(PLAN).networks["backend"]
    assert (network.subnet, network.mtu) == ("172.28.0.0/16", 1500)


def test_half_of_the_roles_adopt_a_plan() -> None:
    roles = {name: {} for name in ("cache", "job", "one", "two", "three")}
    plan = {"plan": "p", "roles": roles}
    assert binding(plan, adopted=None).adopted is False
    del roles["three"]
    assert binding(plan, adopted=None).adopted is True
    assert binding({"plan": "p"}, adopted=None).adopted is False


def test_the_report_says_why_a_plan_counts() -> None:
    assert binding(adopted=True).why == "judged against plan demo: 3 of 4 roles found"
    assert binding(adopted=None).why == "judged against plan demo: 3 of 4 roles found; --plan none to leave it out"
    few = {"plan": "p", "roles": {name: {} for name in ("cache", "one", "two")}}
    assert binding(few, adopted=None).why == (
        "compared with plan p for 1 of 3 roles, as information; --plan p to judge against it"
    )
    assert binding({"plan": "p", "roles": {"one": {}}}, adopted=None).why == ""


def test_missing_roles_count_only_when_the_plan_is_adopted() -> None:
    assert [role.name for role in binding().missing_roles()] == ["proxy"]
    assert binding(adopted=False).missing_roles() == []
    assert [role.name for role in binding().found_roles()] == ["redis", "scraper", "worker"]


def test_a_plan_that_is_not_adopted_says_nothing_about_the_whole() -> None:
    made = deployment(TREE)
    bound = bind(Plan.of(PLAN), made, product_of, adopted=False)
    assert bound.lookup(made.root, "budget.cpus") is MISSING
    assert bound.lookup(made.subjects("service")[0], "cpus") == 2


def test_a_plan_needs_a_name() -> None:
    with pytest.raises(ConfigError):
        Plan.of({"roles": {}})


def test_the_shipped_plans_are_valid() -> None:
    from infra_audit.engine.documents import read_plan

    for plan in shipped().plans.values():
        assert read_plan(plan.file).values == plan.values
