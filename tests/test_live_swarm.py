"""A Swarm of one node: what its manager wants to run, and what runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import infra_audit
from tests.lab.engine import Engine
from tests.lab.fixtures import why_no_lab
from tests.lab.images import load_images
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("lab")

IMAGE = "registry.example.com/shop:1"
STACK = "com.docker.stack.namespace="


@pytest.fixture(scope="module")
def swarm() -> Iterator[Engine]:
    why = why_no_lab()
    if why:
        pytest.skip(why)
    with Engine() as engine:
        load_images(engine, [IMAGE])
        engine.docker("swarm", "init", "--advertise-addr=127.0.0.1")
        start(engine, "api", "--replicas=2", command=("sleep", "600"))
        start(engine, "agent", "--mode=global", command=("sleep", "600"))
        start(engine, "once", "--restart-condition=none", command=("true",))
        start(engine, "broken", "--replicas=2", "--restart-delay=1h", command=("false",))
        start(engine, "homeless", "--constraint=node.labels.disk==fast", command=("sleep", "600"))
        until(lambda: states(engine, "api") == ["Running"] * 2 and states(engine, "agent") == ["Running"])
        until(lambda: states(engine, "once") == ["Complete"] and states(engine, "broken").count("Failed") == 2)
        yield engine


def start(engine: Engine, name: str, *options: str, command: tuple[str, ...], stack: str = "shop") -> None:
    labels = [f"--{of}={STACK}{stack}" for of in ("label", "container-label")]
    common = ("--detach", "--no-resolve-image", f"--name={stack}_{name}", *labels)
    engine.docker("service", "create", *common, *options, IMAGE, *command)


def states(engine: Engine, name: str, stack: str = "shop") -> list[str]:
    told = engine.docker("service", "ps", "--format={{.CurrentState}}", f"{stack}_{name}").stdout.decode()
    return [line.split()[0] for line in told.splitlines()]


def tasks_of(*args: str | Path, stack: str = "shop") -> tuple[dict[str, str], list[str]]:
    """Service → message of ``swarm-tasks``, and its gaps."""
    ran = infra_audit("live", "--format", "json", "-p", stack, *args)
    assert ran.out, ran.err
    report: dict[str, Any] = json.loads(ran.out)
    found = {one["subject"]["name"]: one["message"] for one in report["findings"] if one["policy"] == "swarm-tasks"}
    return found, [gap["why"] for gap in report["gaps"] if gap["policy"] == "swarm-tasks"]


def test_services_that_lack_tasks_are_found_live_and_in_a_snapshot(swarm: Engine, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    found, gaps = tasks_of("--host", swarm.host, "--save", path)
    assert gaps == []
    assert set(found) == {"broken", "homeless"}
    assert found["broken"] == "broken: 0 of 2 tasks run: the last one is failed (task: non-zero exit (1))"
    assert found["homeless"].startswith("homeless: 0 of 1 tasks run: the last one is pending (no suitable node")
    assert tasks_of("--replay", path) == (found, [])


def test_tasks_that_the_manager_does_not_tell_are_a_gap(swarm: Engine, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    tasks_of("--host", swarm.host, "--save", path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"tasks": None}))
    of_refused = tasks_of("--replay", path)
    data["engine"]["Swarm"]["ControlAvailable"] = False
    path.write_text(json.dumps(data | {"tasks": [], "services": []}))
    for found, gaps in (of_refused, tasks_of("--replay", path)):
        assert found == {}
        assert len(gaps) == 1


def test_a_stack_without_a_container_on_the_manager_is_found_by_its_services(swarm: Engine, tmp_path: Path) -> None:
    start(swarm, "far", "--constraint=node.labels.disk==fast", command=("sleep", "600"), stack="island")
    until(lambda: states(swarm, "far", "island") == ["Pending"])
    path = tmp_path / "snapshot.json"
    try:
        found, gaps = tasks_of("--host", swarm.host, "--save", path, stack="island")
        several = infra_audit("live", "--host", swarm.host)
    finally:
        swarm.docker("service", "rm", "island_far")
    assert gaps == []
    assert found["far"].startswith("far: 0 of 1 tasks run: the last one is pending")
    assert "the engine has several projects (island, shop)" in several.err
    data = json.loads(path.read_text())
    [service] = [one["ID"] for one in data["services"] if one["Spec"]["Name"] == "island_far"]
    [task] = [one for one in data["tasks"] if one["ServiceID"] == service]
    task["Status"]["State"] = "running"  # on a second node, as the manager would tell it
    path.write_text(json.dumps(data))
    assert tasks_of("--replay", path, stack="island") == (
        {},
        ["its containers are on other nodes: only their number is known here"],
    )


def test_a_subnet_that_another_network_of_the_engine_has(swarm: Engine) -> None:
    """The engine refuses a second bridge on a subnet, and takes one whose other network is for all nodes."""
    subnet = "--subnet=172.30.0.0/24"
    swarm.docker("network", "create", subnet, f"--label={STACK}shop", "shop_quay")
    swarm.docker("network", "create", "--driver=overlay", "--subnet=172.30.0.0/16", "elsewhere")
    try:
        ran = infra_audit("live", "--host", swarm.host, "--format=json", "-p", "shop", "--policy=subnet-overlap-host")
    finally:
        swarm.docker("network", "rm", "shop_quay", "elsewhere")
    [found] = json.loads(ran.out)["findings"]
    assert (found["policy"], found["subject"]["name"]) == ("subnet-overlap-host", "quay")
    assert found["value"] == "172.30.0.0/24 overlaps 172.30.0.0/16 of elsewhere"
