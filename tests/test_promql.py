"""PromQL: what is parsed, where each selector stands, and Grafana's variables."""

from __future__ import annotations

import pytest

from infra_audit.monitoring import grafana_macros
from infra_audit.monitoring.promql import Aggregation, Binary, PromqlError, parse, walk


def named(text: str) -> list[str]:
    """What stands at the place of each selector."""
    return [text[one.place.start : one.place.end] for one in parse(text).selectors() if one.place is not None]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("up == 0", ["up"]),
        ("sum by (job) (rate(a{job='x'}[5m] offset 1h)) / on (job) group_left (b) sum(c)", ["a", "c"]),
        ("sum(a) by (b) # d{}\n > bool 1e3", ["a"]),
        ('{__name__="a", b="c"} and {"d", e="}"}', ["a", "d"]),
        ('{job=~"a|b"}', ['{job=~"a|b"}']),
        ("job:a:rate5m unless b @ end()", ["job:a:rate5m", "b"]),
        ("max_over_time(rate(a[5m])[1h:5m]) > Inf", ["a"]),
        ("topk(3, a) or count_values('v', b)", ["a", "b"]),
    ],
)
def test_every_selector_is_found_where_it_stands(text: str, places: list[str]) -> None:
    assert named(text) == places


def test_a_selector_has_its_matchers_range_and_offset() -> None:
    [selector] = parse('rate(a{b="c",d!~"e"}[5m] offset 1h)').selectors()
    assert [tuple(one) for one in selector.matchers] == [("b", "=", "c"), ("d", "!~", "e")]
    assert (selector.metric, selector.range, selector.offset) == ("a", 300, 3600)


def test_aggregations_and_matches_keep_their_labels() -> None:
    tree = parse("sum by (a) (x) / on (a) group_left (b) sum without (c) (y)").tree
    assert isinstance(tree, Binary)
    assert (tree.operator, tree.on, tree.group, tree.group_labels) == ("/", ("a",), "left", ("b",))
    aggregations = [part for part, _ in walk(tree) if isinstance(part, Aggregation)]
    assert [(one.by, one.without) for one in aggregations] == [(("a",), None), (None, ("c",))]


@pytest.mark.parametrize("text", ['a{b="c" or d="e"}', "sum(rate(a[5m])", "nothing_such(a)", "rate(a)", ""])
def test_what_prometheus_refuses_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(PromqlError) as error:
        parse(text)
    assert str(error.value)
    assert "\n" not in str(error.value)


def test_a_function_that_prometheus_renamed_is_known() -> None:
    assert parse("holt_winters(a[5m], 0.1, 0.1)").selectors()


@pytest.mark.parametrize(
    ("query", "places", "ranges"),
    [
        ("rate(a{b=~'$c'}[$__rate_interval])", ["a"], [0]),
        ("sum by ($by) (rate(a[5m]))", ["a"], [300]),
        ("$metric{a='b'} / ${other:raw}", ["$metric", "${other:raw}"], [None, None]),
        ("topk($n, a[[suffix]])", ["a[[suffix]]"], [None]),
        ("rate(a_$b[${days}d]) > $limit", ["a_$b", "$limit"], [0, None]),
        ("a offset $shift * ${factor}", ["a", "${factor}"], [None, None]),
        ("increase(a[$__range]) / $__interval_ms", ["a"], [0]),
    ],
)
def test_variables_of_grafana_leave_places_as_they_are(
    query: str, places: list[str], ranges: list[float | None]
) -> None:
    expression, _ = grafana_macros.parse(query)
    found = expression.selectors()
    assert [query[one.place.start : one.place.end] for one in found if one.place] == places
    assert [one.range for one in found] == ranges


def test_variables_are_named_once_each() -> None:
    _, substituted = grafana_macros.parse("rate(a{b='$b', c=~'${c:regex}'}[$__rate_interval]) + [[b]]")
    assert substituted.variables == ["b", "c", "__rate_interval"]
