"""`live` on a real engine with the reference stack: it says what `check` says, and names what changed."""

from __future__ import annotations

from typing import Any

import pytest

from infra_audit.engine.policies import shipped
from tests.lab.fixtures import Lab, active
from tests.lab.stack import SECRETS

pytestmark = pytest.mark.xdist_group("lab")


def undecided(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(gap["policy"], gap["subject"]["name"]) for gap in report["gaps"]}


def test_live_and_files_give_the_same_verdicts(lab: Lab) -> None:
    files, running = lab.check(), lab.live()
    assert running["errors"] == files["errors"] == []
    assert active(running) - active(files) == set()
    assert active(files) - active(running) == set()
    of_files = {policy.id for policy in shipped().policies.values() if policy.live is False}
    assert undecided(running) == {one for one in undecided(files) if one[0] not in of_files}


def test_a_plan_drafted_from_what_runs_finds_no_difference(lab: Lab) -> None:
    plan = lab.stack.folder / "drafted.yaml"
    assert lab.run("plan", "--live", "-o", str(plan)).code == 0
    documented = {policy.id for policy in shipped().policies.values() if policy.pack == "documented"}
    found = [one for one in lab.live("--plan", str(plan))["findings"] if one["policy"] in documented]
    assert [one["message"] for one in found if one["suppressed"] is None] == []


def test_a_snapshot_says_the_same_when_it_is_replayed_and_holds_no_secret(lab: Lab) -> None:
    path = lab.stack.folder / "snapshot.json"
    now = lab.live("--save", str(path))
    text = path.read_text()
    assert not [name for name, value in SECRETS.items() if value in text]
    again = lab.live("--replay", str(path))
    decided = active(again)
    decided_now = {(one["policy"], one["subject"]["name"]) for one in now["findings"]}
    assert {(policy, name) for policy, name in decided if policy != "ignore-unused"} <= decided_now | undecided(now)
    lost = {policy for policy, _ in active(now) - decided}
    assert lost <= {policy for policy, _ in undecided(again)} | {"ignore-unused"}
