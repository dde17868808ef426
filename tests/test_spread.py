"""Many deployments are judged by several processes, and nobody can tell."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from infra_audit import spread
from infra_audit.errors import ConfigError, InfraAuditError
from infra_audit.spread import spread as work_on
from tests.command import infra_audit

MANY = 30
COMPOSE = "services:\n  web:   # infra-audit: ignore[cpu-limit] all that the host has\n    image: nginx:1.27\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(MANY):
        folder = tmp_path / f"group{number % 10}" / f"app{number % 3}"
        folder.mkdir(parents=True)
        (folder / "compose.yaml").write_text("services: [\n" if number == 7 else COMPOSE)
    return tmp_path


def test_several_processes_report_what_one_reports(tree: Path) -> None:
    ran = infra_audit("check", ".", "--format", "json", cwd=tree)
    one_by_one = [infra_audit("check", f"group{number % 10}", "--format", "json", cwd=tree) for number in range(10)]
    together, apart = json.loads(ran.out), [json.loads(each.out) for each in one_by_one]
    assert ran.code == 2
    assert [error["file"] for error in together["errors"]] == ["group7/app1/compose.yaml"]
    for part in ("findings", "gaps"):
        assert len(together[part]) == sum(len(each[part]) for each in apart)
    assert together["summary"]["suppressed"] == MANY - 1
    names = [deployment["name"] for deployment in together["deployments"]]
    assert len(names) == len(set(names)) == MANY - 1
    assert {finding["deployment"] for finding in together["findings"]} == set(names)


def test_results_come_in_order_and_errors_come_through() -> None:
    assert list(work_on(lambda piece: piece * piece, 100)) == [piece * piece for piece in range(100)]

    def fail(piece: int, wrong: int) -> int:
        if piece == wrong:
            raise ConfigError("no plan is called that", file="plan.yaml", line=3, column=7)
        return piece

    for wrong in (40, 41):  # here, and in a copy where there are two cores
        with pytest.raises(ConfigError, match=r"plan\.yaml:3:7: no plan is called that"):
            list(work_on(lambda piece, wrong=wrong: fail(piece, wrong), 100))


def test_a_process_that_is_killed_is_told_in_one_line() -> None:
    here = os.getpid()

    def work(piece: int) -> int:
        if piece > 30 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return piece

    with pytest.raises(InfraAuditError, match="was ended before its work was done"):
        list(work_on(work, 100))


def test_no_process_stays_when_nobody_takes_the_rest() -> None:
    results = work_on(lambda _: os.getpid(), 100)
    processes = {next(results) for _ in range(10)}
    copies = processes - {os.getpid()}
    assert copies < processes
    assert copies
    results.close()
    assert not [process for process in copies if Path(f"/proc/{process}").exists()]


def test_few_pieces_are_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    assert list(work_on(lambda piece: seen.append(piece), 3)) == [None] * 3
    assert seen == [0, 1, 2]
    monkeypatch.setattr(spread, "_cores", lambda: 1)
    assert list(work_on(lambda piece: seen.append(piece), 50)) == [None] * 50
    assert len(seen) == 53
