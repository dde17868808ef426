"""Looks that come again and again at an engine that goes away and comes back: the watch and the exporter."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.command import environment
from tests.lab.engine import Engine
from tests.lab.small import IMAGE, Small
from tests.servers import free_port
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("small")

soon = partial(until, seconds=40)


@pytest.fixture
def shop(small: Small) -> Iterator[Small]:
    """An engine with one container of the project shop."""
    small.run("shop-app-1", "shop")
    try:
        yield small
    finally:
        for name in small.docker("ps", "--all", "--format={{.Names}}").split():
            small.docker("rm", "--force", name)


@contextmanager
def running(folder: Path, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """Our command in the background, and what it has printed so far."""
    out, err = folder / "out", folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra_audit", *args],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield process, out, err
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def away(engine: Engine) -> Iterator[None]:
    """The engine's socket is not there."""
    path = engine.folder / "docker.sock"
    path.rename(path.with_name("away"))
    try:
        yield
    finally:
        path.with_name("away").rename(path)


def metric(port: int, name: str) -> float:
    """A value that the exporter serves, -1 where it serves none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return -1.0
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return -1.0 if found is None else float(found[1])


FINDINGS = 'infra_audit_findings{deployment="shop",policy="memory-limit",severity="warning"}'
DONE = "infra_audit_last_audit_timestamp_seconds"


def test_a_watch_tells_what_came_and_went_and_an_engine_that_is_away_changes_nothing(
    shop: Small, tmp_path: Path
) -> None:
    options = ("--watch", "--every", "300ms", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "live", *options) as (process, out, err):
        soon(lambda: "[memory-limit]" in out.read_text())
        shop.docker("pause", "shop-app-1")
        soon(lambda: "+ error: shop-app-1: does not run: paused" in out.read_text())
        with away(shop.engine):
            soon(lambda: "there is no such socket" in err.read_text())
            time.sleep(1)
        shop.docker("unpause", "shop-app-1")
        soon(lambda: "- error: shop-app-1: does not run: paused" in out.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert re.findall(r" - \w+: .*\[(.*)\]", out.read_text()) == ["container-running"]
    assert err.read_text().count("there is no such socket") == 1


def test_a_watch_stays_at_its_project_when_another_comes_up_and_when_its_own_goes(shop: Small, tmp_path: Path) -> None:
    options = ("--watch", "--every", "300ms", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "live", *options) as (process, out, err):
        soon(lambda: "[memory-limit]" in out.read_text())
        shop.run("other-app-1", "other")
        shop.docker("pause", "shop-app-1")
        soon(lambda: "+ error: shop-app-1: does not run: paused" in out.read_text())
        assert err.read_text() == ""
        shop.docker("rm", "--force", "shop-app-1")
        soon(lambda: "the engine has no project shop; it has other" in err.read_text())
        assert process.poll() is None
    assert "other-app-1" not in out.read_text()


def test_a_watch_goes_on_while_its_configuration_is_broken(shop: Small, tmp_path: Path) -> None:
    config = tmp_path / ".infra-audit.yaml"
    config.write_text("")
    options = ("--watch", "--every", "300ms", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "live", *options) as (_, out, err):
        soon(lambda: "[memory-limit]" in out.read_text())
        config.write_text("rules: [")
        soon(lambda: ".infra-audit.yaml:1:" in err.read_text())
        config.write_text("rules: {memory-limit: {enabled: false, reason: the machine has one container}}")
        soon(lambda: re.search(r" - \w+: .*\[memory-limit\]", out.read_text()) is not None)
    config.write_text("rules: [")
    ran = shop.live("--watch", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")


def test_secrets_look_the_same_in_every_look(shop: Small, tmp_path: Path) -> None:
    shop.run("shop-app-2", "shop", "sleep", "--password", "planted-in-one-replica-77", start=False)
    options = ("--watch", "--every", "300ms", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "live", *options) as (_, out, _err):
        soon(lambda: "[replicas-differ]" in out.read_text())
        shop.docker("pause", "shop-app-1")
        soon(lambda: "+ error: shop-app-1: does not run: paused" in out.read_text())
    told = [line for line in out.read_text().splitlines() if "[replicas-differ]" in line]
    assert len(told) == 1
    assert re.search(r"--password \*\*\*[0-9a-f]{8}", told[0])


def test_the_exporter_serves_what_it_last_saw_while_the_engine_is_away(shop: Small, tmp_path: Path) -> None:
    port = free_port()
    options = ("--listen", f"127.0.0.1:{port}", "--interval", "1s", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "exporter", *options) as (process, _, err):
        soon(lambda: metric(port, "infra_audit_up") == 1)
        assert metric(port, FINDINGS) == 1
        assert metric(port, 'infra_audit_gaps{deployment="shop"}') >= 0
        with away(shop.engine):
            soon(lambda: metric(port, "infra_audit_up") == 0)
            seen = metric(port, DONE)
            soon(lambda: err.read_text().count("there is no such socket") >= 2)
            assert metric(port, FINDINGS) == 1
            assert metric(port, DONE) == seen
            assert 0 < time.time() - seen < 60
        soon(lambda: metric(port, "infra_audit_up") == 1)
        assert metric(port, DONE) > seen
        shop.run("other-app-1", "other")
        begun = time.time()
        soon(lambda: metric(port, DONE) > begun + 1)
        assert metric(port, "infra_audit_up") == 1
        assert metric(port, FINDINGS) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_the_exporter_keeps_its_numbers_while_the_files_cannot_be_read(shop: Small, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "compose.yaml"
    text = f"name: shop\nservices:\n  app: {{image: '{IMAGE}', network_mode: none}}\n"
    file.write_text(text)
    options = ("--listen", f"127.0.0.1:{port}", "--interval", "1s", "--no-probe", "all", "--host", shop.engine.host)
    with running(tmp_path, "exporter", "-f", "compose.yaml", *options) as (_, _, err):
        soon(lambda: metric(port, "infra_audit_up") == 1)
        assert metric(port, FINDINGS) == 1
        file.write_text("services: [")
        soon(lambda: metric(port, "infra_audit_up") == 0)
        seen = metric(port, DONE)
        soon(lambda: err.read_text().count("compose.yaml:1:") >= 2)
        assert (metric(port, FINDINGS), metric(port, DONE)) == (1, seen)
        file.write_text(text)
        soon(lambda: metric(port, "infra_audit_up") == 1)
        assert metric(port, DONE) > seen
