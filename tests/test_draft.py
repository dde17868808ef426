"""``infra-audit plan``: the draft is a plan, and the deployment it was drafted from differs from it in nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_audit.audit import Request, audit, deployments
from infra_audit.cli.plan import _text
from infra_audit.deployment import Deployment
from infra_audit.draft import draft
from infra_audit.engine.documents import read_plan
from infra_audit.engine.policies import shipped
from infra_audit.finding import Finding
from infra_audit.running import Look, Running
from infra_audit.units import exact_bytes, parse_bytes
from tests import running
from tests.command import infra_audit
from tests.examples import documents, examples
from tests.fixtures import STACK, fixtures

JUDGE_PLANS = tuple(
    policy.id
    for policy in shipped().policies.values()
    if any(policy.needs_plan(check) for check in policy.checks) or policy.id == "healthcheck-missing"
)


def drafted(folder: Path, files: tuple[str, ...], plan: Path) -> tuple[list[Finding], list[Finding]]:
    """Findings of the policies that compare with plans: with the draft as the plan, and without any."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        request = Request(files=files, use_config=False, plan="none")
        [opened] = deployments(request)
        assert isinstance(opened.result, Deployment)
        plan.write_text(_text(draft(opened.result)), encoding="utf-8")
        assert read_plan(str(plan)).roles.keys() == {each.name for each in opened.result.subjects("service")}
        with_plan = audit(request._replace(plan=str(plan), policies=JUDGE_PLANS))
        without = audit(request._replace(policies=JUDGE_PLANS))
    finally:
        os.chdir(before)
    return with_plan.findings, without.findings


def told(findings: list[Finding]) -> set[tuple[str, str, str]]:
    return {(one.policy, one.subject.name, one.message) for one in findings}


def differs_in_nothing(folder: Path, files: tuple[str, ...], plan: Path) -> None:
    with_plan, without = drafted(folder, files, plan)
    assert told(with_plan) - told(without) == set(), plan.read_text()


def cases() -> Iterator[tuple[Path, tuple[str, ...]]]:
    for fixture in fixtures():
        if not fixture.expected.get("errors"):
            for entry in fixture.expected["deployments"]:
                yield fixture.folder, tuple(entry["files"])
    yield STACK, ("docker-compose.yml", "docker-compose.prod.yml")
    yield STACK, ("docker-compose.yml", "docker-compose.dev.yml")


@pytest.mark.parametrize(
    ("folder", "files"), list(cases()), ids=lambda value: value.name if isinstance(value, Path) else " ".join(value)
)
def test_a_deployment_differs_from_its_own_draft_in_nothing(
    folder: Path, files: tuple[str, ...], tmp_path: Path
) -> None:
    differs_in_nothing(folder, files, tmp_path / "plan.yaml")


EXAMPLES = [
    example
    for document in documents()
    if document.policy.pack == "documented" or document.policy.family in ("health", "networks", "resources")
    for example in examples(document)
    if not example.running
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.id))
def test_the_examples_of_policies_differ_from_their_own_drafts_in_nothing(example: object, tmp_path: Path) -> None:
    folder = tmp_path / "example"
    for name, text in example.files.items():  # type: ignore[attr-defined]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    files = tuple(
        name
        for name in example.files  # type: ignore[attr-defined]
        if "compose" in name and name.endswith((".yaml", ".yml"))
    )
    differs_in_nothing(folder, files, tmp_path / "draft.yaml")


SNAPSHOTS = {"as-recorded": {"docker:engine": "{}"}} | {
    example.id: example.running for document in documents() for example in examples(document) if example.running
}


@pytest.mark.parametrize("said", SNAPSHOTS.values(), ids=SNAPSHOTS.keys())
def test_what_runs_differs_from_its_own_draft_in_nothing(said: dict[str, str], tmp_path: Path) -> None:
    snapshot, plan = tmp_path / "snapshot.json", tmp_path / "plan.yaml"
    snapshot.write_text(running.snapshot(said), encoding="utf-8")
    opener = Running(Look(replay=str(snapshot)), {})
    request = Request(name=running.PROJECT, use_config=False, plan="none")
    [opened] = deployments(request, opener)
    assert isinstance(opened.result, Deployment)
    plan.write_text(_text(draft(opened.result)), encoding="utf-8")
    with_plan = audit(request._replace(plan=str(plan), policies=JUDGE_PLANS), opener).findings
    without = audit(request._replace(policies=JUDGE_PLANS), opener).findings
    assert told(with_plan) - told(without) == set(), plan.read_text()


def test_a_plan_is_drafted_from_a_saved_snapshot(tmp_path: Path) -> None:
    text = infra_audit("plan", "--live", "--replay", running.SNAPSHOT).out
    assert text.startswith("# The numbers of shop, drafted from what runs.\n")
    assert "    settings: {maxclients: 5000, maxmemory: 192MiB, maxmemory-policy: allkeys-lru}\n" in text
    (tmp_path / "plan.yaml").write_text(text.replace("replicas: 3", "replicas: 4"))
    ran = infra_audit("live", "--replay", running.SNAPSHOT, "--plan", tmp_path / "plan.yaml")
    assert "[documented-replicas]" in ran.out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--replay", "snapshot.json"], "--replay needs --live"),
        (["--live", "."], "--live looks at what runs: without PATH"),
        (["--live", "--replay", "none.json"], "none.json"),
        (["--live", "--replay", str(running.SNAPSHOT), "-p", "blog"], "the snapshot has no project blog; it has shop"),
    ],
)
def test_what_cannot_be_drafted(args: list[str], why: str) -> None:
    ran = infra_audit("plan", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert why in ran.err


def test_what_the_files_do_not_say_is_a_remark(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web:\n    image: x:1\n    mem_limit: ${MEMORY}\n"
        "    ports: ['${PORT}:80']\n    environment: {DB_PASSWORD: hunter2}\n"
    )
    text = infra_audit("plan", "--name", "mine", cwd=tmp_path).out
    assert text.startswith("# The numbers of mine, drafted from compose.yaml.\n")
    assert "plan: mine\n" in text
    assert "  # cpus: no limit in the files\n  # memory: MEMORY is not set\n" in text
    assert "  # published: PORT is not set\n" in text
    assert "hunter2" not in text
    (tmp_path / "plan.yaml").write_text(text)
    assert infra_audit("check", "--plan", "plan.yaml", "--fail-on", "never", cwd=tmp_path).code == 0


def test_a_drift_from_the_draft_is_found(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    text = "services:\n  web:\n    image: x:1\n    scale: 3\n    mem_limit: 1g\n"
    file.write_text(text)
    assert infra_audit("plan", "-o", "plan.yaml", cwd=tmp_path).code == 0
    file.write_text(text.replace("scale: 3", "scale: 2").replace("1g", "512m"))
    out = infra_audit("check", "--plan", "plan.yaml", cwd=tmp_path).out
    assert "[documented-replicas]" in out
    assert "[documented-memory]" in out


@given(st.integers(0, 2**50))
def test_a_size_is_written_exactly(number: int) -> None:
    written = exact_bytes(number)
    assert (written if isinstance(written, int) else parse_bytes(written)) == number


def test_sizes_read_well() -> None:
    assert [exact_bytes(number) for number in (6 << 30, 3 << 29, 300 << 10, 1000)] == ["6GiB", "1.5GiB", "300KiB", 1000]
