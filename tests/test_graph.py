"""The picture: what stands in it, that Graphviz draws it whatever the names are, one clear line without Graphviz."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.command import ROOT, infra_audit
from tests.fixtures import fixtures

STACK = ("-f", ROOT / "stack" / "docker-compose.yml", "-f", ROOT / "stack" / "docker-compose.prod.yml")
COMPOSE = """\
name: mill
services:
  edge:
    image: nginx:1.27.2
    networks: [front]
    depends_on: [api]
    mem_limit: 1g
    mem_reservation: 2g
  api:
    image: "example/<api>&co:1"
    networks: [front, back]
    scale: 3
    environment: {DATABASE_URL: "postgres://db:5432/app"}
    depends_on: [db]
  db:
    image: postgres:17.2
    networks: [back]
networks:
  front: {ipam: {config: [{subnet: 10.1.0.0/24}]}}
  back: {}
"""


@pytest.fixture
def mill(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    return tmp_path


def graph(folder: Path, *args: str | Path) -> str:
    ran = infra_audit("graph", *args, cwd=folder)
    assert ran.code == 0, ran.err
    return ran.out


def drawn(text: str) -> bytes:
    """What Graphviz makes of a text, as SVG; skips where it is not there."""
    if shutil.which("dot") is None:
        pytest.skip("dot is not installed (Debian's package graphviz)")
    done = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def arrows(svg: bytes) -> set[tuple[str, str]]:
    """Names at the ends of each arrow of an SVG."""
    groups = [element for element in ET.fromstring(svg).iter() if element.tag.endswith("}g")]
    first: dict[str, str] = {}
    ends = set()
    for group in groups:
        title = next((child.text or "" for child in group if child.tag.endswith("}title")), "")
        texts = [child.text or "" for child in group.iter() if child.tag.endswith("}text")]
        if group.get("class") == "node":
            first[title] = texts[0]
        if group.get("class") == "edge":
            source, _, target = title.partition("->")
            ends.add((source, target))
    return {(first[source], first[target]) for source, target in ends}


def test_services_networks_and_flows_are_drawn(mill: Path) -> None:
    svg = drawn(graph(mill, "--format", "dot"))
    assert arrows(svg) == {("edge", "api ×3"), ("api ×3", "db")}
    texts = {element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")}
    assert {"mill", "front 10.1.0.0/24", "back", "<api>&co:1", "application", "data"} <= texts
    assert "black: talks to, grey: waits for" in texts


def test_an_address_with_a_database_behind_it_is_a_flow(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  exporter:\n"
        "    image: prometheuscommunity/postgres-exporter:v0.17.1\n"
        "    environment: {DATA_SOURCE_URI: 'db:5432/shop?sslmode=disable'}\n"
        "  db: {image: 'postgres:17.2'}\n"
    )
    assert arrows(drawn(graph(tmp_path, "--format", "dot"))) == {("exporter", "db")}


def test_findings_are_coloured_in(mill: Path) -> None:
    assert "1 error" in graph(mill, "--format", "dot")
    assert ":::error" in graph(mill, "--format", "mermaid")
    assert "error" not in graph(mill, "--format", "dot", "--no-findings")


def test_svg_is_graphvizs_own(mill: Path) -> None:
    if shutil.which("dot") is None:
        pytest.skip("dot is not installed (Debian's package graphviz)")
    assert graph(mill, "-o", "graph.svg") == ""
    assert arrows((mill / "graph.svg").read_bytes()) == {("edge", "api ×3"), ("api ×3", "db")}


def test_who_watches_whom(tmp_path: Path) -> None:
    plain = arrows(drawn(graph(tmp_path, *STACK, "--format", "dot")))
    watched = arrows(drawn(graph(tmp_path, *STACK, "--format", "dot", "--monitoring")))
    added = {(source, target.split(" ×")[0]) for source, target in watched - plain}
    assert {
        ("prometheus", "node-exporter"),
        ("prometheus", "rest-api"),
        ("prometheus", "alertmanager"),
        ("grafana", "prometheus"),
    } <= added
    assert ("api-gateway", "rest-api ×3") in plain


def test_every_fixture_is_drawn(tmp_path: Path) -> None:
    whole = [fixture for fixture in fixtures() if not fixture.expected.get("errors")]
    for fixture in whole:
        for entry in fixture.expected["deployments"]:
            files = [part for file in entry["files"] for part in ("-f", file)]
            drawn(graph(fixture.folder, *files, "--format", "dot", "--monitoring", "--no-findings"))


def test_mermaid_has_no_characters_that_mean_something_to_it(mill: Path) -> None:
    text = graph(mill, "--format", "mermaid", "--no-findings")
    labels = re.findall(r'"([^"]*)"', text)
    assert "api ×3<br>#60;api#62;#38;co:1<br>front · back" in labels
    assert text.count('"') == 2 * len(labels)
    assert re.search(r"s1 --> s2\n", text)
    assert 's0 -. "waits for" .-> s1' in text


def test_without_graphviz_one_clear_line(mill: Path, tmp_path: Path) -> None:
    ran = infra_audit("graph", cwd=mill, PATH=str(tmp_path))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "infra-audit: SVG needs Graphviz's program dot: apt-get install graphviz, or --format dot\n"
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "graphviz.py").write_text("raise ImportError\n")
    ran = infra_audit("graph", cwd=mill, PYTHONPATH=f"{blocked}{os.pathsep}{ROOT}")
    assert (ran.code, ran.err) == (
        2,
        "infra-audit: SVG needs the package graphviz: pip install 'infra-audit[graph]', or --format dot\n",
    )


def test_a_secret_of_a_flow_is_not_drawn(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("postgres://db", "postgres://me:hunter2@db"))
    for form in ("dot", "mermaid"):
        assert "hunter2" not in graph(tmp_path, "--format", form)
