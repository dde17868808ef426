"""Faults that are planted in a small project, each found at its subject and taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.small import IMAGE, Small

pytestmark = pytest.mark.xdist_group("small")

APP = f"""
services:
  app:
    image: {IMAGE}
    command: sleep 1000
    network_mode: none
    init: true
    healthcheck: {{test: [CMD, sleep, "0"], interval: 1m}}
    volumes: ["data:/data"]
volumes: {{data: {{}}}}
"""


@pytest.fixture(scope="module")
def yard(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a project that runs; its file is changed and not what runs from it."""
    folder = tmp_path_factory.mktemp("projects") / "yard"
    with small.project(folder, APP):
        yield folder


def found(small: Small, yard: Path, policy: str, text: str = APP) -> list[dict[str, Any]]:
    (yard / "compose.yaml").write_text(text)
    findings: list[dict[str, Any]] = small.report("-p", "yard", "--policy", policy)["findings"]
    return findings


@pytest.mark.parametrize(
    ("policy", "old", "new", "value", "expected"),
    [
        ("drift-command", "sleep 1000", "sleep 2000", "the command is another", None),
        ("drift-command", "init: true", "entrypoint: [env]", "the entrypoint is another", None),
        ("drift-healthcheck", '"0"', '"1"', "the test is another", None),
        ("drift-healthcheck", "interval: 1m", "interval: 30s", "interval is 1m0s", "30s"),
        ("drift-healthcheck", "interval: 1m", "interval: 1m, retries: 9", "retries is not set", 9),
        ("drift-mounts", '["data:/data"]', '["data:/data:ro"]', "mount data:/data:ro is missing", None),
        ("drift-mounts", '["data:/data"]', '["data:/data", "./x:/x"]', "mount {yard}/x:/x is missing", None),
    ],
)
def test_what_the_files_say_otherwise(
    small: Small, yard: Path, policy: str, old: str, new: str, value: str, expected: object
) -> None:
    assert found(small, yard, policy) == []
    one = found(small, yard, policy, APP.replace(old, new))[0]
    assert one["subject"] == {"kind": "container", "name": "yard-app-1"}
    assert (one["value"], one["expected"]) == (value.replace("{yard}", str(yard)), expected)
    assert any(place["file"].endswith("yard/compose.yaml") for place in one["related"])


def test_limits_above_what_the_host_has(small: Small, tmp_path: Path) -> None:
    cpus = os.cpu_count() or 1
    limits = f"scale: 2, cpus: {cpus}, mem_limit: 8192g"
    text = f"services: {{greedy: {{image: '{IMAGE}', network_mode: none, init: true, {limits}}}}}\n"
    with small.project(tmp_path / "host", text):
        findings = small.report("-p", "host", "--policy", "budget-host")["findings"]
    assert {one["message"].split(", the host has ")[0] for one in findings} == {
        f"host: limits of {2 * cpus} CPUs",
        "host: limits of 16 TiB memory",
    }
