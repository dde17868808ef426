"""A real engine that fails while it is looked at: stopped, killed, slow at one container, one container fewer."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra_audit.reports import REPORTERS
from tests.command import Ran, infra_audit
from tests.lab.broken import Talk, drips, engine_at, never_answers, relay
from tests.lab.engine import Engine, why_no_engine
from tests.lab.small import IMAGE, Small

pytestmark = pytest.mark.xdist_group("small")

_START = 4.0
"""What Python and the judging may take beside the time of the look."""


def look(host: str, project: str, seconds: int, *args: str | Path) -> Ran:
    """One look, which must be over in its time and two seconds."""
    begun = time.monotonic()
    ran = infra_audit("live", "--host", host, "-p", project, "--timeout", f"{seconds}s", "--format", "json", *args)
    assert time.monotonic() - begun < seconds + 2 + _START
    return ran


@pytest.fixture
def pair(small: Small) -> Iterator[Small]:
    """An engine with two containers of the project pair."""
    for number in (1, 2):
        small.run(f"pair-app-{number}", "pair")
    try:
        yield small
    finally:
        small.docker("rm", "--force", *small.docker("ps", "--all", "--quiet").split())


def test_an_engine_that_is_stopped(pair: Small) -> None:
    pair.engine.signal(signal.SIGSTOP)
    try:
        ran = look(pair.engine.host, "pair", 2)
    finally:
        pair.engine.signal(signal.SIGCONT)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "did not answer in time" in ran.err


@pytest.mark.parametrize("talk", [never_answers, drips])
def test_an_engine_that_is_slow_at_one_container(pair: Small, talk: Talk, tmp_path: Path) -> None:
    identity = pair.docker("inspect", "--format={{.Id}}", "pair-app-2")
    rest = relay(pair.engine.host, lambda _: None)

    def answer(connection: socket.socket, line: str) -> None:
        (talk if f"/containers/{identity}/json" in line else rest)(connection, line)

    with engine_at(tmp_path / "slow.sock", answer) as host:
        ran = look(host, "pair", 3)
    report = json.loads(ran.out)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "1 of 2 containers were not read" in ran.err
    assert "memory-limit" in {one["policy"] for one in report["findings"]}


def test_a_container_that_is_removed_after_it_was_listed(pair: Small, tmp_path: Path) -> None:
    identity = pair.docker("inspect", "--format={{.Id}}", "pair-app-2")
    removed: list[str] = []

    def remove(path: str) -> None:
        if f"/containers/{identity}/json" in path and not removed:
            removed.append(pair.docker("rm", "--force", "pair-app-2"))

    with engine_at(tmp_path / "fewer.sock", relay(pair.engine.host, remove)) as host:
        ran = infra_audit("live", "--host", host, "-p", "pair")
    assert removed
    assert ran.err == ""
    assert "pair-app-2: it went away while it was looked at" in ran.out
    assert "memory-limit" in ran.out


def test_an_engine_that_is_killed_while_it_is_looked_at(tmp_path: Path) -> None:
    why = why_no_engine()
    if why:
        pytest.skip(why)
    with Engine() as engine:
        small = Small(engine)
        for number in range(1, 20):
            small.run(f"many-app-{number}", "many", start=False)
        asked: list[str] = []

        def kill(path: str) -> int | None:
            if re.search(r"/containers/[0-9a-f]{64}/json", path):
                asked.append(path)
                if len(asked) == 9:
                    engine.signal(signal.SIGKILL)
                return None if len(asked) < 9 else 0
            return None

        with engine_at(tmp_path / "dies.sock", relay(engine.host, kill)) as host:
            ran = look(host, "many", 5)
        gone = look(engine.host, "many", 5)
    report = json.loads(ran.out)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert re.search(r"\d+ of 19 containers were not read: ", ran.err)
    assert report["deployments"]
    assert (gone.code, gone.out, gone.err.count("\n")) == (2, "", 1)


SECRET = "planted-in-the-files-c0ffee42"
LEAKY = f"""
services:
  app:
    image: {IMAGE}
    command: [sleep, "1000"]
    network_mode: none
    init: true
    environment: {{API_TOKEN: {SECRET}, NOTE: "the token is {SECRET}"}}
    labels: {{com.example.password: {SECRET}}}
    healthcheck: {{test: [CMD, sleep, --password, {SECRET}], interval: 1s, retries: 1}}
"""
CHANGED = LEAKY.replace('"1000"', f'"2000", --password={SECRET}').replace(
    "healthcheck: {", "healthcheck: {timeout: 9s, "
)


def test_secrets_of_the_files_and_of_what_runs_are_in_no_output(small: Small, tmp_path: Path) -> None:
    folder, saved = tmp_path / "leaky", tmp_path / "saved.json"
    outputs = {form: tmp_path / f"report.{form}" for form in REPORTERS}
    to = [part for form, path in outputs.items() for part in ("-o", f"{form}={path}")]
    with small.project(folder, LEAKY):
        health = "--format={{.State.Health.Status}}"
        until = time.monotonic() + 30
        while small.docker("inspect", health, "leaky-app-1") != "unhealthy":
            assert time.monotonic() < until
            time.sleep(0.2)
        (folder / "compose.yaml").write_text(CHANGED.replace(f"API_TOKEN: {SECRET}", f"API_TOKEN: {SECRET}-changed"))
        ran = small.live("-p", "leaky", "--debug", "--save", saved, *to, cwd=tmp_path)
        found = small.report("-p", "leaky")["findings"]
        again = infra_audit("live", "--replay", saved, "--debug", "-f", folder / "compose.yaml", "-p", "leaky")
    policies = {one["policy"] for one in found}
    assert {"drift-environment", "drift-command", "drift-healthcheck", "container-healthy"} <= policies
    texts = {"output": ran.out + ran.err, "again": again.out + again.err, "saved": saved.read_text()}
    texts |= {form: path.read_text() for form, path in outputs.items()}
    assert len(texts) >= 9
    assert [name for name, text in texts.items() if SECRET in text] == []
