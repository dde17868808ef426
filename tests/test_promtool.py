"""What promtool says, at our places; without promtool a gap, never a pass."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from infra_audit.facts.registry import Item, Known, evaluate
from infra_audit.monitoring import promtool
from infra_audit.source import Source
from tests.loaded import deployed


@pytest.fixture
def real_promtool() -> None:
    """The real program; where it cannot be had the test is skipped, which fails in CI."""
    if shutil.which("promtool") is None:
        reason = "promtool is not installed (Debian's package prometheus)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


COMPOSE = """
services:
  prometheus:
    image: prom/prometheus:v2.42.0
    volumes: ["./p:/etc/prometheus:ro"]
"""
CONFIG = "rule_files: [rules.yml]\n"
HEAD = "groups:\n  - name: a\n    rules:\n      - alert: A\n"


def found(folder: Path, files: dict[str, str], kind: str, name: str, fact: str) -> list[Item]:
    subject = deployed(folder, COMPOSE, files).subject(kind, name)
    assert subject is not None
    result = evaluate(subject, fact)
    assert isinstance(result, Known)
    return list(result.value)


@pytest.mark.usefixtures("real_promtool")
@pytest.mark.parametrize(
    ("rule", "line", "text"),
    [
        ("        expr: up ==\n", 5, "up =="),
        ("        expr: sum(up\n", 5, "sum(up"),
        ("        expr: |\n          sum(\n            rate(up))\n", 7, "up"),
        ("        expr: up\n        for: 5 minutes\n", 6, "5 minutes"),
        ("        expr: up\n        fore: 5m\n", 6, "fore"),
        ('        expr: up\n        annotations: {a: "{{ nope }}"}\n', 6, '"{{ nope }}"'),
    ],
)
def test_a_complaint_stands_where_the_file_is_wrong(rule: str, line: int, text: str, tmp_path: Path) -> None:
    files = {"p/prometheus.yml": CONFIG, "p/rules.yml": HEAD + rule}
    [item] = found(tmp_path, files, "rule_file", "p/rules.yml", "rules.invalid")
    place = item.because[0].span
    assert place.line == line
    assert place.text in text or text in place.text


@pytest.mark.usefixtures("real_promtool")
def test_fields_of_a_newer_prometheus_are_not_decided(tmp_path: Path) -> None:
    compose = COMPOSE.replace("v2.42.0", "v3.5.0")
    files = {"p/prometheus.yml": "newest_section: {}\nscrape_config: []\n"}
    subject = deployed(tmp_path, compose, files).service("prometheus")
    assert subject is not None
    result = evaluate(subject, "prometheus.config_errors")
    assert isinstance(result, Known)
    assert [(item.unknown, "newest_section" in item.text) for item in result.value] == [(True, True), (False, False)]


@pytest.mark.usefixtures("real_promtool")
def test_all_files_are_checked_in_one_call() -> None:
    texts = [Source("rules.yml", HEAD + f"        expr: {expr}\n") for expr in ("up", "up(", "up")]
    call = promtool.check_rules(texts)
    assert [len(call.complaints(index)) for index in range(3)] == [0, 1, 0]
    assert promtool.check_rules(texts) is call


def test_without_promtool_only_what_is_surely_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path / "nothing"))
    rules = HEAD + "        expr: up unless sum(nothing)\n      - alert: B\n        expr: sum(without_promtool\n"
    items = found(
        tmp_path, {"p/prometheus.yml": CONFIG, "p/rules.yml": rules}, "rule_file", "p/rules.yml", "rules.invalid"
    )
    assert [(item.unknown, item.text) for item in items] == [
        (False, "B: unclosed left parenthesis"),
        (True, "promtool is not installed"),
    ]


def test_a_promtool_that_does_not_answer_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "promtool"
    program.write_text("#!/bin/sh\necho 'promtool: error: unknown long flag --lint' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(promtool.Unavailable, match="too old"):
        promtool.check_rules([Source("rules.yml", HEAD + "        expr: up > too_old\n")]).complaints()
