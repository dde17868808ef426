"""Facts about health checks: what a test runs, whether it can work and fail, what it asks, what is waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra_audit.compose import load
from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.dockerfile import read_dockerfile
from infra_audit.facts.image_tools import brings_no_health_check, lacking
from infra_audit.facts.products import parse_image
from infra_audit.facts.registry import Fact, Known, Unknown, evaluate
from infra_audit.facts.shell import commands
from infra_audit.source import Source


def deployed(folder: Path, text: str) -> Deployment:
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    return load([str(folder / "compose.yaml")])


def probed(folder: Path, test: str, *, image: str = "example/app:1", more: str = "") -> Subject:
    """A service with a health check; ``test`` and ``more`` are YAML of one line each."""
    text = f"services:\n  app:\n    image: {image}\n    healthcheck: {{test: {test}}}\n"
    service = deployed(folder, text + (f"    {more}\n" if more else "")).service("app")
    assert service is not None
    return service


def value(fact: Fact[Any]) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


def faults(service: Subject) -> list[str]:
    return [item.text for item in value(evaluate(service, "health.faults"))]


# -- the shell ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("curl -f http://x || exit 1", [("", ["curl", "-f", "http://x"]), ("||", ["exit", "1"])]),
        ("a 'b || c' \"d && e\"", [("", ["a", "b || c", "d && e"])]),
        ("x=1 exec redis-server --port 1 # note", [("", ["redis-server", "--port", "1"])]),
        ('test "$(curl -s x | wc -l)" = 1', [("", ["test", "$(curl -s x | wc -l)", "=", "1"])]),
        ("echo > /dev/tcp/localhost/80", [("", ["echo"])]),
        ("a 2>&1 >/dev/null; b &", [("", ["a"]), (";", ["b"])]),
        ("if ! a; then\n  b\nfi", [("", ["a"]), (";", ["b"])]),
        ("a \\\n  b", [("", ["a", "b"])]),
        ("", []),
        ("'open", [("", ["open"])]),
    ],
)
def test_a_script_is_taken_apart_as_a_shell_would(script: str, expected: list[tuple[str, list[str]]]) -> None:
    found = [(command.before, [piece.text for piece in command.arguments]) for command in commands(script)]
    assert [entry for entry in found if entry[1]] == expected


def test_the_file_of_a_redirection_is_kept_apart() -> None:
    [command] = commands("exec 3<>/dev/tcp/localhost/80")
    assert [piece.text for piece in command.redirected] == ["/dev/tcp/localhost/80"]


# -- can it work ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "test",
    [
        '["CMD", "sh", "-c", "a || b && c | d"]',
        '["CMD", "/bin/bash", "-ec", "a", "||", "b"]',
        '["CMD", "psql", "-c", "select \'||\'"]',
        '["CMD", "curl", "-f", "http://localhost/?a=1|2"]',
        '["CMD-SHELL", "a || b"]',
        "a || b",
        '["NONE"]',
        '["CMD-SHELL", "pg_isready", "-U", "postgres"]',
        '["CMD-SHELL", "</dev/tcp/localhost/80"]',
        '["CMD", "bash", "-c", "</dev/tcp/localhost/80"]',
    ],
)
def test_a_test_that_the_engine_can_run_has_no_fault(tmp_path: Path, test: str) -> None:
    assert faults(probed(tmp_path, test)) == []


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ('["CMD", "curl", "x", "||", "exit", "1"]', "'||' as an argument"),
        ('["CMD", "a", "&&", "b"]', "'&&' as an argument"),
        ('["CMD", "curl -f x"]', "CMD runs one program"),
        ("NONE", "called NONE"),
        ('["CMD-SHELL", "NONE"]', "called NONE"),
        ("CMD-SHELL curl x", "called CMD-SHELL"),
        ('["CMD"]', "nothing to run"),
        ('["CMD-SHELL", "curl", "-f", "x"]', "gets no arguments"),
        ('["CMD", "wget", "http://localhost:$$PORT/"]', "nothing replaces the variable"),
    ],
)
def test_a_test_that_cannot_work_is_named(tmp_path: Path, test: str, words: str) -> None:
    [fault] = faults(probed(tmp_path, test))
    assert words in fault


def test_only_the_place_of_the_operator_is_marked(tmp_path: Path) -> None:
    service = probed(tmp_path, '["CMD", "curl", "x", "||", "exit"]')
    [item] = value(evaluate(service, "health.faults"))
    assert item.because[0].span.text.strip('"') == "||"


@pytest.mark.parametrize(("image", "count"), [("x:1-alpine", 1), ("x:1-bookworm", 1), ("x:1", 0), ("x:1-ubi9", 0)])
def test_dev_tcp_needs_bash_and_only_known_shells_are_judged(tmp_path: Path, image: str, count: int) -> None:
    assert len(faults(probed(tmp_path, '["CMD-SHELL", "echo > /dev/tcp/localhost/80"]', image=image))) == count


# -- can it fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "cannot"),
    [
        ("curl x || exit 0", True),
        ("curl x || :", True),
        ("curl x; true", True),
        ("curl x | cat", True),
        ("curl x || echo down", True),
        ("/bin/true", True),
        ("curl x || exit 1", False),
        ("curl x || exit", False),
        ("curl x && exit 0", False),
        ("curl x || (echo down && exit 1)", False),
        ("curl x | grep ok", False),
        ("ls /tmp/ready", False),
        ("if a; then exit 1; else exit 0; fi", False),
        ("[ -f /x ] || exit 1; exit 0", False),
        ("set -e; curl x; echo ok", False),
    ],
)
def test_whether_a_test_can_fail(tmp_path: Path, test: str, cannot: bool) -> None:
    assert (value(evaluate(probed(tmp_path, f'"{test}"'), "health.cannot_fail")) is not None) is cannot


# -- what it asks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "port", "path"),
    [
        ("curl -f http://localhost:8080/health?x=1", 8080, "/health"),
        ("curl -f https://127.0.0.1", 443, "/"),
        ("curl -fsS localhost:9000/ping", 9000, "/ping"),
        ("wget -q -O- http://[::1]:81/a", 81, "/a"),
        ("wget http://app:5000/ready", 5000, "/ready"),
        ("nc -z 127.0.0.1 6000", 6000, None),
        ("bash -c '</dev/tcp/localhost/7000'", 7000, None),
        ("curl http://user:pw@localhost:9200/_cat", 9200, "/_cat"),
        ("curl http://elsewhere:1234/x", None, None),
        ("curl http://localhost.example:1234/x", None, None),
        ("pg_isready", None, None),
        ("curl http://localhost:$${PORT:-8000}/x", 8000, "/x"),
        ("curl http://localhost:$$UNKNOWN/x", None, "/x"),
    ],
)
def test_port_and_path_that_a_probe_asks(tmp_path: Path, test: str, port: int | None, path: str | None) -> None:
    service = probed(tmp_path, f'"{test}"')
    assert value(evaluate(service, "health.port")) == port
    assert value(evaluate(service, "health.path")) == path


def test_a_port_in_a_variable_of_the_container(tmp_path: Path) -> None:
    service = probed(tmp_path, '"curl http://localhost:$$PORT/"', more='environment: {PORT: "3000"}')
    assert value(evaluate(service, "health.port")) == 3000


def test_a_port_in_an_unset_variable_is_unknown(tmp_path: Path) -> None:
    service = probed(tmp_path, '"curl http://localhost:${NOT_SET}/"')
    assert isinstance(evaluate(service, "health.port"), Unknown)


def test_an_unset_variable_elsewhere_in_the_url_does_not_hide_the_port(tmp_path: Path) -> None:
    service = probed(tmp_path, '"curl http://localhost:80/${NOT_SET}"')
    assert value(evaluate(service, "health.port")) == 80
    assert isinstance(evaluate(service, "health.path"), Unknown)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('ports: ["8080:3000"]', [3000]),
        ('expose: ["9000-9002"]', [9000, 9001, 9002]),
        ("network_mode: host", None),
        ('labels: ["x=1"]', None),
    ],
)
def test_where_a_service_listens(tmp_path: Path, more: str, expected: list[int] | None) -> None:
    service = probed(tmp_path, "x", more=more)
    assert value(evaluate(service, "service.listening_ports")) == expected


# -- with which program ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "lacks", "has"),
    [
        ("postgres:17-alpine", {"curl"}, {"wget", "bash"}),
        ("docker.io/library/postgres:17", {"curl", "wget"}, set()),
        ("bitnami/postgresql:17", set(), {"curl"}),
        ("nginx:alpine", set(), {"curl"}),
        ("python:3.13", set(), {"curl"}),
        ("python:3.13-slim-bookworm", {"curl", "wget"}, set()),
        ("quay.io/prometheus/prometheus:v3.0.0", {"curl"}, {"wget", "sh"}),
        ("gcr.io/distroless/base-debian12", {"sh", "curl"}, set()),
        ("gcr.io/distroless/base-debian12:debug", set(), {"sh"}),
        ("registry.example:5000/postgres:17-alpine", set(), {"curl"}),
        ("redis@sha256:" + "0" * 64, set(), {"curl"}),
    ],
)
def test_only_what_is_known_of_an_image_is_claimed(image: str, lacks: set[str], has: set[str]) -> None:
    known = lacking(parse_image(image))
    assert lacks <= known
    assert not has & known


def test_official_images_bring_no_health_check_and_others_are_unknown() -> None:
    assert brings_no_health_check(parse_image("postgres:17"))
    assert brings_no_health_check(parse_image("docker.io/library/redis"))
    assert not brings_no_health_check(parse_image("mysql/mysql-server:8.0"))
    assert not brings_no_health_check(parse_image("registry.example/postgres:17"))


def dockerfile(text: str, target: str = "", **arguments: str) -> tuple[str, list[str]]:
    built = read_dockerfile(Source("Dockerfile", text), arguments, target)
    return built.base, [f"{instruction.name} {instruction.text}" for instruction in built.instructions]


def test_a_dockerfile_is_read_through_its_stages() -> None:
    text = (
        "# syntax=docker/dockerfile:1\nARG V=3\nFROM --platform=linux/amd64 python:${V} AS Base\nRUN a && \\\n"
        "# why\n  b\nFROM base as dev\nRUN c\nFROM base\nCOPY --from=dev x y\n"
    )
    assert dockerfile(text) == ("python:3", ["RUN a && \n  b", "COPY --from=dev x y"])
    assert dockerfile(text, "dev")[1] == ["RUN a && \n  b", "RUN c"]
    assert dockerfile(text, V="4")[0] == "python:4"


def test_a_heredoc_of_a_dockerfile_is_one_instruction() -> None:
    text = "FROM x\nRUN <<EOF\napt-get install curl\nFROM y\nEOF\nCMD z"
    assert dockerfile(text) == ("x", ["RUN <<EOF\napt-get install curl\nFROM y", "CMD z"])


# -- what is waited for ---------------------------------------------------------------------------

WAITING = """
services:
  app:
    image: example/app:1
    depends_on: {db: {condition: service_healthy}}
  db:
    image: IMAGE
"""


@pytest.mark.parametrize(("image", "expected"), [("postgres:17", False), ("example/db:1", None)])
def test_an_image_that_may_bring_a_health_check_leaves_it_undecided(
    tmp_path: Path, image: str, expected: bool | None
) -> None:
    [dependency] = deployed(tmp_path, WAITING.replace("IMAGE", image)).subjects("dependency")
    fact = evaluate(dependency, "dependency.target_can_be_healthy")
    assert (fact.value if isinstance(fact, Known) else None) is expected


@pytest.mark.parametrize(
    ("written", "explicit", "implied"),
    [
        ("depends_on: [db]", False, False),
        ("depends_on: {db: {condition: service_started}}", True, False),
        ("links: [db]", False, True),
        ("network_mode: service:db", False, True),
    ],
)
def test_who_decided_on_a_dependency(tmp_path: Path, written: str, explicit: bool, implied: bool) -> None:
    text = f"services:\n  app: {{image: a, {written}}}\n  db: {{image: postgres}}\n"
    [dependency] = deployed(tmp_path, text).subjects("dependency")
    assert value(evaluate(dependency, "dependency.is_explicit")) is explicit
    assert value(evaluate(dependency, "dependency.is_implied")) is implied
