"""Each documented number of the stack, changed on its line alone, is one error on exactly that line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from infra_audit.audit import Request, audit
from infra_audit.finding import Report, Severity
from tests.command import ROOT, infra_audit
from tests.fixtures import STACK, line_of

BASE, PRODUCTION, REDIS = "docker-compose.yml", "docker-compose.prod.yml", "redis/redis.conf"


class Number(NamedTuple):
    """A documented number: the lines that say it, and what to write instead of the group ``number``.

    ``times``: on how many lines it stands. Values far below and far above show that no other policy
    speaks up about what only follows: a budget, a reservation, a setting that no longer fits.
    """

    file: str
    line: str
    instead: str
    policy: str
    times: int = 1


NUMBERS = [
    Number(PRODUCTION, r'          cpus: "(?P<number>4)"', "2 3 0.5 64", "documented-cpus"),
    Number(PRODUCTION, r"          memory: (?P<number>6G)", "2G 4G 6143M 512M 64G", "documented-memory"),
    Number(PRODUCTION, r"      replicas: (?P<number>4)", "2 3 5 1 0 50", "documented-replicas", 2),
    Number(PRODUCTION, r"      replicas: (?P<number>3)", "2 4 1 0 50", "documented-replicas"),
    Number(PRODUCTION, r'      - "(?P<number>8080):8080"', "80 8081", "documented-ports"),
    Number(BASE, r'      - "127\.0\.0\.1:(?P<number>15673):15672"', "15672", "documented-ports"),
    Number(BASE, r'      - "127\.0\.0\.1:(?P<number>9091):9090"', "9090", "documented-ports"),
    Number(BASE, r'      - "127\.0\.0\.1:(?P<number>3001):3000"', "3000", "documented-ports"),
    Number(BASE, r'      SCRAPER_CONCURRENT_REQUESTS: "(?P<number>12)"', "8 16", "documented-environment"),
    Number(BASE, r'      SCRAPER_DOWNLOAD_DELAY: "(?P<number>0\.8)"', "1 0.5", "documented-environment"),
    Number(BASE, r"      interval: (?P<number>30s)", "10s 1m 3s", "healthcheck-timing", 17),
    Number(BASE, r"      timeout: (?P<number>5s)", "10s 1m", "healthcheck-timing", 16),
    Number(BASE, r"      timeout: (?P<number>20s)", "5s 1m", "healthcheck-timing"),
    Number(BASE, r'      test: .*:80[08]0(?P<number>/health)"\]', "/ /status", "healthcheck-endpoint", 4),
    Number(
        BASE,
        r"        - subnet: (?P<number>172\.(?:28|29|30)\.0\.0/16)",
        "172.18.0.0/16 172.28.0.0/24 172.29.0.0/16 172.30.0.0/16 10.0.0.0/29 11.0.0.0/16",
        "documented-subnet",
        3,
    ),
    Number(BASE, r'      com\.docker\.network\.driver\.mtu: "(?P<number>1500)"', "1400 9000", "documented-mtu", 4),
    Number(REDIS, r"maxclients (?P<number>10000)", "9999 1000 20000", "redis-settings"),
    Number(REDIS, r"tcp-keepalive (?P<number>60)", "300 0", "redis-settings"),
]

LIMITS = {
    "redis": ("2", "2G"),
    "rabbitmq": ("2", "2G"),
    "scraper-1001tracklists": ("1.5", "1.5G"),
    "data-transformer": ("2", "2G"),
    "rest-api": ("1.5", "1.5G"),
}
"""The documented limits of CPUs and memory that other services have, too."""


class Change(NamedTuple):
    """One line of the stack with a number other than the documented one."""

    file: str
    line: int
    text: str
    policy: str

    @property
    def id(self) -> str:
        return f"{self.file}:{self.line} {self.text.strip()}"


def lines_of(number: Number) -> Iterator[tuple[int, re.Match[str]]]:
    for line, text in enumerate((STACK / number.file).read_text().split("\n"), 1):
        match = re.fullmatch(number.line, text)
        if match:
            yield line, match


def changes() -> Iterator[Change]:
    for number in NUMBERS:
        for line, match in lines_of(number):
            start, end = match.span("number")
            for value in number.instead.split():
                if value != match["number"]:
                    text = match.string[:start] + value + match.string[end:]
                    yield Change(number.file, line, text, number.policy)
    yield from limits()


def limits() -> Iterator[Change]:
    """Changes of the limits that are found by their service, for their line alone does not tell it."""
    root = yaml.compose((STACK / PRODUCTION).read_text(), yaml.CSafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for name, service in root.value[0][1].value:
        cpus, memory = LIMITS.get(name.value, ("", ""))
        if not cpus:
            continue
        wanted = {"cpus": (cpus, '"0.25" "1" "3" "32"', "documented-cpus")}
        wanted["memory"] = (memory, "256M 1G 3G 64G", "documented-memory")
        for path, node in scalars(service):
            if path[-3:-1] == ("resources", "limits") and path[-1] in wanted:
                value, instead, policy = wanted[path[-1]]
                assert node.value == value, f"{name.value}: {path[-1]} is {node.value}, documented is {value}"
                for other in instead.split():
                    yield Change(PRODUCTION, node.start_mark.line + 1, f"          {path[-1]}: {other}", policy)


def scalars(node: yaml.Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from scalars(value, (*path, key.value))


def judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.chdir(folder)
    return audit(Request(paths=(PRODUCTION,)))


def told(report: Report) -> list[tuple[str, str]]:
    found = [finding for finding in report.active() if finding.severity >= Severity.warning]
    return [(finding.policy, line_of(finding.place)) for finding in found]


def test_the_stack_itself_has_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(STACK, monkeypatch)
    assert told(report) == []
    assert report.exit_code(Severity.warning) == 0


def test_the_report_says_what_was_merged_and_judged_against() -> None:
    ran = infra_audit("check", "stack/docker-compose.prod.yml", "--fail-on", "warning", cwd=ROOT)
    assert ran.code == 0
    assert "merged stack/docker-compose.yml + stack/docker-compose.prod.yml" in ran.out
    assert "judged against plan reference: 17 of 17 roles found" in ran.out


def test_what_is_not_decided_is_what_the_template_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = judged(STACK, monkeypatch).gaps
    assert len(gaps) == 5
    assert all(re.fullmatch(r"the required variable \w+_PASSWORD has no value here \(\S+\)", gap.why) for gap in gaps)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.line.strip())
def test_a_number_is_written_as_often_as_it_is_documented(number: Number) -> None:
    assert len(list(lines_of(number))) == number.times


def test_every_documented_limit_is_changed() -> None:
    assert len(list(limits())) == len(LIMITS) * 8


@pytest.mark.parametrize("change", list(changes()), ids=lambda change: change.id)
def test_a_change_is_one_error_on_its_line(change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stack"
    shutil.copytree(STACK, folder)
    lines = (folder / change.file).read_text().split("\n")
    assert lines[change.line - 1] != change.text
    lines[change.line - 1] = change.text
    (folder / change.file).write_text("\n".join(lines))
    report = judged(folder, monkeypatch)
    assert told(report) == [(change.policy, f"{change.file}:{change.line}")]
    assert report.exit_code(Severity.error) == 1


def test_a_plan_that_nobody_adopted_asks_for_no_alerts(tmp_path: Path) -> None:
    compose = "services: {prometheus: {image: 'prom/prometheus:v3.5.0'}, cache: {image: 'redis:7.4.1'}}\n"
    (tmp_path / "compose.yaml").write_text(compose)

    def asked(*args: str) -> set[str]:
        report = json.loads(infra_audit("check", "--format", "json", *args, cwd=tmp_path).out)
        return {one["policy"] for one in report["findings"]}

    assert "documented-cpus" in asked()
    assert "documented-alerts" not in asked()
    assert "documented-alerts" in asked("--plan", "reference")
