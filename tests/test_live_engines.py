"""Engines of other releases: what they say otherwise, and which version of the API is spoken with them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, Ran, environment, infra_audit
from tests.lab.broken import engine_at, relay
from tests.lab.engine import Engine, why_no_engine
from tests.lab.fixtures import active
from tests.lab.small import IMAGE, Small, small

__all__ = ["small"]

in_lab = pytest.mark.xdist_group("small")

NEWER = ROOT / "build" / "lab" / "engine-trixie"
APP = f"""
services:
  app:
    image: {IMAGE}
    command: sleep 1000
    init: true
    environment: {{LEVEL: loud, API_TOKEN: planted-token-0815}}
    networks: {{back: {{aliases: [door]}}}}
    volumes: ["data:/data", "./:/here:ro"]
    healthcheck: {{test: [CMD, sleep, "0"], interval: 1h}}
    deploy: {{replicas: 2, resources: {{limits: {{cpus: "0.5", memory: 64M}}}}}}
networks:
  back:
    driver_opts: {{com.docker.network.driver.mtu: "1400"}}
    ipam: {{config: [{{subnet: 10.77.0.0/24}}]}}
volumes: {{data: {{}}}}
"""


@pytest.fixture(scope="module")
def newer() -> Iterator[Small]:
    why = why_no_engine() or ("" if NEWER.is_dir() else "no newer engine is here (tests/provision.sh brings it)")
    if why:
        pytest.skip(why)
    with Engine(NEWER) as engine:
        yield Small(engine)


def looked(engine: Small, folder: Path, *args: str) -> dict[str, Any]:
    """The report of ``live`` on the engine's host, probes included."""
    command = [sys.executable, "-m", "infra_audit", "live", "--format", "json", *args]
    done = subprocess.run(
        engine.engine.inside(*command, cwd=folder),
        env=environment(DOCKER_HOST=engine.engine.host, DOCKER_CONFIG=str(engine.engine.folder)),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def gaps(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(gap["policy"], gap["subject"]["name"]) for gap in report["gaps"]}


def drift(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {one for one in active(report) if one[0].startswith(("drift-", "limit-", "mtu-", "replicas-"))}


@in_lab
def test_a_newer_engine_says_the_same(small: Small, newer: Small, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    said, changed, versions, probes = [], [], [], []
    for engine in (small, newer):
        saved = tmp_path / f"{len(said)}.json"
        with engine.project(folder, APP):
            report = looked(engine, folder, "--save", str(saved))
            said.append((active(report), gaps(report)))
            again = infra_audit("live", "--replay", saved, "-f", folder / "compose.yaml", "--format", "json")
            assert active(json.loads(again.out)) == active(report), again.err
            engine.docker("update", "--memory=32m", "--memory-swap=64m", "shop-app-1")
            engine.docker("pause", "shop-app-2")
            changed.append(active(looked(engine, folder)))
            engine.docker("unpause", "shop-app-2")
        text = saved.read_text()
        assert "planted-token-0815" not in text
        snapshot = json.loads(text)
        versions.append(snapshot["engine"]["ApiVersion"])
        probes.append(snapshot["probes"])
    assert versions[0] < versions[1]
    assert drift(report) == set()
    assert said[0] == said[1]
    assert changed[0] == changed[1]
    assert changed[0] >= {("drift-limits", "shop-app-1"), ("container-running", "shop-app-2")}
    for probe in probes:
        assert probe["shop-app-1"]["cgroup"].items() >= {"memory": 64 << 20, "cpus": 0.5}.items()
        assert probe["shop-app-2"]["interface"] == [{"name": "eth0", "mtu": 1400, "network": "shop_back"}]


@in_lab
@pytest.mark.parametrize("name", ["small", "newer"])
def test_the_newest_version_that_both_know_is_spoken(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    engine: Small = request.getfixturevalue(name)
    version = engine.docker("version", "--format={{.Server.APIVersion}}")
    paths: list[str] = []
    engine.run("shop-app-1", "shop")
    try:
        with engine_at(tmp_path / "e.sock", relay(engine.engine.host, paths.append)) as host:
            ran = infra_audit("live", "--host", host, "--no-probe", "all")
    finally:
        engine.docker("rm", "--force", "shop-app-1")
    assert ran.err == ""
    assert paths[0] == "/version"
    assert {path.split("/")[1] for path in paths[1:]} == {f"v{version}"}


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.45", "1.24", "1.45"), ("1.51", "1.24", "1.51"), ("1.99", "1.44", "1.51")],
)
def test_an_engine_is_asked_in_a_version_that_it_knows(newest: str, oldest: str, spoken: str, tmp_path: Path) -> None:
    ran, paths = versioned(tmp_path, {"ApiVersion": newest, "MinAPIVersion": oldest})
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert {path.split("/")[1] for path in paths[1:]} == {f"v{spoken}"}


def test_an_engine_that_no_longer_speaks_what_we_know_is_asked_in_its_oldest_version(tmp_path: Path) -> None:
    _, paths = versioned(tmp_path, {"ApiVersion": "1.99", "MinAPIVersion": "1.60"})
    assert {path.split("/")[1] for path in paths[1:]} == {"v1.60"}


@pytest.mark.parametrize("told", [{"ApiVersion": "1.40", "Version": "19.03.15"}, {"Version": "0.9"}, {}])
def test_an_engine_that_is_too_old_is_one_line(told: dict[str, str], tmp_path: Path) -> None:
    ran, paths = versioned(tmp_path, told)
    assert (ran.code, ran.out, ran.err.count("\n"), paths) == (2, "", 1, ["/version"])
    assert "needed is 1.41 (Docker 20.10)" in ran.err


def versioned(folder: Path, told: dict[str, str]) -> tuple[Ran, list[str]]:
    """A look at an engine that says this of its versions, and fails at all else that it is asked: these paths."""
    paths = []

    def talk(connection: socket.socket, line: str) -> None:
        paths.append(line.split()[1])
        status, body = (200, json.dumps(told)) if paths[-1] == "/version" else (500, '{"message": "no"}')
        connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    with engine_at(folder / "e.sock", talk) as host:
        return infra_audit("live", "--host", host), paths
