"""YAML with positions: what is read, and where it says that it stands."""

from __future__ import annotations

from typing import Any

import pytest

from infra_audit.errors import ReadError
from infra_audit.readers.yaml import read_documents
from infra_audit.source import Source
from infra_audit.tree import Node


def read(text: str) -> Node:
    root = read_documents(Source("f.yaml", text))[0].root
    assert root is not None
    return root


def node_at(text: str, *path: str | int) -> Node:
    found = read(text).get(*path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("0755", 0o755),
        ("0o755", 0o755),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("22:22", "22:22"),
        ('"8080"', "8080"),
        ("'a''b'", "a'b"),
        ("!!str 8080", "8080"),
        (".5", 0.5),
        ("-0", 0),
    ],
)
def test_scalars_are_read_as_compose_reads_them(written: str, value: Any) -> None:
    got = node_at(f"a: {written}\n", "a").value
    assert got == value
    assert type(got) is type(value)


def test_every_value_knows_its_place() -> None:
    text = 'services:\n  web:\n    image: "nginx:1.27"\n    ports: [80, 443]\n'
    image = node_at(text, "services", "web", "image")
    assert (image.span.line, image.span.column, image.span.end_column) == (3, 12, 24)
    assert image.key is not None
    assert (image.key.line, image.key.column, image.key.end_column) == (3, 5, 10)
    port = node_at(text, "services", "web", "ports", 1)
    assert (port.span.line, port.span.column) == (4, 17)


def test_a_collection_ends_with_its_last_value() -> None:
    web = node_at("a:\n  b: 1\n  c: 2\n\n\n# end\nd: 3\n", "a")
    assert (web.span.end_line, web.span.end_column) == (3, 7)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_do_not_move_places(newline: str) -> None:
    found = node_at(newline.join(["a:", "  - b", "  - cé: d", ""]), "a", 1, "cé")
    assert (found.span.line, found.span.column) == (3, 9)


def test_columns_count_characters_also_behind_exotic_line_breaks() -> None:
    found = node_at("a: 'x\u2028y'\nb: c\n", "b")
    assert (found.span.line, found.span.column) == (2, 4)


def test_an_alias_keeps_the_place_of_the_anchor_and_leaves_a_hop() -> None:
    found = node_at("x: &limit 1G\ny:\n  z: *limit\n", "y", "z")
    assert found.value == "1G"
    assert found.span.line == 1
    assert [(hop.kind, hop.span.line if hop.span else 0) for hop in found.hops] == [("alias", 3)]


def test_a_merge_key_fills_in_what_is_not_written() -> None:
    text = "x: &x {cpus: 1, memory: 1G}\ny:\n  <<: *x\n  cpus: 2\n"
    assert node_at(text, "y").data() == {"cpus": 2, "memory": "1G"}
    assert [hop.kind for hop in node_at(text, "y", "memory").hops][-1] == "merge key"
    assert node_at(text, "y", "memory").span.line == 1


def test_the_first_of_several_merged_mappings_wins() -> None:
    assert node_at("a: &a {k: 1}\nb: &b {k: 2, l: 3}\nc:\n  <<: [*a, *b]\n", "c").data() == {"k": 1, "l": 3}


def test_a_duplicate_key_is_reported_with_both_places() -> None:
    document = read_documents(Source("f.yaml", "a: 1\nb: 2\na: 3\n"))[0]
    issue = document.issues[0]
    assert (issue.kind, issue.span.line, issue.first.line if issue.first else 0) == ("duplicate-key", 3, 1)


def test_a_written_key_over_a_merged_one_is_no_duplicate() -> None:
    assert read_documents(Source("f.yaml", "a: &a {k: 1}\nb:\n  <<: *a\n  k: 2\n"))[0].issues == []


def test_a_file_may_hold_several_documents() -> None:
    documents = read_documents(Source("f.yaml", "a: 1\n---\nb: 2\n---\n"))
    assert [document.root.data() if document.root else None for document in documents] == [{"a": 1}, {"b": 2}, None]


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("a: [1, 2\n", 2, 1, "broken YAML"),
        ("a:\n\t- b\n", 2, 1, "broken YAML"),
        ("a: *missing\n", 1, 4, "no anchor"),
        ("a: &a [*a]\n", 1, 8, "contains itself"),
        ("[a, b]: c\n", 1, 1, "must be a string"),
        ("a: b\x07c\n", 1, 5, "not allow"),
        ("a: 'open\n", 2, 1, "broken YAML"),
    ],
)
def test_broken_yaml_is_refused_at_its_place(text: str, line: int, column: int, word: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_documents(Source("f.yaml", text))
    assert (caught.value.line, caught.value.column) == (line, column)
    assert word in caught.value.message


def test_deep_nesting_is_refused_without_recursion() -> None:
    with pytest.raises(ReadError, match="nested deeper"):
        read_documents(Source("f.yaml", "[" * 10_000 + "]" * 10_000))


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(ReadError, match="aliases expand"):
        read_documents(Source("f.yaml", "\n".join(lines)))
