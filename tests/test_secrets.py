"""No credential in a line of code, a message or a value may be shown."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_audit.secrets import MASK, is_secret_key, mask, mask_data, secret_ranges


def shown(line: str, before: str = "") -> str:
    for start, end in reversed(secret_ranges(line, before)):
        line = line[:start] + MASK + line[end:]
    return line


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("      POSTGRES_PASSWORD: hunter2", "      POSTGRES_PASSWORD: ***"),
        ("      POSTGRES_PASSWORD: hunter 2 # old", "      POSTGRES_PASSWORD: *** # old"),
        ("      POSTGRES_PASSWORD: 'hunter''2'", "      POSTGRES_PASSWORD: '***'"),
        ('      POSTGRES_PASSWORD: "hunter\\"2"', '      POSTGRES_PASSWORD: "***"'),
        ("      POSTGRES_PASSWORD: &pw hunter2", "      POSTGRES_PASSWORD: &pw ***"),
        ("      POSTGRES_PASSWORD: hunter#2", "      POSTGRES_PASSWORD: ***"),
        ("      - POSTGRES_PASSWORD=hunter2", "      - POSTGRES_PASSWORD=***"),
        ('      - "POSTGRES_PASSWORD=hunter 2"', '      - "POSTGRES_PASSWORD=***"'),
        ("POSTGRES_PASSWORD=correct horse", "POSTGRES_PASSWORD=***"),
        ("export API_KEY='abc def'", "export API_KEY='***'"),
        ("    {POSTGRES_PASSWORD: hunter2, POSTGRES_USER: me}", "    {POSTGRES_PASSWORD: ***, POSTGRES_USER: me}"),
        ('  "api_key": "hunter2", "x": 1', '  "api_key": "***", "x": 1'),
        ("  PRIVATE-KEY: abc", "  PRIVATE-KEY: ***"),
        ("  github_token: abc", "  github_token: ***"),
        ("  DB_PASS=abc", "  DB_PASS=***"),
        ("  PASSWORD: ${DB_PASSWORD:-changeme}", "  PASSWORD: ${DB_PASSWORD:-***}"),
        ("  PASSWORD: pre${X}post", "  PASSWORD: ***${X}***"),
        (
            "  command: redis-server --requirepass hunter2 --port 1",
            "  command: redis-server --requirepass *** --port 1",
        ),
        (
            '  command: ["redis-server", "--requirepass", "hunter2"]',
            '  command: ["redis-server", "--requirepass", "***"]',
        ),
        ("requirepass hunter2", "requirepass ***"),
        ("masterauth 'hunter2'", "masterauth '***'"),
        ("  test: redis-cli -a hunter2 ping", "  test: redis-cli -a *** ping"),
        ('  test: ["CMD", "redis-cli", "-a", "hunter2", "ping"]', '  test: ["CMD", "redis-cli", "-a", "***", "ping"]'),
        ("  test: mysqladmin ping -u root -phunter2", "  test: mysqladmin ping -u root -p***"),
        ("  test: curl -fsu admin:hunter2 http://x", "  test: curl -fsu admin:*** http://x"),
        ("  test: curl -u admin:hunter2 http://x", "  test: curl -u admin:*** http://x"),
        ("  URL: postgres://me:hunter2@db:5432/x", "  URL: postgres://me:***@db:5432/x"),
        ("  URL: postgres://me:hun@ter/2@db/x", "  URL: postgres://me:***@db/x"),
        ("  URL: redis://:hunter2@cache:6379/0", "  URL: redis://:***@cache:6379/0"),
        ("  URL: amqp://a:b@h1,amqp://a:c@h2", "  URL: amqp://a:***@h1,amqp://a:***@h2"),
        ("  Authorization: Bearer abcdefghijkl", "  Authorization: Bearer ***"),
        ("-----BEGIN RSA PRIVATE KEY-----MIIE", "-----BEGIN RSA PRIVATE KEY-----***"),
    ],
)
def test_a_credential_is_masked(line: str, masked: str) -> None:
    assert shown(line) == masked


@pytest.mark.parametrize(
    "line",
    [
        "  POSTGRES_PASSWORD: ${DB_PASSWORD}",
        "  POSTGRES_PASSWORD: ${DB_PASSWORD:?must be set}",
        "  POSTGRES_PASSWORD_FILE: /run/secrets/db",
        "  ALLOW_EMPTY_PASSWORD: yes",
        "  secrets: [db_password]",
        "  secrets:",
        "  TOKEN_TTL: 30s",
        "  PASSWORD=",
        "  compass: north",
        "  image: postgres:15",
        "  URL: postgres://me:${PW}@db:5432/x",
        "  URL: http://prometheus:9090/metrics",
        '  command: sh -c "redis-server --requirepass $$REDIS_PASSWORD"',
    ],
)
def test_what_only_names_a_secret_stays_readable(line: str) -> None:
    assert shown(line) == line


@pytest.mark.parametrize(
    ("before", "line", "masked"),
    [
        ("  - --requirepass", "  - hunter2", "  - ***"),
        ('  - "--requirepass"', '  - "hunter2"', '  - "***"'),
        ("  POSTGRES_PASSWORD: >-", "    hunter2", "    ***"),
        ("  POSTGRES_PASSWORD:", "    hunter2", "    ***"),
        ("  POSTGRES_PASSWORD:", "  POSTGRES_USER: me", "  POSTGRES_USER: me"),
        ("  secrets:", "    - db_password", "    - db_password"),
    ],
)
def test_the_line_above_tells_that_a_value_is_a_credential(before: str, line: str, masked: str) -> None:
    assert shown(line, before) == masked


def test_a_message_may_name_a_key_without_losing_its_words() -> None:
    text = "services.db.environment.POSTGRES_PASSWORD: the value stands in the file"
    assert mask(text) == text
    assert mask("db: POSTGRES_PASSWORD=hunter2 stands in the file") == "db: POSTGRES_PASSWORD=*** stands in the file"


def test_data_is_masked_by_key_and_by_content() -> None:
    data = {
        "environment": {"A_PASSWORD": "x y # z", "B": "postgres://u:p@h/d", "N": 3},
        "command": ["redis-server", "--requirepass", "hunter2"],
    }
    assert mask_data(data) == {
        "environment": {"A_PASSWORD": "***", "B": "postgres://u:***@h/d", "N": 3},
        "command": ["redis-server", "--requirepass", "***"],
    }


def test_keys_that_hold_credentials() -> None:
    assert is_secret_key("MINIO_ROOT_PASSWORD")
    assert not is_secret_key("POSTGRES_PASSWORD_FILE")
    assert not is_secret_key("COMPASS_URL")


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_line_can_be_masked(line: str, before: str) -> None:
    ranges = secret_ranges(line, before)
    assert all(0 <= start < end <= len(line) for start, end in ranges)
    assert all(left[1] <= right[0] for left, right in pairwise(ranges))
    mask(line)


@given(st.text(alphabet="abcXYZ019", min_size=4, max_size=20), st.sampled_from(["PASSWORD", "API_TOKEN", "db_secret"]))
def test_no_password_of_letters_survives(password: str, key: str) -> None:
    for line in (f"  {key}: {password}x!", f"  - {key}={password}x!", f"  U: redis://:{password}x!@h:1"):
        assert password not in shown(line)


def test_advice_about_a_password_stays_readable() -> None:
    advice = "Set requirepass (--requirepass, redis.conf) or an ACL; requirepass in the file, or --requirepass with it."
    assert mask(advice) == advice


def test_an_option_in_an_unquoted_list_is_masked() -> None:
    line = "    command: [redis-server, --requirepass, hunter2]"
    assert [line[start:end] for start, end in secret_ranges(line)] == ["hunter2"]
