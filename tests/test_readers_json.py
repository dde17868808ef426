"""The JSON reader: values as the standard library reads them, and the place of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra_audit.errors import ReadError
from infra_audit.readers.json import JsonNode, read_json
from infra_audit.source import Source

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def read(text: str) -> JsonNode:
    return read_json(Source("dashboard.json", text, "/dashboard.json"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no defect
@given(value=VALUES, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_every_value_and_key_is_found_where_it_is_written(value: Any, indent: int | None, ascii_only: bool) -> None:
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        text.encode()
    except UnicodeEncodeError:
        return
    root = read(text)
    if "\\ud" not in text.lower():
        assert root.data() == value
    for path, node in root.walk():
        assert json.loads(node.span.text) == node.data() or "\\ud" in node.span.text.lower()
        assert (node.key is not None) is (bool(path) and isinstance(path[-1], str))
        if node.key is not None and "\\ud" not in node.key.text.lower():
            assert json.loads(node.key.text) == path[-1]


def test_places_are_lines_and_columns() -> None:
    root = read('{\n  "panels": [\n    {"title": "CPU", "id": 1},\n    {"title": "Ünï", "id": 2}\n  ]\n}\n')
    second = root.get("panels", 1, "id")
    assert second is not None
    assert second.key is not None
    assert (str(second.span), str(second.key)) == ("dashboard.json:4:28", "dashboard.json:4:22")
    panels = root.get("panels")
    assert panels is not None
    assert str(panels.place) == "dashboard.json:2:3"


def test_the_last_of_two_equal_keys_counts() -> None:
    node = read('{"a": 1,\n "a": 2}').get("a")
    assert node is not None
    assert node.value == 2
    assert node.span.line == 2


def test_surrogate_pairs_are_read_and_halves_are_replaced() -> None:
    root = read(r'{"pair": "\ud83d\ude00", "half": "\ud83d!", "backslash": "\\ud83d", "after": 1}')
    assert root.data() == {"pair": "\U0001f600", "half": "\ufffd!", "backslash": r"\ud83d", "after": 1}
    after = root.get("after")
    assert after is not None
    assert after.span.text == "1"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "1:1"),
        ('{\n  "a": 1,\n}', "3:1"),
        ('{\n  "a": 1\n  "b": 2\n}', "3:3"),
        ('{"a": [1, 2}', "1:12"),
        ('{"a": NaN}', "1:7"),
        ('{"NaN": -Infinity}', "1:9"),
        ('{"a": 1}\n{"b": 2}', "2:1"),
        ('{"a": "tab\there"}', "1:11"),
        ("[" * 100_000, "1:1"),
        ("9" * 10_000, "1:1"),
    ],
)
def test_broken_json_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(text)
    got = f"{caught.value.line}:{caught.value.column}"
    trailing_comma = '{\n  "a": 1,\n}'
    assert got == place or (text == trailing_comma and got == "2:9")  # Python 3.13 points at the comma itself


def test_deep_nesting_is_located_without_recursion() -> None:
    depth = 600
    node: Any = read("[" * depth + "]" * depth)
    for _ in range(depth - 1):
        node = node.get(0)
    assert str(node.span) == f"dashboard.json:1:{depth}"
