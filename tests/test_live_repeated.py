"""Looks that are repeated: the deploy gate and the exporter."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from infra_audit.errors import EngineError
from infra_audit.exporter import Exporter
from infra_audit.finding import Report
from tests.command import infra_audit
from tests.lab.fixtures import Lab
from tests.test_live_found import REST

in_lab = pytest.mark.xdist_group("lab")


@in_lab
def test_the_gate_opens_when_all_is_well_and_stays_shut_while_a_replica_is_missing(lab: Lab) -> None:
    assert lab.run("live", "--wait", "--timeout", "60s", "--no-probe", "all").code == 0
    lab.docker("stop", "--time=0", REST)
    try:
        begun = time.monotonic()
        ran = lab.run("live", "--wait", "--timeout", "6s", "--no-probe", "all")
        assert ran.code == 1
        assert 3 < time.monotonic() - begun < 6 + 2 + 3
        assert REST in ran.out
        assert "not ready after 6 s" in ran.err
    finally:
        lab.docker("start", REST)
    assert lab.run("live", "--wait", "--timeout", "90s", "--no-probe", "all").code == 0


def test_the_gate_on_no_engine_is_not_done(tmp_path: Path) -> None:
    ran = infra_audit("live", "--wait", "--timeout", "3s", "--host", f"unix://{tmp_path}/none")
    assert ran.code == 2
    assert "there is no such socket" in ran.err


def test_the_last_numbers_stay_while_the_engine_is_away() -> None:
    answers: list[Report | EngineError] = [Report(), EngineError("no engine")]

    def look() -> Report:
        answer = answers.pop(0)
        if isinstance(answer, EngineError):
            raise answer
        return answer

    exporter = Exporter(look)

    def value(name: str) -> float:
        return next(family.samples[0].value for family in exporter.collect() if family.name == name)

    assert exporter.refresh() is None
    done = value("infra_audit_last_audit_timestamp_seconds")
    assert (value("infra_audit_up"), done > 0) == (1, True)
    assert str(exporter.refresh()) == "no engine"
    assert value("infra_audit_up") == 0
    assert value("infra_audit_last_audit_timestamp_seconds") == done


def test_the_exporter_refuses_an_address_that_is_none() -> None:
    ran = infra_audit("exporter", "--listen", "nowhere")
    assert (ran.code, ran.out) == (2, "")
    assert "--listen wants HOST:PORT" in ran.err


@pytest.mark.parametrize("again", ["--wait", "--watch"])
def test_a_snapshot_of_many_looks_is_refused(again: str, tmp_path: Path) -> None:
    ran = infra_audit("live", again, "--save", tmp_path / "snapshot.json")
    assert (ran.code, ran.out) == (2, "")
    assert "--save keeps one look" in ran.err
