"""Where the characters of a YAML scalar are written."""

from __future__ import annotations

import pytest

from infra_audit.readers.scalar_text import ScalarText
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source


@pytest.mark.parametrize(
    "text",
    [
        "expr: sum(foo) > 1\n",
        "expr: 'sum(foo{a=\"it''s\"}) > 1'\n",
        'expr: "sum(foo{a=\\"b\\"}) > 1"\n',
        "expr: |\n  sum(\n    foo{a='b'}\n  ) > 1\n",
        "a:\n  expr: >-\n    sum(\n    foo{a='b'}\n    )\n\n    > 1\n",
        "expr: sum(\n  foo)\n  > 1\n",
        'expr: "sum(\\\n  foo)\\n > 1"\n',
        "expr: |2-\n    sum(foo) > 1\n",
    ],
)
def test_a_part_of_a_scalar_is_found_where_it_is_written(text: str) -> None:
    [root] = read_yaml(Source("rules.yml", text))
    node = root.get("expr") or root.get("a", "expr")
    assert node is not None
    scalar = ScalarText(node)
    for word in ("sum", "foo", "> 1"):
        start = scalar.text.index(word)
        assert scalar.span(start, start + len(word)).text == word


def test_a_text_that_a_variable_filled_in_has_its_whole_scalar() -> None:
    [root] = read_yaml(Source("compose.yaml", "a: ${B}\n"))
    node = root.value["a"].with_value("filled in")
    assert ScalarText(node).span(0, 6) == node.span
