"""A configuration is checked in full once; afterwards its very text is known to be valid."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infra_audit.engine.config import read_config
from infra_audit.errors import ConfigError
from tests.command import infra_audit

VALID = "rules:\n  cpu-limit: {enabled: false, reason: the host is ours}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / ".infra-audit.yaml"
    path.write_text(VALID)
    (tmp_path / "compose.yaml").write_text("services: {web: {image: nginx:1.27}}\n")
    return path


def test_the_same_text_is_checked_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_config(str(config))
    monkeypatch.setitem(sys.modules, "infra_audit.engine.documents", None)  # importing it fails from here on
    again = read_config(str(config))
    assert [rule[:2] for rule in again.rules] == [rule[:2] for rule in first.rules]
    config.write_text(VALID + "plan: none\n")
    with pytest.raises(ImportError):
        read_config(str(config))


def test_a_text_that_is_not_valid_is_refused_each_time(config: Path) -> None:
    read_config(str(config))
    config.write_text(VALID.replace("reason", "raeson"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="raeson"):
            read_config(str(config))


def test_other_schemas_check_again(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_config(str(config))
    monkeypatch.setattr("infra_audit.engine.proven.__version__", "0.0.0")
    monkeypatch.setitem(sys.modules, "infra_audit.engine.documents", None)
    with pytest.raises(ImportError):
        read_config(str(config))


def test_without_a_cache_folder_nothing_is_remembered_and_nothing_fails(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    for _ in range(2):
        assert infra_audit("check", config.parent).code in (0, 1)
