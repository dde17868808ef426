"""Projects that are found without a word about them: their files and their configuration, by their labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.command import infra_audit
from tests.lab.fixtures import active
from tests.lab.small import IMAGE, Small

pytestmark = pytest.mark.xdist_group("small")

APP = f"""
services:
  app:
    image: {IMAGE}
    command: sleep 1000
    network_mode: none
    environment: {{LEVEL: "${{LEVEL:-quiet}}"}}
"""
OFF = "rules: {memory-limit: {enabled: false, reason: the machine has one container}}\n"


def test_files_and_configuration_are_those_of_the_project(small: Small, tmp_path: Path) -> None:
    quay, harbour = tmp_path / "quay", tmp_path / "harbour"
    with small.project(quay, APP), small.project(harbour, APP):
        (quay / ".infra-audit.yaml").write_text(OFF)
        without = {name: active(small.report("-p", name, cwd=tmp_path)) for name in ("quay", "harbour")}
        assert ("memory-limit", "app") in without["harbour"] - without["quay"]
        here = active(small.report("-p", "harbour", cwd=quay))
        assert here == without["harbour"]
        both = small.report("--all", cwd=tmp_path)
        named = {(one["deployment"], one["policy"]) for one in both["findings"]}
        assert ("harbour", "memory-limit") in named
        assert ("quay", "memory-limit") not in named
        assert [one["name"] for one in both["deployments"]] == ["harbour", "quay"]
        chosen = active(small.report("-p", "harbour", "--config", quay / ".infra-audit.yaml", cwd=tmp_path))
        assert ("memory-limit", "app") not in chosen


def test_a_broken_configuration_is_one_line(small: Small, tmp_path: Path) -> None:
    with small.project(tmp_path / "pier", APP):
        (tmp_path / "pier" / ".infra-audit.yaml").write_text("rules: {no-such-policy: {enabled: false, reason: x}}\n")
        ran = small.live("-p", "pier", cwd=tmp_path)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "no policy is called no-such-policy" in ran.err


def test_env_files_are_those_that_the_project_was_made_with(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "dock"
    folder.mkdir()
    (folder / "loud.env").write_text("LEVEL=loud\n")
    with small.project(folder, APP, "--env-file", "loud.env"):
        assert "drift-environment" not in {policy for policy, _ in active(small.report("-p", "dock", cwd=tmp_path))}
        (folder / "loud.env").write_text("LEVEL=louder\n")
        assert ("drift-environment", "dock-app-1") in active(small.report("-p", "dock", cwd=tmp_path))


def test_files_that_went_are_told_and_the_rest_is_judged(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "jetty"
    with small.project(folder, APP):
        shutil.rmtree(folder)
        ran = small.live("-p", "jetty", "--width", "400", cwd=tmp_path)
    assert f"({folder}/compose.yaml is not here): drift is not judged; name them with -f" in ran.out
    assert "memory-limit" in ran.out


def test_files_on_another_host_are_not_looked_for_here(small: Small, tmp_path: Path) -> None:
    with small.project(tmp_path / "ferry", APP):
        (tmp_path / "ferry" / ".infra-audit.yaml").write_text(OFF)
        saved = tmp_path / "saved.json"
        small.report("-p", "ferry", "--save", saved)
        ran = small.live("--replay", saved, "--width", "400", cwd=tmp_path)
    assert "drift is not judged" in ran.out
    assert "memory-limit" in ran.out


def test_paths_are_compared_below_the_folder_of_the_project(small: Small, tmp_path: Path) -> None:
    mounted = APP + "    volumes: ['./data:/data', './:/all:ro', '/tmp:/host']\n"
    copy = tmp_path / "copy"
    (tmp_path / "wharf" / "data").mkdir(parents=True)
    with small.project(tmp_path / "wharf", mounted):
        shutil.copytree(tmp_path / "wharf", copy)
        args = ("-p", "wharf", "-f", copy / "compose.yaml")
        assert "drift-mounts" not in {policy for policy, _ in active(small.report(*args, cwd=tmp_path))}
        (copy / "compose.yaml").write_text(mounted.replace("./data", "./other"))
        report = small.report(*args, cwd=tmp_path)
    told = sorted(one["message"] for one in report["findings"] if one["policy"] == "drift-mounts")
    assert told == [
        f"wharf-app-1: mount {tmp_path}/wharf/data:/data is not declared",
        f"wharf-app-1: mount {tmp_path}/wharf/other:/data is missing",
    ]


def test_files_of_one_project_are_not_compared_with_all(tmp_path: Path) -> None:
    ran = infra_audit("live", "--all", "-f", "compose.yaml", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "-f names the files of one project: not with --all" in ran.err
