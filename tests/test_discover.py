"""Which files make up which deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_audit.compose import DeploymentSpec, discover, survey

WHOLE = "services: {web: {image: 'example/web:1'}}\n"
PARTIAL = "services: {web: {restart: always}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(specs: list[DeploymentSpec], folder: Path) -> list[list[str]]:
    return [[str(Path(file).relative_to(folder)) for file in spec.files] for spec in specs]


@pytest.mark.parametrize(
    ("files", "path", "expected"),
    [
        pytest.param({"compose.yaml": WHOLE}, ".", [["compose.yaml"]], id="one file"),
        pytest.param(
            {"docker-compose.yml": WHOLE, "compose.yaml": WHOLE}, ".", [["compose.yaml"]], id="Compose's own order"
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "compose.override.yaml": PARTIAL},
            ".",
            [["compose.yaml", "compose.override.yaml"]],
            id="the override file belongs to it",
        ),
        pytest.param(
            {"docker-compose.yml": WHOLE, "docker-compose.override.yml": PARTIAL},
            "docker-compose.override.yml",
            [["docker-compose.yml", "docker-compose.override.yml"]],
            id="a named override file too",
        ),
        pytest.param(
            {"docker-compose.yml": WHOLE, "docker-compose.prod.yml": PARTIAL},
            "docker-compose.prod.yml",
            [["docker-compose.yml", "docker-compose.prod.yml"]],
            id="a variant is laid on the main file",
        ),
        pytest.param(
            {"docker-compose.yml": WHOLE, "docker-compose.prod.yml": WHOLE},
            "docker-compose.prod.yml",
            [["docker-compose.prod.yml"]],
            id="a variant that is complete stands alone",
        ),
        pytest.param(
            {"docker-compose.yml": WHOLE, "docker-compose.prod.yml": PARTIAL, "docker-compose.dev.yml": PARTIAL},
            ".",
            [["docker-compose.yml", "docker-compose.dev.yml"], ["docker-compose.yml", "docker-compose.prod.yml"]],
            id="variants stand for their main file",
        ),
        pytest.param(
            {"compose.yaml": "include: [db/compose.yaml]\n" + WHOLE, "db/compose.yaml": WHOLE},
            ".",
            [["compose.yaml"]],
            id="what is included is no deployment",
        ),
        pytest.param(
            {"compose.yaml": "include: [db/database.yaml]\n" + WHOLE, "db/database.yaml": WHOLE},
            "db/database.yaml",
            [["compose.yaml"]],
            id="a part leads to its whole",
        ),
        pytest.param(
            {
                "compose.yaml": "services: {a: {extends: {file: compose.base.yaml, service: b}}}",
                "compose.base.yaml": WHOLE,
            },
            ".",
            [["compose.yaml"]],
            id="what is extended is no deployment",
        ),
        pytest.param(
            {"one/compose.yaml": WHOLE, "two/docker-compose.yml": WHOLE, "node_modules/x/compose.yaml": WHOLE},
            ".",
            [["one/compose.yaml"], ["two/docker-compose.yml"]],
            id="folders below, without those of dependencies",
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "extra.yaml": PARTIAL, ".env": "COMPOSE_FILE=compose.yaml:extra.yaml\n"},
            ".",
            [["compose.yaml", "extra.yaml"]],
            id="COMPOSE_FILE in the env file",
        ),
        pytest.param(
            {"one.yaml": WHOLE, "two.yaml": PARTIAL, ".env": "COMPOSE_FILE=one.yaml:two.yaml\n"},
            ".",
            [["one.yaml", "two.yaml"]],
            id="COMPOSE_FILE without a main file",
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "compose.db.yaml": PARTIAL, "compose.db.volumes.yaml": PARTIAL},
            ".",
            [["compose.yaml", "compose.db.yaml", "compose.db.volumes.yaml"], ["compose.yaml", "compose.db.yaml"]],
            id="a name that continues another one is laid on that",
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "overrides/compose.tls.yaml": PARTIAL},
            ".",
            [["compose.yaml"], ["compose.yaml", "overrides/compose.tls.yaml"]],
            id="a fragment in a folder below",
        ),
        pytest.param(
            {"x/compose.db.yaml": WHOLE, "x/compose.db-tls.yaml": PARTIAL},
            ".",
            [["x/compose.db.yaml", "x/compose.db-tls.yaml"], ["x/compose.db.yaml"]],
            id="a fragment beside what it belongs to",
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "x/compose.db.yaml": "services: {db: {restart: always}}"},
            ".",
            [["compose.yaml"]],
            id="a fragment that nothing completes is no deployment",
        ),
        pytest.param(
            {"x/compose.db.yaml": "services: {db: {restart: always}}"},
            ".",
            [["x/compose.db.yaml"]],
            id="but it is one where nothing else is",
        ),
        pytest.param(
            {"compose.yaml": WHOLE, "x/compose.yaml": "services:\n  {% if a %}\n  a: {{ b }}\n"},
            ".",
            [["compose.yaml"]],
            id="a template is no deployment",
        ),
        pytest.param({"stack.yaml": WHOLE}, "stack.yaml", [["stack.yaml"]], id="any name, when it is named"),
        pytest.param({"readme.md": "hello"}, ".", [], id="nothing"),
    ],
)
def test_files_make_deployments(folder: Path, files: dict[str, str], path: str, expected: list[list[str]]) -> None:
    put(folder, files)
    assert names(discover([path]), folder) == expected


def test_a_deployment_is_found_once(folder: Path) -> None:
    put(folder, {"docker-compose.yml": WHOLE, "docker-compose.override.yml": PARTIAL})
    assert len(discover([".", "docker-compose.yml", "docker-compose.override.yml"])) == 1


def test_what_was_merged_is_said(folder: Path) -> None:
    put(folder, {"docker-compose.yml": WHOLE, "docker-compose.prod.yml": PARTIAL})
    spec = discover(["docker-compose.prod.yml"])[0]
    assert spec.notes == ("merged docker-compose.yml + docker-compose.prod.yml",)
    assert spec.variant == "prod"


def test_what_is_left_out_is_told_with_its_reason(folder: Path) -> None:
    put(folder, {"compose.yaml": WHOLE, "x/compose.db.yaml": "services: {db: {}}", "y/compose.yaml": "a: {{ b }}\n"})
    assert [spec.part for spec in survey(["."])] == [
        "",
        "a fragment: db has neither image nor build, and no file here completes it",
        "a template: audit what it is rendered to",
    ]


def test_a_file_that_cannot_be_read_does_not_stop_discovery(folder: Path) -> None:
    put(folder, {"compose.yaml": WHOLE, "compose.broken.yaml": "a: [", "sub/compose.yaml": WHOLE})
    assert [spec[-1] for spec in names(discover(["."]), folder)] == [
        "compose.yaml",
        "compose.broken.yaml",
        "sub/compose.yaml",
    ]
