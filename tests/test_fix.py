"""``infra-audit fix``: the edit and nothing else, in the file that owns the value, or a refusal that says why."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infra_audit.finding import Edit
from infra_audit.fixes.apply import apply
from infra_audit.fixes.splice import Refused, splice
from infra_audit.source import Source, Span
from tests.command import Ran, infra_audit
from tests.examples import Example, documents, examples, judged

COMPOSE = """\
version: "3.8"   # long ago
# what runs
services:
  web:
    image: "nginx:1.27.2"   # pinned
    cpus: 1.5
    mem_limit: '512m'
    deploy: {replicas: 1}

  worker:
    image: example/worker:1
    mem_limit: 1g   # enough
    command: |
      a
       b
volumes:
  used: {}
  left-over:
    driver: local
    # why it was there
    labels:
    - a=b
  other: {}
"""
PLAN = """\
plan: p
roles:
  web: {cpus: 2, memory: 1GiB, replicas: 3}
  worker: {memory: 1536MiB}
"""
FIXED = (
    COMPOSE.replace('version: "3.8"   # long ago\n', "")
    .replace("cpus: 1.5", "cpus: 2")
    .replace("'512m'", "'1GiB'")
    .replace("replicas: 1", "replicas: 3")
    .replace("1g   # enough", "1.5GiB   # enough")
    .replace("  left-over:\n    driver: local\n    # why it was there\n    labels:\n    - a=b\n", "")
    .replace("  other: {}\n", "")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = COMPOSE.replace("    command: |", "    volumes: [used:/data]\n    command: |")
    (tmp_path / "compose.yaml").write_text(text)
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


def fix(folder: Path, *args: str) -> Ran:
    ran = infra_audit("fix", "--plan", "plan.yaml", *args, cwd=folder)
    assert ran.code == 0, ran.err
    return ran


def test_every_other_byte_stays(folder: Path) -> None:
    assert fix(folder).out.endswith("fixed 7 findings in 1 file\n")
    fixed = FIXED.replace("    command: |", "    volumes: [used:/data]\n    command: |")
    assert (folder / "compose.yaml").read_text() == fixed


def test_a_second_run_changes_nothing(folder: Path) -> None:
    fix(folder)
    once = (folder / "compose.yaml").read_bytes()
    assert fix(folder).out == "fixed 0 findings in 0 files\n"
    assert (folder / "compose.yaml").read_bytes() == once


def test_a_diff_writes_nothing(folder: Path) -> None:
    before = (folder / "compose.yaml").read_bytes()
    out = fix(folder, "--diff").out
    assert "--- a/compose.yaml\n+++ b/compose.yaml\n" in out
    assert "-    cpus: 1.5\n" in out
    assert "+    cpus: 2\n" in out
    assert out.endswith("would fix 7 findings in 1 file\n")
    assert (folder / "compose.yaml").read_bytes() == before


def test_one_policy_alone(folder: Path) -> None:
    fix(folder, "--policy", "compose-obsolete-version")
    assert (folder / "compose.yaml").read_text().startswith("# what runs\n")
    assert "left-over" in (folder / "compose.yaml").read_text()


def test_what_changes_what_runs_is_asked_for(folder: Path) -> None:
    fix(folder)
    assert "restart:" not in (folder / "compose.yaml").read_text()
    fix(folder, "--unsafe")
    text = (folder / "compose.yaml").read_text()
    assert text.count("    restart: unless-stopped\n") == 2
    assert text.count("    security_opt:\n      - no-new-privileges:true\n") == 2
    assert "       b\n    " in text
    assert fix(folder, "--unsafe").out == "fixed 0 findings in 0 files\n"


def test_the_edit_goes_to_the_file_that_owns_the_value(tmp_path: Path) -> None:
    base = "services:\n  web:\n    image: x:1\n    mem_limit: 512m\n"
    (tmp_path / "compose.yaml").write_text(base)
    (tmp_path / "compose.prod.yaml").write_text("services: {web: {mem_limit: 256m}}\n")
    (tmp_path / "plan.yaml").write_text("plan: p\nroles: {web: {memory: 1GiB}}\n")
    fix(tmp_path, "-f", "compose.yaml", "-f", "compose.prod.yaml")
    assert (tmp_path / "compose.yaml").read_text() == base
    assert (tmp_path / "compose.prod.yaml").read_text() == "services: {web: {mem_limit: 1GiB}}\n"


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    text = "\ufeffservices:\r\n  web:\r\n    image: x:1\r\n    mem_limit: 512m\r\n    cpus: 1"
    (tmp_path / "compose.yaml").write_bytes(text.encode())
    (tmp_path / "plan.yaml").write_text("plan: p\nroles: {web: {memory: 1GiB}}\n")
    fix(tmp_path)
    assert (tmp_path / "compose.yaml").read_bytes() == text.replace("512m", "1GiB").encode()
    fix(tmp_path, "--unsafe", "--policy", "restart-policy")
    after = (tmp_path / "compose.yaml").read_bytes()
    assert after == (text.replace("512m", "1GiB") + "\r\n    restart: unless-stopped\r\n").encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x: &l 512m\nservices:\n  web: {image: x:1, mem_limit: *l}\n", "an anchor"),
        ("services:\n  web: {image: x:1, mem_limit: '${M:-512m}'}\n", "a variable"),
        (
            "services:\n  base: {image: x:1, mem_limit: 512m}\n  web:\n    extends: {service: base}\n",
            "a service that it extends",
        ),
        (
            "x-b: &b {image: x:1, mem_limit: 512m}\nservices:\n  web: {<<: *b}\n",
            "a merge key",
        ),
    ],
)
def test_a_value_that_others_share_is_not_touched(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    (tmp_path / "plan.yaml").write_text("plan: p\nroles: {web: {memory: 1GiB}}\n")
    out = fix(tmp_path).out
    assert why in out
    assert "not fixed" in out
    assert (tmp_path / "compose.yaml").read_text() == text


def edit(text: str, kind: str, value: object, line: int, start: int, end: int) -> str:
    return splice(
        text,
        Edit(
            kind,
            value,
            Source("f.yaml", text).span(0, 0)._replace(line=line, column=start, end_line=line, end_column=end),
        ),
    )


@pytest.mark.parametrize(
    ("text", "kind", "value", "at", "why"),
    [
        ("a: &x 1\nb: *x\n", "set", "2", (1, 4, 8), "several places"),
        ("a: {b: 1, c: 2}\n", "remove", "b", (1, 5, 6), "shares its line"),
        ("a:\n  b: 1\n", "remove", "b", (2, 3, 4), "only entry"),
        ("a:\n  b: 1\n", "remove", "c", (2, 3, 4), "another key"),
        ("a: {b: 1}\n", "add", {"c": 1}, (1, 1, 2), "one line"),
        ("a:\n  b: 1\n", "add", {"b": 2}, (1, 1, 2), "there already"),
        ("a: 1\n", "set", "x: y", (1, 4, 5), "without quotes"),
        ("a: 1\n", "set", "2", (1, 3, 4), "no longer there"),
        ("a: |\n  1\n", "set", "2", (1, 1, 2), "no plain value"),
        ("a: 1\na: 2\n", "set", "3", (1, 4, 5), "the file is broken: the key a is given twice"),
    ],
)
def test_an_edit_that_would_be_more_is_refused(
    text: str, kind: str, value: object, at: tuple[int, int, int], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        edit(text, kind, value, *at)


def test_an_edit_keeps_quotes_and_comments() -> None:
    assert edit('a: "1"  # b\n', "set", "2", 1, 4, 7) == 'a: "2"  # b\n'
    assert edit("a:\n  - b\n# c\nd: 1\n", "remove", "a", 1, 1, 2) == "# c\nd: 1\n"
    assert edit("a:\n  b: 1\n\nc: 1\n", "add", {"d": {"e": ["f"]}}, 1, 1, 2) == (
        "a:\n  b: 1\n  d:\n    e:\n      - f\n\nc: 1\n"
    )


CONF = '# maxclients 1\r\nmaxclients 4000\t\r\n  MAXMEMORY "1gb"\r\ninclude more.conf\r\nsave 900 1\r\n'


def conf(value: object, line: int, column: int, end: int, kind: str = "set") -> str:
    return splice(CONF, Edit(kind, value, Span(Source("redis.conf", CONF), line, column, line, end)))


def test_a_value_of_redis_conf_is_set_and_every_other_byte_stays() -> None:
    assert conf("10000", 2, 12, 16) == CONF.replace("4000", "10000")
    assert conf("1536mb", 3, 13, 18) == CONF.replace('"1gb"', "1536mb")


@pytest.mark.parametrize(
    ("value", "line", "column", "end", "kind"),
    [
        ("10000", 2, 1, 11, "set"),  # the name
        ("10000", 1, 14, 15, "set"),  # in a comment
        ("900 1", 5, 6, 9, "set"),  # one of two words
        ("a b", 2, 12, 16, "set"),
        ("other.conf", 4, 9, 18, "set"),  # another file
        ("maxclients", 2, 12, 16, "remove"),
    ],
)
def test_what_is_not_set_in_redis_conf(value: str, line: int, column: int, end: int, kind: str) -> None:
    with pytest.raises(Refused, match="no plain value stands there"):
        conf(value, line, column, end, kind)


def test_a_secret_of_a_plan_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {cache: {image: 'redis:7.4', command: [redis-server, --requirepass, planted-4711]}}\n"
    )
    (tmp_path / "plan.yaml").write_text("plan: p\nroles: {cache: {settings: {requirepass: planted-4712}}}\n")
    ran = infra_audit("fix", "--plan", "plan.yaml", "--diff", "--policy", "redis-settings", cwd=tmp_path)
    assert "a secret is written down nowhere" in ran.out + ran.err
    assert "planted" not in ran.out + ran.err


EDITING = [
    example
    for document in documents()
    if any(check.edit for check in document.policy.checks)
    for example in examples(document)
    if example.kind == "bad"
]


@pytest.mark.parametrize("example", EDITING, ids=lambda example: str(example.id))
def test_a_finding_that_is_fixed_is_gone(example: Example, tmp_path: Path) -> None:
    """On the examples of every policy that has an edit, also of those that change what runs."""
    outcome = apply(judged(example, tmp_path).findings, unsafe=True)
    assert outcome.made or outcome.refused
    edited = {os.path.relpath(change.source.location, tmp_path): change.text for change in outcome.changes}
    again = judged(example._replace(files=example.files | edited), tmp_path)
    fixed = {finding.subject for finding in outcome.made}
    assert not [finding for finding in again.findings if finding.subject in fixed and finding.edits]
    second = apply(again.findings, unsafe=True)
    assert (second.made, second.changes) == ([], [])


def test_the_json_report_says_what_is_fixable(folder: Path) -> None:
    found = json.loads(infra_audit("check", "--plan", "plan.yaml", "--format", "json", cwd=folder).out)["findings"]
    assert {one["policy"] for one in found if one["fixable"]} == {
        "compose-obsolete-version",
        "documented-cpus",
        "documented-memory",
        "documented-replicas",
        "volume-unused",
    }
