"""The way in for a team that has its own system: a baseline, ignores that end, paths, changed lines only."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra_audit.changes import Changes
from infra_audit.errors import UsageError
from infra_audit.suppress import is_date, is_over
from tests.command import ROOT, infra_audit

COMPOSE = """\
services:
  cache:
    image: redis:7.4.1
    command: redis-server --maxmemory 2gb --requirepass ${CACHE_PASSWORD}
    mem_limit: 2g
    cpus: 1
  web:
    image: example/web:1.0
    mem_limit: 1g
    cpus: 1
  worker:
    image: example/worker:1.0
    mem_limit: 1g
    cpus: 1
"""


def write(folder: Path, text: str, name: str = "compose.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def report(folder: Path, *args: str) -> dict[str, Any]:
    ran = infra_audit("check", "--plan", "none", "--format", "json", *args, cwd=folder)
    data: dict[str, Any] = json.loads(ran.out)
    data["code"] = ran.code
    return data


def active(folder: Path, *args: str) -> list[tuple[str, str]]:
    """Policy and subject of each finding that counts."""
    found = report(folder, *args)["findings"]
    return sorted((one["policy"], one["subject"]["name"]) for one in found if not one["suppressed"])


# -- baseline -------------------------------------------------------------------------------------


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A folder with findings that a baseline knows."""
    write(tmp_path, COMPOSE)
    assert infra_audit("check", cwd=tmp_path).code == 1
    assert infra_audit("baseline", "--plan", "none", cwd=tmp_path).code == 0
    return tmp_path


def test_after_a_baseline_nothing_counts(known: Path) -> None:
    data = report(known)
    assert (data["code"], active(known)) == (0, [])
    assert {one["suppressed"]["by"] for one in data["findings"]} == {".infra-audit-baseline.json"}
    assert data["summary"]["suppressed"] == len(data["findings"]) > 5
    text = infra_audit("check", "--plan", "none", cwd=known).out
    assert "no findings in 1 deployment" in text
    assert re.search(r"\d+ known findings in the baseline", text)


def test_only_what_is_new_is_reported(known: Path) -> None:
    write(known, COMPOSE + "    mem_reservation: 2g\n")
    assert active(known) == [("reservation-above-limit", "worker")]
    assert report(known)["code"] == 1


def test_a_new_service_is_not_hidden_behind_a_summary_of_old_ones(known: Path) -> None:
    """Most services lack a health check, and that was known; a fourth one that lacks it was not."""
    write(known, COMPOSE + "  new:\n    image: example/new:1.0\n    mem_limit: 1g\n    cpus: 1\n")
    assert ("healthcheck-missing", "new") in active(known)
    assert {subject for _, subject in active(known)} == {"new"}


def test_a_baseline_holds_when_lines_move(known: Path) -> None:
    write(known, "# a comment\n" * 10 + COMPOSE.replace("  web:", "\n\n  web:"))
    assert active(known) == []


def test_a_baseline_holds_in_another_folder_and_from_another_one(known: Path, tmp_path_factory: Any) -> None:
    clone = tmp_path_factory.mktemp("elsewhere") / "renamed"
    shutil.copytree(known, clone)
    assert active(clone) == []
    assert active(clone.parent, "renamed") == []


def test_a_baseline_holds_when_messages_are_reworded(known: Path, tmp_path: Path) -> None:
    policies = tmp_path / "own" / "policies"
    policies.mkdir(parents=True)
    text = (ROOT / "policies" / "baseline" / "resources" / "pids-limit.yaml").read_text()
    text = text.replace("id: pids-limit", "id: own-pids").replace("fold: true\n", "")
    write(policies, text, "own-pids.yaml")
    write(known, "policies: [own/policies]\n", ".infra-audit.yaml")
    assert {policy for policy, _ in active(known)} == {"own-pids"}
    assert infra_audit("baseline", "--replace", "--plan", "none", cwd=known).code == 0
    assert active(known) == []
    write(policies, re.sub(r"^message: .*$", 'message: "{subject}: in other words"', text, flags=re.M), "own-pids.yaml")
    assert active(known) == []


def test_what_a_known_finding_explains_is_known_too(tmp_path: Path) -> None:
    """`unless` leaves out what follows from another finding; the baseline must not bring it back."""
    bad = "services:\n  a:\n    image: x:1\n    mem_limit: 0\n    cpus: 1\n"
    write(tmp_path, bad)
    infra_audit("baseline", "--plan", "none", cwd=tmp_path)
    assert active(tmp_path) == []


def test_update_drops_what_is_fixed_and_takes_nothing_new(known: Path) -> None:
    before = json.loads((known / ".infra-audit-baseline.json").read_text())["deployments"]["compose.yaml"]
    write(known, COMPOSE.replace("--maxmemory 2gb", "--maxmemory 1gb") + "    mem_reservation: 2g\n")
    assert "1 of the baseline fixed, `infra-audit baseline --update` drops them" in " ".join(
        infra_audit("check", "--plan", "none", cwd=known).out.split()
    )
    ran = infra_audit("baseline", "--update", "--plan", "none", cwd=known)
    assert (ran.code, ran.out.split(", ")[-1]) == (0, "1 dropped\n")
    after = json.loads((known / ".infra-audit-baseline.json").read_text())["deployments"]["compose.yaml"]
    assert [one for one in before if one not in after] == [one for one in before if "headroom" in one["policy"]]
    assert all(one in before for one in after)
    assert active(known) == [("reservation-above-limit", "worker")]
    write(known, COMPOSE + "    mem_reservation: 2g\n")
    assert ("redis-maxmemory-headroom", "cache") in active(known)


def test_update_keeps_what_was_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, COMPOSE, "a/compose.yaml")
    write(tmp_path, COMPOSE, "b/compose.yaml")
    infra_audit("baseline", "--plan", "none", cwd=tmp_path)
    file = tmp_path / ".infra-audit-baseline.json"
    before = file.read_text()
    assert infra_audit("baseline", "--update", "--plan", "none", "a", cwd=tmp_path).code == 0
    assert file.read_text() == before


def test_one_finding_more_of_the_same_kind_is_new(tmp_path: Path) -> None:
    write(tmp_path, COMPOSE, "a/compose.yaml")
    infra_audit("baseline", "--plan", "none", cwd=tmp_path)
    write(tmp_path, COMPOSE, "b/compose.yaml")
    assert report(tmp_path, "a")["code"] == 0
    assert report(tmp_path, "b")["code"] == 1


def test_a_baseline_is_not_overwritten_by_accident(known: Path) -> None:
    ran = infra_audit("baseline", cwd=known)
    assert (ran.code, ran.err) == (
        2,
        "infra-audit: .infra-audit-baseline.json: there is a baseline; --update drops what is fixed, "
        "--replace takes all anew\n",
    )


def test_a_baseline_is_not_written_from_half_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, COMPOSE, "a/compose.yaml")
    write(tmp_path, "services: [\n", "b/compose.yaml")
    assert infra_audit("baseline", cwd=tmp_path).code == 2
    assert not (tmp_path / ".infra-audit-baseline.json").exists()


def test_the_baseline_can_be_left_out_and_named(known: Path) -> None:
    assert len(active(known, "--baseline", "none")) > 5
    os.rename(known / ".infra-audit-baseline.json", known / "other.json")
    assert len(active(known)) > 5
    assert active(known, "--baseline", "other.json") == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "deployments": {}}', '{"version": 1, "deployments": [1]}']
)
def test_what_is_no_baseline_is_one_clear_line(tmp_path: Path, text: str) -> None:
    write(tmp_path, COMPOSE)
    write(tmp_path, text, ".infra-audit-baseline.json")
    ran = infra_audit("check", cwd=tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("infra-audit: .infra-audit-baseline.json: ") or ":1:1: no JSON" in ran.err


# -- ignores that end -----------------------------------------------------------------------------

IGNORED = """\
services:
  a:
    image: x:1
    mem_limit: 1g
    # infra-audit: ignore[reservation-above-limit] {} moved next month
    mem_reservation: 2g
"""


def reservation(folder: Path) -> dict[str, Any]:
    found = report(folder)["findings"]
    [one] = [one for one in found if one["policy"] == "reservation-above-limit"]
    assert not [one for one in found if one["policy"] == "ignore-unused"]
    return dict(one)


def test_an_ignore_holds_until_its_day(tmp_path: Path) -> None:
    write(tmp_path, IGNORED.format("until 9999-12-31:"))
    assert reservation(tmp_path)["suppressed"]["reason"] == "moved next month"


def test_an_ignore_that_ended_brings_the_finding_back_with_a_word(tmp_path: Path) -> None:
    write(tmp_path, IGNORED.format("until 2024-01-31"))
    found = reservation(tmp_path)
    assert found["suppressed"] is None
    assert found["related"][-1] == {
        "file": "compose.yaml",
        "line": 5,
        "column": 5,
        "note": "this ignore ended on 2024-01-31",
    }


@pytest.mark.parametrize("day", ["2027-02-30", "2027-1-1", "31-12-2027"])
def test_a_day_that_does_not_exist_is_told(tmp_path: Path, day: str) -> None:
    write(tmp_path, IGNORED.format(f"until {day}"))
    messages = [one["message"] for one in report(tmp_path)["findings"] if one["policy"] == "ignore-without-reason"]
    assert messages == [f"{day} is no day; write one as 2027-01-31"]


def test_a_day_is_no_reason(tmp_path: Path) -> None:
    write(tmp_path, IGNORED.replace(" moved next month", "").format("until 9999-12-31"))
    assert ("ignore-without-reason", tmp_path.name) in active(tmp_path)


def test_ignores_and_rules_of_the_configuration_end_too(tmp_path: Path) -> None:
    write(tmp_path, IGNORED.replace("    # infra", "    # other"))
    config = """\
ignore:
  - {{policy: reservation-above-limit, reason: moved, until: {day}}}
rules:
  pids-limit: {{enabled: false, reason: later, until: {day}}}
"""
    write(tmp_path, config.format(day="9999-12-31"), ".infra-audit.yaml")
    assert reservation(tmp_path)["suppressed"]
    assert "pids-limit" not in {policy for policy, _ in active(tmp_path)}
    write(tmp_path, config.format(day="2024-01-31"), ".infra-audit.yaml")
    assert reservation(tmp_path)["related"][-1]["note"] == "this ignore ended on 2024-01-31"
    assert "pids-limit" in {policy for policy, _ in active(tmp_path)}
    text = " ".join(infra_audit("check", cwd=tmp_path).out.split())
    assert "the rule for pids-limit ended on 2024-01-31 (.infra-audit.yaml:4:3) and no longer counts" in text
    write(tmp_path, config.format(day="2027-02-30"), ".infra-audit.yaml")
    ran = infra_audit("check", cwd=tmp_path)
    assert (ran.code, ran.err) == (
        2,
        "infra-audit: .infra-audit.yaml:2:54: '2027-02-30' is no day; write one as 2027-01-31\n",
    )


def test_days() -> None:
    assert is_date("2028-02-29")
    assert not is_date("2027-02-29")
    assert not is_over("")
    assert not is_over("9999-12-31")
    assert is_over("2020-01-01")


# -- paths ----------------------------------------------------------------------------------------


def test_a_path_has_its_own_rules_and_plan(tmp_path: Path) -> None:
    bad = "services:\n  a:\n    image: redis:7.4.1\n    mem_limit: 1g\n    mem_reservation: 2g\n"
    for folder in ("legacy/one", "legacy/two", "new"):
        write(tmp_path, bad, f"{folder}/compose.yaml")
    config = """\
paths:
  "legacy/":
    rules:
      reservation-above-limit: {severity: info, reason: nobody starts these}
  "legacy/two/*":
    rules:
      reservation-above-limit: {enabled: false, reason: frozen}
ignore:
  - {policy: cpu-limit, path: "new/*", reason: measured}
"""
    write(tmp_path, config, ".infra-audit.yaml")
    found = report(tmp_path)["findings"]
    told = {one["file"]: one["severity"] for one in found if one["policy"] == "reservation-above-limit"}
    assert told == {"legacy/one/compose.yaml": "info", "new/compose.yaml": "error"}
    ignored = {one["file"] for one in found if one["suppressed"]}
    assert ignored == {"new/compose.yaml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paths: {x: {rules: {cpu-limitt: {enabled: false, reason: y}}}}", "no policy is called cpu-limitt"),
        ("paths: {x: {rule: {}}}", "unknown key `rule`; did you mean `rules`?"),
    ],
)
def test_what_a_path_misspells_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, COMPOSE)
    write(tmp_path, text, ".infra-audit.yaml")
    ran = infra_audit("check", cwd=tmp_path)
    assert ran.code == 2
    assert message in ran.err


# -- changed lines --------------------------------------------------------------------------------


def git(folder: Path, *args: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    repo = tmp_path / "répo"
    repo.mkdir()
    write(repo, COMPOSE, 'deploy "x"/compose.yaml')
    git(repo, "init", "-q")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "one")
    return repo


def since(repo: Path, text: str, *args: str) -> list[tuple[str, str]]:
    write(repo, text, 'deploy "x"/compose.yaml')
    return active(repo, "--since", "HEAD", *args)


def test_unchanged_lines_give_nothing(repository: Path) -> None:
    assert since(repository, COMPOSE) == []
    text = infra_audit("check", "--plan", "none", "--since", "HEAD", cwd=repository).out
    assert re.search(r"\d+ findings left out: their lines did not change since HEAD", " ".join(text.split()))


def test_findings_on_new_lines_are_given(repository: Path) -> None:
    assert since(repository, "# moved\n" + COMPOSE + "    mem_reservation: 2g\n") == [
        ("reservation-above-limit", "worker")
    ]


def test_a_new_service_is_new_as_a_whole(repository: Path) -> None:
    found = since(repository, COMPOSE + "  new:\n    image: example/new:1.0\n")
    assert {subject for _, subject in found} == {"new"}
    assert ("memory-limit", "new") in found


def test_a_finding_counts_where_what_it_rests_on_changed(repository: Path) -> None:
    """The limit was lowered; maxmemory, which no longer fits, stands on another line."""
    lowered = COMPOSE.replace("mem_limit: 2g", "mem_limit: 2100m")
    assert since(repository, lowered) == [("redis-maxmemory-headroom", "cache")]


def test_a_limit_that_was_taken_out_is_found_at_its_service(repository: Path) -> None:
    found = since(repository, COMPOSE.replace("    mem_limit: 1g\n    cpus: 1\n  worker", "    cpus: 1\n  worker"))
    assert ("memory-limit", "web") in found
    assert {subject for _, subject in found} == {"web"}


def test_files_that_git_does_not_track_count_as_changed(repository: Path) -> None:
    write(repository, COMPOSE, "other/compose.yaml")
    assert ("redis-maxmemory-headroom", "cache") in active(repository, "--since", "HEAD")


def test_the_command_may_run_in_a_folder_below(repository: Path) -> None:
    write(repository, COMPOSE + "    mem_reservation: 2g\n", 'deploy "x"/compose.yaml')
    assert active(repository / 'deploy "x"', "--since", "HEAD") == [("reservation-above-limit", "worker")]


@pytest.mark.parametrize("revision", ["no-such", "--output=/tmp/x", ""])
def test_a_revision_that_git_does_not_know(repository: Path, revision: str) -> None:
    ran = infra_audit("check", f"--since={revision}", cwd=repository)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "git knows no revision" in ran.err


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UsageError, match="git says: not a git repository"):
        Changes("HEAD", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs git"):
        Changes("HEAD", str(tmp_path))


def test_an_ignore_of_an_unchanged_line_is_not_called_unused(repository: Path) -> None:
    text = COMPOSE.replace("--requirepass ${CACHE_PASSWORD}", "# infra-audit: ignore[redis-maxmemory-headroom] known")
    since(repository, text)
    git(repository, "commit", "-q", "-a", "-m", "two")
    assert since(repository, text) == []
