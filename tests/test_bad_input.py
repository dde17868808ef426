"""Bad input: one clear line with its place, exit code 2, no traceback, and the other files are still audited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ROOT, Ran, environment, infra_audit

GOOD = "services:\n  web:\n    image: nginx:1.27\n"


def broken(text: str | bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def cycle_of_includes(path: Path) -> None:
    (path.parent / "other.yaml").write_text(f"include: [{path.name}]\nservices: {{}}\n")
    path.write_text("include: [other.yaml]\nservices: {}\n")


def large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)


ALIAS_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)

# what is wrong, how to make it, where the message points (None: the file alone), a word of the message
CASES: dict[str, tuple[Callable[[Path], object], str | None, str]] = {
    "broken-yaml": (broken("services:\n  web: [1, 2\n  x: }\n"), ":3:", ""),
    "a-tab-as-indent": (broken("services:\n\tweb:\n\t\timage: nginx\n"), ":2:1", "tab"),
    "an-open-quote": (broken('services:\n  web:\n    image: "nginx\n'), ":", ""),
    "a-list": (broken("- services\n- web\n"), ":1:1", "mapping"),
    "a-scalar": (broken("hello\n"), ":1:1", "mapping"),
    "an-empty-file": (broken(""), ":1:1", "empty"),
    "only-comments": (broken("# nothing yet\n"), ":1:1", "empty"),
    "invalid-utf-8": (broken(b"services:\n  web:\n    image: ngi\xff\xfenx\n"), ":3:15", "UTF-8"),
    "utf-16": (broken(GOOD.encode("utf-16")), ":1:1", "UTF-8"),
    "a-null-byte": (broken(b"services:\n  web:\n    image: a\x00b\n"), ":3:", ""),
    "an-alias-bomb": (broken(ALIAS_BOMB + "services: {web: {image: nginx}}\n"), ":", "alias"),
    "nesting": (broken("services: " + "[" * 10_000 + "]" * 10_000 + "\n"), ":1:", "deep"),
    "nesting-in-blocks": (broken("".join(" " * n + "a:\n" for n in range(2_000))), ":", "deep"),
    "an-extends-cycle": (
        broken("services:\n  a:\n    extends: b\n  b:\n    extends: {service: a}\n    image: x\n"),
        ":",
        "extends",
    ),
    "an-include-cycle": (cycle_of_includes, "/../other.yaml:1:11", "include"),
    "an-include-of-a-folder": (
        lambda path: path.write_text("include: [../good]\nservices: {}\n"),
        ":1:11",
        "includes good, which cannot be read: is a directory",
    ),
    "an-extends-from-a-fifo": (
        lambda path: (
            os.mkfifo(path.with_name("pipe")),
            path.write_text("services: {web: {extends: {file: pipe, service: web}}}\n"),
        ),
        ":1:34",
        "not a regular file",
    ),
    "a-fifo": (lambda path: os.mkfifo(path), None, "not a regular file"),
    "a-folder": (lambda path: path.mkdir(), None, "no Compose file"),
    "100-megabytes": (large, None, "larger than 16 MiB"),
    "a-missing-file": (lambda path: None, None, "no such file"),
    "a-link-to-itself": (lambda path: path.symlink_to(path.name), None, "links to itself"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "compose.yaml").write_text(GOOD)
    (tmp_path / "bad").mkdir()
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_gives_one_line_and_the_others_are_audited(case: str, folder: Path) -> None:
    make, place, word = CASES[case]
    make(folder / "bad" / "compose.yaml")
    ran = infra_audit("check", "bad/compose.yaml", "good", "--format", "json", cwd=folder, timeout=30)
    assert ran.code == 2, ran
    assert_one_line(ran, os.path.normpath(f"bad/compose.yaml{place or ': '}"), word)
    data = json.loads(ran.out)
    assert len(data["errors"]) == 1
    assert [deployment["name"] for deployment in data["deployments"]] == ["good"]
    assert data["findings"]


@pytest.mark.parametrize("case", ["broken-yaml", "an-alias-bomb", "a-list", "a-fifo", "a-missing-file"])
@pytest.mark.parametrize("command", [("resolve",), ("trace", "services"), ("facts", "web")])
def test_every_command_says_the_same_about_a_bad_file(case: str, command: tuple[str, ...], folder: Path) -> None:
    make, place, word = CASES[case]
    make(folder / "bad" / "compose.yaml")
    ran = infra_audit(*command, "-f", "bad/compose.yaml", cwd=folder, timeout=30)
    assert (ran.code, ran.out) == (2, "")
    assert_one_line(ran, f"bad/compose.yaml{place or ': '}", word)


def assert_one_line(ran: Ran, place: str, word: str) -> None:
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("infra-audit: ")
    assert place in lines[0]
    assert word.lower() in lines[0].lower()
    assert "internal" not in lines[0]
    assert len(lines[0]) < 400


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\xef\xbb\xbf" + GOOD.encode(), id="a-byte-order-mark"),
        pytest.param(GOOD.replace("\n", "\r\n").encode(), id="crlf"),
        pytest.param(GOOD.rstrip("\n").encode(), id="no-line-end"),
        pytest.param((GOOD + "    labels: {where: ünïcödé 🦊}\n").encode(), id="unicode"),
        pytest.param(("# \u65e5\u672c\n" + GOOD).encode(), id="wide-characters"),
        pytest.param(("%YAML 1.2\n---\n" + GOOD + "...\n").encode(), id="directives"),
    ],
)
def test_unusual_and_right_files_are_audited(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(text)
    ran = infra_audit("check", "--format", "json", tmp_path)
    assert ran.code in (0, 1), ran.err
    assert json.loads(ran.out)["findings"]


def test_positions_do_not_move_with_a_byte_order_mark_or_crlf(tmp_path: Path) -> None:
    places = []
    for text in (GOOD, "\ufeff" + GOOD, GOOD.replace("\n", "\r\n")):
        (tmp_path / "compose.yaml").write_bytes(text.encode())
        data = json.loads(infra_audit("check", "--format", "json", tmp_path).out)
        places.append([(finding["line"], finding["column"]) for finding in data["findings"]])
    assert places[0] == places[1] == places[2]
    assert places[0]


def test_numbers_as_service_names_are_judged_as_compose_does(folder: Path) -> None:
    (folder / "bad" / "compose.yaml").write_text("services:\n  404:\n    image: nginx\n  1.5: {image: nginx}\n")
    ran = infra_audit("check", "bad", "--format", "json", cwd=folder)
    data = json.loads(ran.out)
    said = [entry for entry in data["errors"] + data["findings"] if entry["file"] == "bad/compose.yaml"]
    assert said
    assert ran.code in (1, 2)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_a_configuration_that_cannot_be_read_is_not_passed_over(make: Callable[[Path], object], folder: Path) -> None:
    make(folder / "good" / ".infra-audit.yaml")
    ran = infra_audit("check", "good", cwd=folder, timeout=30)
    assert (ran.code, ran.out) == (2, "")
    assert_one_line(ran, "good/.infra-audit.yaml: ", "")


def test_a_fifo_among_the_files_of_a_folder_is_named(folder: Path) -> None:
    os.mkfifo(folder / "bad" / "compose.yaml")
    ran = infra_audit("check", ".", cwd=folder, timeout=30)
    assert ran.code == 2
    assert_one_line(ran, "bad/compose.yaml: ", "not a regular file")


def test_a_folder_without_compose_files_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    ran = infra_audit("check", tmp_path)
    assert ran.code == 2
    assert "no Compose file found" in ran.err


def test_an_include_from_the_network_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("include:\n  - https://example.com/repo.git\n" + GOOD)
    ran = infra_audit("check", "--format", "json", tmp_path)
    data = json.loads(ran.out)
    assert ran.code in (0, 1), ran.err
    assert any("https://example.com" in gap["why"] for gap in data["gaps"])


def test_a_missing_env_file_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(GOOD + "    env_file: [nosuch.env]\n")
    data = json.loads(infra_audit("check", "--format", "json", tmp_path).out)
    assert data["errors"] == []
    assert any("nosuch.env" in finding["message"] for finding in data["findings"])


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("services:\n  web: {image: a}\n  web: {image: b}\n", (3, 3), "web is given twice; the first is in line 2"),
        ("services:\n  - web\n", (1, 1), "services must be a mapping"),
        ("services:\n  web:\n    image: [a]\n", (3, 5), "image"),
    ],
)
def test_what_compose_refuses_is_a_finding_and_the_audit_goes_on(
    text: str, place: tuple[int, int], word: str, folder: Path
) -> None:
    (folder / "bad" / "compose.yaml").write_text(text)
    ran = infra_audit("check", "--format", "json", "bad", "good", cwd=folder)
    data = json.loads(ran.out)
    assert (ran.code, data["errors"]) == (1, [])
    [said] = [finding for finding in data["findings"] if finding["policy"] == "compose-invalid"]
    assert (said["severity"], said["line"], said["column"]) == ("error", *place)
    assert word in said["message"]
    assert {deployment["name"] for deployment in data["deployments"]} == {"bad", "good"}
    refused = infra_audit("resolve", "bad", cwd=folder)
    assert (refused.code, refused.out) == (2, "")
    assert f"bad/compose.yaml:{place[0]}:{place[1]}: " in refused.err


def test_an_include_of_a_missing_file_names_the_line(folder: Path) -> None:
    (folder / "bad" / "compose.yaml").write_text("include:\n  - nosuch.yaml\n" + GOOD)
    ran = infra_audit("check", "bad", cwd=folder)
    assert "bad/compose.yaml:2:5" in ran.out + ran.err
    assert "nosuch.yaml" in ran.out + ran.err


def test_an_unreadable_file_is_named_and_the_others_are_audited(folder: Path) -> None:
    bad = folder / "bad" / "compose.yaml"
    bad.write_text(GOOD)
    bad.chmod(0)
    ran = as_nobody("check", "bad/compose.yaml", "good", "--format", "json", cwd=folder)
    assert ran.code == 2
    assert_one_line(ran, "bad/compose.yaml: ", "permission denied")
    assert [deployment["name"] for deployment in json.loads(ran.out)["deployments"]] == ["good"]


def as_nobody(*args: str, cwd: Path) -> Ran:
    """A run whose user may not read everything: root gives up its rights first, another user has none to give up."""
    nobody = 65534 if os.geteuid() == 0 else None
    # everything is imported before the rights go, for the interpreter may lie in a folder of root's
    start = (
        "import hashlib, os, sys\n"
        "import infra_audit.audit, infra_audit.cli.check, infra_audit.compose, infra_audit.reports.json\n"
        "from infra_audit.cli.app import run\n"
        "from infra_audit.engine.policies import shipped\n"
        "from infra_audit.facts.registry import definitions\n"
        "definitions(), shipped()\n"
        f"os.chdir({str(cwd)!r})\n"
        f"nobody = {nobody}\n"
        "if nobody: os.setgroups([]), os.setgid(nobody), os.setuid(nobody)\n"
        f"sys.exit(run({list(args)!r}))\n"
    )
    for parent in (cwd, *cwd.parents):
        if "pytest" not in str(parent):
            break
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", start], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def test_internal_trouble_is_one_line_too(folder: Path) -> None:
    ran = infra_audit("check", "good", "--config", "bad", cwd=folder)
    assert ran.code == 2
    assert ran.err.count("\n") == 1
