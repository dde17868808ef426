"""Policies about credentials name the key and never print the value, in no format."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra_audit.facts.credentials import is_credential_name, is_guessable, is_placeholder, looks_real, url_passwords
from tests.command import infra_audit

VALUES = {
    "plain": "Correct-Horse-7431",
    "url": "uRl-Pa55-8842",
    "pair": "Pa1r!Passw0rd-31",
    "option": "0ption-Secret-55",
    "default": "d3fault-Qx7Lw3Zp",
    "file": "f1le-9fK2vQx7Lw3ZpT8s",
    "template": "Zt5Rb1Yd6HnQw8Lx2Kp0",
    "weak": "postgres123",
    "server": "Serv3r-Side-99",
    "client": "Cl1ent-Side-44",
    "argument": "Build-4rgument-77",
}
COMPOSE = f"""\
services:
  db:
    image: postgres:17.2
    environment:
      POSTGRES_PASSWORD: {VALUES["plain"]}
      POSTGRES_USER: ${{POSTGRES_USER:-postgres}}
  cache:
    image: redis:7.4
    command: redis-server --requirepass {VALUES["option"]}
  queue:
    image: rabbitmq:4.0
    environment:
      RABBITMQ_DEFAULT_USER: shop
      RABBITMQ_DEFAULT_PASS: {VALUES["server"]}
  api:
    build:
      context: ./api
      args:
        NPM_TOKEN: {VALUES["argument"]}
    env_file: api.env
    environment:
      DATABASE_URL: postgres://postgres:{VALUES["url"]}@db:5432/shop
      OTHER: Server=db;User=sa;Password={VALUES["pair"]};
      JWT_SECRET: ${{JWT_SECRET:-{VALUES["default"]}}}
      ADMIN_PASSWORD: ${{ADMIN_PASSWORD:-{VALUES["weak"]}}}
      AMQP_URL: amqp://shop:{VALUES["client"]}@queue:5672/
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "api.env").write_text(f"SESSION_SECRET={VALUES['file']}\n")
    (tmp_path / ".env.example").write_text(f"JWT_SECRET={VALUES['template']}\n")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)
    return tmp_path


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "gitlab", "junit", "markdown"])
def test_no_format_prints_a_credential(folder: Path, form: str) -> None:
    ran = infra_audit("check", "--format", form, cwd=folder)
    assert "secret-literal" in ran.out
    assert "secret-weak-default" in ran.out
    assert [name for name, value in VALUES.items() if value in ran.out + ran.err] == []


def test_each_kind_of_place_is_found(folder: Path) -> None:
    ran = infra_audit("check", "--policy", "secret-literal", "--policy", "env-template-secret", cwd=folder)
    for told in (
        "POSTGRES_PASSWORD is written out",
        "the value of --requirepass is written out",
        "NPM_TOKEN is written out",
        "the password in DATABASE_URL is written out",
        "the password in OTHER is written out",
        "the default of JWT_SECRET is written out",
        "SESSION_SECRET is set in an env file",
        "JWT_SECRET holds what looks like a real secret",
    ):
        assert told in ran.out


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD",
        "DB_PASS",
        "JWT_SECRET",
        "api_key",
        "SECRET_KEY_BASE",
        "AWS_SECRET_ACCESS_KEY",
        "spring.datasource.password",
    ],
)
def test_names_of_credentials_are_known(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "POSTGRES_PASSWORD_FILE",
        "TOKEN_TTL",
        "MAX_TOKEN",
        "NEXT_PUBLIC_API_KEY",
        "ALLOW_EMPTY_PASSWORD",
        "COMPASS",
        "BYPASS",
        "AWS_ACCESS_KEY_ID",
        "KEYCLOAK_URL",
        "CSRF_TOKEN",
        "PASSWORD_MIN_LENGTH",
    ],
)
def test_names_of_other_settings_are_not_credentials(name: str) -> None:
    assert not is_credential_name(name)


@pytest.mark.parametrize(
    "value", ["postgres", "admin123", "change-me-in-production", "changeme", "12345678", "my_secret", "root"]
)
def test_common_words_are_guessable(value: str) -> None:
    assert is_guessable(value) or is_placeholder(value)


@pytest.mark.parametrize("value", ["9fK2vQx7Lw3ZpT8sRb1Yd6Hn", "correct-horse-battery", "k3l45jk345lk3j4k5j"])
def test_what_chance_made_is_not_guessable(value: str) -> None:
    assert not is_guessable(value)
    assert not is_placeholder(value)


@pytest.mark.parametrize(
    "value",
    [
        "changeme",
        "your-token-here",
        "xxxxxxxxxxxxxxxxxxxx",
        "0123456789abcdef0123456789abcdef",
        "generate-with-openssl-rand-hex-32",
        "",
    ],
)
def test_a_stand_in_is_no_real_secret(value: str) -> None:
    assert not looks_real("API_TOKEN", value)


def test_a_random_text_is_a_secret_under_a_credentials_name_alone() -> None:
    assert looks_real("API_TOKEN", "9fK2vQx7Lw3ZpT8sRb1Yd6Hn")
    assert not looks_real("IMAGE_ID", "9fK2vQx7Lw3ZpT8sRb1Yd6Hn")


def test_passwords_of_urls_stand_where_they_are_found() -> None:
    text = "postgres://shop:${DB_PASSWORD}@db/shop,redis://:s3cret@cache"
    assert [text[part.start : part.end] for part in url_passwords(text)] == ["${DB_PASSWORD}", "s3cret"]
