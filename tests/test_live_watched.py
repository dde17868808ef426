"""Looks that come again and again at an engine that goes away and comes back: the watch and the exporter."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command import environment
from tests.lab.engine import Engine, why_no_engine
from tests.servers import free_port

pytestmark = pytest.mark.xdist_group("watched")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with one container of the project shop."""
    why = why_no_engine()
    if why:
        pytest.skip(why)
    image = tmp_path_factory.mktemp("image") / "image.tar"
    linked = subprocess.run(["ldd", "/bin/busybox"], capture_output=True, text=True, check=False).stdout
    with tarfile.open(image, "w", dereference=True) as tar:
        tar.add("/bin/busybox", "bin/sleep")
        for library in re.findall(r"/\S+", linked):
            tar.add(os.path.realpath(library), library)
    with Engine() as started:
        started.docker("import", str(image), "small:1")
        labels = ("project=shop", "service=app", "oneoff=False", "container-number=1")
        options = [f"--label=com.docker.compose.{label}" for label in labels]
        started.docker("run", "--detach", "--name=shop-app-1", "--network=none", *options, "small:1", "sleep", "1000")
        yield started


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


def until(holds: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come to pass in time"
        time.sleep(0.2)


def test_a_watch_tells_what_came_and_went_and_an_engine_that_is_away_changes_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    options = ("--watch", "--every", "300ms", "--no-probe", "all", "--host", engine.host)
    with running(tmp_path, "live", *options) as (process, out, err):
        until(lambda: "[memory-limit]" in out.read_text())
        engine.docker("pause", "shop-app-1")
        until(lambda: "+ error: shop-app-1: does not run: paused" in out.read_text())
        with away(engine):
            until(lambda: "there is no such socket" in err.read_text())
            time.sleep(1)
        engine.docker("unpause", "shop-app-1")
        until(lambda: "- error: shop-app-1: does not run: paused" in out.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert re.findall(r" - \w+: .*\[(.*)\]", out.read_text()) == ["container-running"]
    assert err.read_text().count("there is no such socket") == 1


def test_the_exporter_serves_what_it_last_saw_while_the_engine_is_away(engine: Engine, tmp_path: Path) -> None:
    port = free_port()

    def value(metric: str) -> float:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return -1.0
        found = re.search(rf"^{re.escape(metric)} (\S+)$", text, re.MULTILINE)
        return -1.0 if found is None else float(found[1])

    findings = 'infra_audit_findings{deployment="shop",policy="memory-limit",severity="warning"}'
    options = ("--listen", f"127.0.0.1:{port}", "--interval", "1s", "--no-probe", "all", "--host", engine.host)
    with running(tmp_path, "exporter", *options) as (process, _, err):
        until(lambda: value("infra_audit_up") == 1)
        assert value(findings) == 1
        assert value('infra_audit_gaps{deployment="shop"}') >= 0
        with away(engine):
            until(lambda: value("infra_audit_up") == 0)
            seen = value("infra_audit_last_audit_timestamp_seconds")
            until(lambda: err.read_text().count("there is no such socket") >= 2)
            assert value(findings) == 1
            assert value("infra_audit_last_audit_timestamp_seconds") == seen
            assert 0 < time.time() - seen < 60
        until(lambda: value("infra_audit_up") == 1)
        assert value("infra_audit_last_audit_timestamp_seconds") > seen
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
