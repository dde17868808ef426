"""Engines and servers that fail: one clear line or a gap, the rest audited, in time, and no secret anywhere."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from infra_audit.reports import REPORTERS
from tests.command import Ran, infra_audit
from tests.lab.broken import Talk, drips, engine_at, never_answers, relay
from tests.lab.fixtures import Lab, active
from tests.test_live_found import REST
from tests.waiting import until

in_lab = pytest.mark.xdist_group("lab")


def look(host: str, *args: str) -> Ran:
    """One look with two seconds of time; it must be over two seconds after that, apart from the start of Python."""
    begun = time.monotonic()
    ran = infra_audit("live", "--host", host, "--timeout", "2s", "-p", "tracklists", *args)
    assert time.monotonic() - begun < 2 + 2 + 4
    assert ran.err.count("\n") == 1, ran.err
    return ran


def test_no_engine(tmp_path: Path) -> None:
    ran = look(f"unix://{tmp_path}/none.sock")
    assert (ran.code, ran.out) == (2, "")
    assert "there is no such socket" in ran.err


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert "nothing listens there" in look(f"unix://{path}").err


@pytest.mark.parametrize("talk", [never_answers, drips])
def test_an_engine_that_does_not_come_to_an_end(talk: Talk, tmp_path: Path) -> None:
    with engine_at(tmp_path / "e.sock", talk) as host:
        ran = look(host)
    assert ran.code == 2
    assert "did not answer in time" in ran.err


def test_an_address_of_a_kind_that_does_not_exist() -> None:
    assert look("carrier-pigeon://roof").code == 2


@in_lab
def test_a_socket_without_permission(lab: Lab) -> None:
    path = lab.engine.folder / "docker.sock"
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        ran = lab.run_without_rights("live", "-p", "tracklists")
    finally:
        path.chmod(mode)
    assert ran.code == 2
    assert "no permission to use the socket" in ran.err


@in_lab
def test_a_container_that_vanishes_between_list_and_inspect(lab: Lab, tmp_path: Path) -> None:
    identity = lab.docker("inspect", "--format={{.Id}}", REST)
    talk = relay(lab.engine.host, lambda path: 404 if f"/containers/{identity}/json" in path else None)
    with engine_at(lab.engine.folder / "gone.sock", talk) as host:
        ran = lab.run("live", "--host", host, "-p", "tracklists", "--no-probe", "all")
    assert ran.err == ""
    assert f"{REST}: it went away while it was looked at" in ran.out
    assert "rest-api: 2 of 3 replicas run" in ran.out


@in_lab
def test_an_engine_that_dies_in_the_middle(lab: Lab) -> None:
    seen: list[str] = []

    def fails(path: str) -> int | None:
        if "/containers/" in path and "/containers/json" not in path:
            seen.append(path)
            return None if len(seen) <= 8 else 0
        return None

    with engine_at(lab.engine.folder / "dies.sock", relay(lab.engine.host, fails)) as host:
        ran = lab.run("live", "--host", host, "--format", "json", "-p", "tracklists", "--no-probe", "all")
    report = json.loads(ran.out)
    assert ran.code == 2
    assert "containers were not read" in ran.err
    assert report["deployments"]
    assert "drift-replicas" not in {policy for policy, _ in active(report)}
    assert "drift-replicas" in {gap["policy"] for gap in report["gaps"]}


def cli(lab: Lab, name: str, password: str, *words: str) -> str:
    """What redis-cli prints inside a container; nothing while the server is not there."""
    run = ("exec", f"--env=REDISCLI_AUTH={password}", name, "redis-cli", *words)
    return lab.engine.docker(*run, check=False).stdout.decode().strip()


@in_lab
def test_a_redis_whose_password_nobody_knows_and_one_that_hangs(lab: Lab, extra: Callable[..., str]) -> None:
    options = ("--network=tracklists_backend",)
    server = ("redis-server", "--save", "", "--requirepass", "planted-cache-8899")
    locked = extra("locked", "locked", *options, image="redis:7.4.5-alpine", command=server)
    stuck = extra("stuck", "stuck", *options, image="redis:7.4.5-alpine", command=server)

    password = "planted-cache-8899"
    until(lambda: {cli(lab, locked, password, "ping"), cli(lab, stuck, password, "ping")} == {"PONG"})
    assert cli(lab, locked, password, "CONFIG", "SET", "requirepass", "planted-changed-1234") == "OK"
    lab.docker("kill", "--signal=STOP", stuck)
    begun = time.monotonic()
    ran = lab.run("live", "--format", "json", "--debug")
    assert time.monotonic() - begun < 30
    report = json.loads(ran.out)
    gaps = {gap["subject"]["name"]: gap["why"] for gap in report["gaps"] if gap["policy"] == "redis-effective"}
    assert "--redis-password-file" in gaps[locked]
    assert "did not answer in time" in gaps[stuck]
    assert report["errors"] == []
    assert "planted-" not in ran.out + ran.err


@in_lab
def test_a_server_that_answers_a_byte_at_a_time(lab: Lab, extra: Callable[..., str]) -> None:
    answer = "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 100000\\r\\n\\r\\n'; while printf ' '; do sleep 0.3; done"
    name = extra(
        "drips",
        "drips",
        "--network=tracklists_backend",
        "--entrypoint=sh",
        image="prom/prometheus:v3.5.0",
        command=("-c", 'echo "$0" >/tmp/answer; while :; do nc -l -p 9090 -e sh /tmp/answer; done', answer),
    )
    until(lambda: "nc" in lab.docker("top", name))
    begun = time.monotonic()
    report = lab.live()
    assert time.monotonic() - begun < 5 + 2 + 8
    [why] = {gap["why"] for gap in report["gaps"] if gap["policy"] == "target-down"}
    assert "did not answer in time" in why
    assert report["errors"] == []


@in_lab
def test_planted_secrets_are_in_no_output_and_no_snapshot(lab: Lab, extra: Callable[..., str]) -> None:
    secret, inner = "planted-everywhere-5d41402a", "planted-in-the-server-7215ee9c"
    extra(
        "leaky",
        "leaky",
        f"--env=SERVICE_PASSWORD={secret}",
        f"--env=DATABASE_URL=postgres://user:{secret}@db:5432/app",
        f"--label=com.example.token={secret}",
        f"--label=com.example.note=uses {secret} today",
        f"--health-cmd=echo login failed for {secret}; exit 1",
        "--health-interval=1s",
        "--health-retries=1",
        command=("sh", "-c", "sleep 600", "sh", "--password", secret, f"twice-{secret}"),
    )
    server = ("redis-server", "--save", "", "--requirepass", secret, "--masterauth", inner)
    cache = extra("vault", "vault", "--network=tracklists_backend", image="redis:7.4.5-alpine", command=server)
    until(lambda: lab.docker("exec", f"--env=REDISCLI_AUTH={secret}", cache, "redis-cli", "ping") == "PONG")
    assert inner in lab.docker(
        "exec", f"--env=REDISCLI_AUTH={secret}", cache, "redis-cli", "CONFIG", "GET", "masterauth"
    )
    until(lambda: ("container-healthy", "tracklists-leaky") in lab.findings())

    snapshot = lab.stack.folder / "leaky.json"
    outputs = {form: lab.stack.folder / f"leaky.{form}.out" for form in REPORTERS}
    to = [part for form, path in outputs.items() for part in ("-o", f"{form}={path}")]
    told = lab.run("live", "--debug", "--save", snapshot, *to)
    again = lab.run("live", "--replay", snapshot, "--debug")
    texts = {"told": told.out + told.err, "again": again.out + again.err, "snapshot": snapshot.read_text()}
    texts |= {form: path.read_text() for form, path in outputs.items()}
    assert "login failed for ***" in texts["json"]
    assert json.loads(texts["snapshot"])["probes"][cache]["redis"]["maxclients"] == "10000"
    assert [name for name, text in texts.items() if secret in text or inner in text] == []
