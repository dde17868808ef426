"""Facts about Redis and Valkey: every way to give a setting, which one counts, and what stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_audit.facts.redis_directives import complaint, normal, normal_plan, parse_memory
from infra_audit.facts.registry import Known, Unknown, evaluate
from tests.loaded import deployed, places, service, texts, value

CONF = "/usr/local/etc/redis/redis.conf"
MOUNT = f"volumes: [./redis.conf:{CONF}:ro]"


# -- the ways to give a setting -------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "image: redis:7.4\ncommand: redis-server --maxmemory 100mb",
        "image: redis:7.4\ncommand: [redis-server, --maxmemory, 100mb]",
        "image: redis:7.4\ncommand: ['redis-server', '--maxmemory 100mb']",
        "image: redis:7.4\ncommand: --maxmemory 100mb",
        'image: redis:7.4-alpine\ncommand: sh -c "exec redis-server --maxmemory 100mb"',
        "image: redis:7.4\nentrypoint: [redis-server]\ncommand: [--maxmemory, 100mb]",
        "image: redis:7.4\nentrypoint: [tini, --, redis-server, --maxmemory, 100mb]",
        "image: redis:7.4\ncommand: docker-entrypoint.sh redis-server --maxmemory 100mb",
        "image: docker.io/library/redis@sha256:" + "a" * 64 + "\ncommand: redis-server --MAXMEMORY 100MB",
        "image: valkey/valkey:8.0\ncommand: valkey-server --maxmemory 100mb",
        "image: valkey/valkey:8.0\nenvironment: {VALKEY_EXTRA_FLAGS: --maxmemory 100mb}",
        "image: valkey/valkey-bundle:8.1\ncommand: valkey-server --maxmemory 100mb",
        "image: redis/redis-stack-server:7.4.0-v0\nenvironment: {REDIS_ARGS: --maxmemory 100mb}",
        "image: bitnami/redis:7.4\nenvironment: {REDIS_EXTRA_FLAGS: --maxmemory 100mb}",
        "image: redis:7.4\nenvironment: {LIMIT: 100mb}\ncommand: sh -c 'redis-server --maxmemory $$LIMIT'",
        "image: redis:7.4\ncommand: sh -c 'redis-server --maxmemory $${LIMIT:-100mb}'",
    ],
)
def test_a_setting_counts_however_the_command_or_environment_gives_it(tmp_path: Path, body: str) -> None:
    assert value(service(tmp_path, body), "redis.maxmemory") == 100 * 1024**2


@pytest.mark.parametrize(
    ("body", "conf"),
    [
        (f"image: redis:7.4\ncommand: redis-server {CONF}\n{MOUNT}", "redis.conf"),
        (f"image: redis:7.4\ncommand: {CONF}\n{MOUNT}", "redis.conf"),
        (f"image: redis:7.4\ncommand: redis-server {CONF}\nvolumes: [./conf:/usr/local/etc/redis]", "conf/redis.conf"),
        ("image: redis/redis-stack-server:7.4.0-v0\nvolumes: [./redis.conf:/redis-stack.conf]", "redis.conf"),
        (
            "image: bitnami/redis:7.4\nvolumes: [./redis.conf:/opt/bitnami/redis/mounted-etc/overrides.conf]",
            "redis.conf",
        ),
    ],
)
def test_a_mounted_configuration_counts(tmp_path: Path, body: str, conf: str) -> None:
    cache = service(tmp_path, body, {conf: "maxmemory 50mb\nmaxmemory 100mb\n"})
    fact = evaluate(cache, "redis.maxmemory")
    assert isinstance(fact, Known)
    assert fact.value == 100 * 1024**2
    assert (Path(fact.because[0].span.source.path).name, fact.because[0].span.line) == ("redis.conf", 2)


def test_a_configuration_may_stand_inside_the_compose_file(tmp_path: Path) -> None:
    compose = """
services:
  cache:
    image: redis:7.4
    command: redis-server /redis.conf
    configs: [{source: settings, target: /redis.conf}]
configs:
  settings:
    content: |
      port 6380
      maxmemory 100mb
"""
    cache = deployed(tmp_path, compose).service("cache")
    assert cache is not None
    fact = evaluate(cache, "redis.maxmemory")
    assert isinstance(fact, Known)
    assert (fact.value, fact.because[0].span.line) == (100 * 1024**2, 11)


def test_an_included_configuration_counts_where_it_is_included(tmp_path: Path) -> None:
    files = {
        "conf/redis.conf": "maxmemory 1mb\ninclude parts/*.conf\nmaxclients 5\n",
        "conf/parts/a.conf": "maxmemory 2mb\n",
    }
    files["conf/parts/b.conf"] = "maxclients 9\nmaxmemory 3mb\n"
    body = "image: redis:7.4\nworking_dir: /etc/redis\ncommand: redis-server redis.conf\nvolumes: [./conf:/etc/redis]"
    cache = service(tmp_path, body, files)
    assert (value(cache, "redis.maxmemory"), value(cache, "redis.maxclients")) == (3 * 1024**2, 5)


def test_an_option_wins_over_the_configuration(tmp_path: Path) -> None:
    body = f"image: redis:7.4\ncommand: redis-server {CONF} --maxmemory 7mb\n{MOUNT}"
    assert value(service(tmp_path, body, {"redis.conf": "maxmemory 1gb\n"}), "redis.maxmemory") == 7 * 1024**2


def test_a_mounted_configuration_that_nothing_names_does_not_count(tmp_path: Path) -> None:
    cache = service(tmp_path, f"image: redis:7.4\n{MOUNT}", {"redis.conf": "maxmemory 1gb\n"})
    assert value(cache, "redis.maxmemory") == 0


@pytest.mark.parametrize(
    "body",
    [
        "image: redis:7.4\ncommand: redis-cli -h other ping",
        "image: redis:7.4\ncommand: redis-sentinel /sentinel.conf",
        "image: redis:7.4\ncommand: redis-server /sentinel.conf --sentinel",
        "image: bitnami/redis-sentinel:7.4",
        "image: oliver006/redis_exporter:v1.62.0",
        "image: ${SOMETHING}",
        "build: .",
    ],
)
def test_what_starts_no_server_has_no_settings(tmp_path: Path, body: str) -> None:
    other = service(tmp_path, body, name="other")
    assert value(other, "redis.server") is False
    assert value(other, "redis.password") is None
    assert texts(other, "redis.setting_problems") == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("image: redis:7.4\ncommand: redis-server --maxmemory ${LIMIT}", "LIMIT is not set"),
        (
            "image: redis:7.4\ncommand: sh -c 'redis-server --maxmemory $$(cat /limit)'",
            "made when the container starts",
        ),
        ("image: redis:7.4\ncommand: redis-server /etc/own.conf", "the image brings it"),
        (f"image: redis:7.4\ncommand: redis-server {CONF}\n{MOUNT}", "no such file"),
        ("image: example/redis:7.4", "may bring its own configuration"),
        ("image: redis:7.4\ncommand: ./start.sh", "./start.sh"),
        ("image: ${REDIS_IMAGE}", "REDIS_IMAGE is not set"),
    ],
)
def test_what_the_files_do_not_tell_is_unknown(tmp_path: Path, body: str, why: str) -> None:
    fact = evaluate(service(tmp_path, body), "redis.maxmemory")
    assert isinstance(fact, Unknown)
    assert not fact.internal
    assert why in fact.why


# -- what follows from them -----------------------------------------------------------------------


IN_A_SHELL = """["sh", "-c", 'exec redis-server --requirepass "$$PW"']"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("image: redis:7.4", False),
        ("image: redis:7.4\ncommand: redis-server --requirepass ''", False),
        ("image: redis:7.4\nenvironment: {REDIS_PASSWORD: x}", False),
        ("image: redis:7.4\ncommand: redis-server --requirepass secret", True),
        ("image: redis:7.4\ncommand: redis-server --requirepass ${PASSWORD:?}", True),
        ("image: redis:7.4\ncommand: redis-server --requirepass prefix-${PASSWORD}", True),
        (f"image: redis:7.4\nenvironment: {{PW: '${{PASSWORD:?}}'}}\ncommand: {IN_A_SHELL}", True),
        ("image: bitnami/redis:7.4\nenvironment: {REDIS_PASSWORD: x}", True),
        ("image: bitnami/redis:7.4\nenvironment: {ALLOW_EMPTY_PASSWORD: 'yes'}", False),
        ("image: redis:7.4\ncommand: redis-server --user default on '>secret' ~* +@all", True),
        ("image: redis:7.4\ncommand: redis-server --user default on nopass ~* +@all", False),
        ("image: redis:7.4\ncommand: redis-server --bind 127.0.0.1 ::1", None),
        ("image: redis:7.4\ncommand: redis-server --port 0 --unixsocket /run/redis.sock", None),
    ],
)
def test_whether_clients_must_name_a_password(tmp_path: Path, body: str, expected: bool | None) -> None:
    assert value(service(tmp_path, body), "redis.password") is expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("command: redis-server --requirepass ${PASSWORD}", "PASSWORD is not set"),
        (f"environment: {{PW: '${{PASSWORD}}'}}\ncommand: {IN_A_SHELL}", "PW has no value in the files"),
        (f"command: {IN_A_SHELL}", "PW has no value in the files"),
    ],
)
def test_a_password_that_may_be_empty_is_unknown(tmp_path: Path, body: str, why: str) -> None:
    fact = evaluate(service(tmp_path, f"image: redis:7.4\n{body}"), "redis.password")
    assert isinstance(fact, Unknown)
    assert fact.why == f"requirepass: {why}"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("redis-server", "rdb"),
        ("redis-server --save ''", "none"),
        ("redis-server --appendonly yes", "aof and rdb"),
        ("redis-server --save '' --appendonly yes", "aof"),
        ("redis-server --save '' --save 60 1", "rdb"),
    ],
)
def test_how_data_outlives_the_process(tmp_path: Path, command: str, expected: str) -> None:
    assert value(service(tmp_path, f"image: redis:7.4\ncommand: {command}"), "redis.persistence") == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("mem_limit: 200m", 0.5), ("deploy: {resources: {limits: {memory: 100M}}}", 1.0), ("mem_limit: 0", None)],
)
def test_the_share_of_the_containers_memory(tmp_path: Path, limit: str, expected: float | None) -> None:
    cache = service(tmp_path, f"image: redis:7.4\ncommand: redis-server --maxmemory 100mb\n{limit}")
    assert value(cache, "redis.maxmemory_share") == expected


def test_no_share_is_asked_for_without_a_limit_even_where_maxmemory_is_unknown(tmp_path: Path) -> None:
    assert (
        value(service(tmp_path, "image: redis:7.4\ncommand: redis-server /own.conf"), "redis.maxmemory_share") is None
    )


@pytest.mark.parametrize(
    ("ulimits", "possible"),
    [("{nofile: 1024}", 992), ("{nofile: {soft: 1024, hard: 4096}}", 4064), ("{nofile: -1}", None)],
)
def test_the_hard_limit_of_open_files_bounds_the_clients(tmp_path: Path, ulimits: str, possible: int | None) -> None:
    assert value(service(tmp_path, f"image: redis:7.4\nulimits: {ulimits}"), "redis.maxclients_possible") == possible


# -- what the server refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("maxmemory", ["2gb"], ""),
        ("maxmemory", ["2GiB"], "maxmemory '2GiB' is no size: write 2gb"),
        ("maxmemory", ["1.5gb"], "maxmemory '1.5gb' is no size: write 1536mb"),
        ("appendonly", ["YES"], ""),
        ("appendonly", ["true"], "appendonly must be yes or no, not 'true'"),
        ("tcp-keepalive", ["60s"], "tcp-keepalive must be a whole number, not '60s'"),
        ("maxclients", ["0"], "maxclients must be at least 1, not 0"),
        ("port", ["65536"], "port must be at most 65535, not 65536"),
        ("maxclients", [], "maxclients has no value"),
        ("maxclients", ["1", "2"], "maxclients takes one value, not 2"),
        ("save", ["900", "1", "300"], "save takes pairs of seconds and changes, not '900 1 300'"),
        ("save", [""], ""),
        ("slave-read-only", ["maybe"], "slave-read-only must be yes or no, not 'maybe'"),
        ("search.timeout", ["500"], ""),
    ],
)
def test_why_a_value_is_refused(name: str, words: list[str], expected: str) -> None:
    assert complaint(name, words) == expected


def test_each_problem_points_to_its_word(tmp_path: Path) -> None:
    body = f"image: redis:7.4\ncommand: [redis-server, {CONF}, --maxclients, none]\n{MOUNT}"
    conf = "maxmemry 1gb\nport 6379\nport 6380\nrequirepass one\nrequirepass two\n"
    cache = service(tmp_path, body, {"redis.conf": conf})
    assert texts(cache, "redis.setting_problems") == [
        "there is no directive maxmemry; did you mean maxmemory?",
        "maxclients must be a whole number, not 'none'",
        "port is set twice: 6379, then 6380; the last one counts",
        "requirepass is set twice; the last one counts",
    ]
    assert places(cache, "redis.setting_problems") == [
        ("redis.conf", 1),
        ("compose.yaml", 4),
        ("redis.conf", 3),
        ("redis.conf", 5),
    ]


def test_a_directive_that_a_newer_server_may_have_is_undecided(tmp_path: Path) -> None:
    new = service(tmp_path, "image: redis:latest\ncommand: redis-server --quite-new yes")
    assert texts(new, "redis.setting_problems") == []
    assert [item.unknown for item in value(new, "redis.setting_problems")] == [True]
    old = service(tmp_path, "image: redis:7.2\ncommand: redis-server --quite-new yes")
    assert texts(old, "redis.setting_problems") == ["there is no directive quite-new"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("1k", 1000), ("1kb", 1024), ("2GB", 2 * 1024**3), ("5m", 5_000_000), ("7", 7), ("1.5gb", None), ("2GiB", None)],
)
def test_sizes_are_read_as_the_server_reads_them(text: str, size: int | None) -> None:
    assert parse_memory(text) == size


def test_equal_settings_are_equal_texts() -> None:
    assert normal("maxmemory", ["1gb"]) == normal("maxmemory", ["1024mb"]) == normal_plan("maxmemory", "1GiB")
    assert normal("appendonly", ["YES"]) == normal_plan("appendonly", True)
    assert normal("maxclients", ["010000"]) == normal_plan("maxclients", 10000)
