"""Conditions: the comparisons, the three truth values, and where the right side comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra_audit.engine.conditions import COMPARISONS, Context, Outcome, judge, leaves, parse, to_unit
from infra_audit.errors import ConfigError
from infra_audit.facts.registry import Definition, Fact, Known, Unknown, definitions
from infra_audit.plan import Plan, bind
from tests.trees import deployment, fact_set

TREE = """
    services:
      redis:
        image: redis:7
"""
VALUES: dict[str, tuple[Any, str]] = {
    "t.true": (True, ""),
    "t.false": (False, ""),
    "t.none": (None, ""),
    "t.number": (3, ""),
    "t.text": ("redis", ""),
    "t.list": (["a", "b"], ""),
    "t.nothing": ([], ""),
    "t.size": (2 * 1024**3, "bytes"),
    "t.time": (30 * 10**9, "duration"),
    "t.share": (0.5, "ratio"),
}


@pytest.fixture(autouse=True)
def facts() -> Iterator[None]:
    made: dict[str, Any] = {
        name: ((lambda v: lambda _: Known(v))(value), unit) for name, (value, unit) in VALUES.items()
    }
    made["t.unknown"] = lambda _: Unknown("nobody knows")
    with fact_set(made):
        yield


def truth(condition: Any, parameters: dict[str, Any] | None = None, plan: dict[str, Any] | None = None) -> bool | None:
    return outcome(condition, parameters, plan).truth


def outcome(condition: Any, parameters: dict[str, Any] | None = None, plan: dict[str, Any] | None = None) -> Outcome:
    made = deployment(TREE)
    binding = bind(Plan.of(plan), made, lambda _: None, adopted=True) if plan else None
    service = made.subjects("service")[0]
    return judge(parse(condition), Context(service, parameters or {}, binding))


@pytest.mark.parametrize(
    ("fact", "comparison", "right", "expected"),
    [
        ("text", "is", "redis", True),
        ("text", "is", "Redis", False),
        ("number", "is", 3, True),
        ("number", "is", 3.0, True),
        ("true", "is", True, True),
        ("true", "is", 1, False),
        ("none", "is", None, True),
        ("none", "is", 0, False),
        ("text", "is_not", "valkey", True),
        ("text", "in", ["redis", "valkey"], True),
        ("none", "in", ["redis"], False),
        ("none", "not_in", ["redis"], True),
        ("number", "at_least", 3, True),
        ("number", "at_most", 2, False),
        ("number", "above", 3, False),
        ("number", "below", 4, True),
        ("number", "between", [3, 5], True),
        ("none", "at_least", 0, False),
        ("none", "below", 9, False),
        ("text", "matches", "red*", True),
        ("text", "matches", ["x*", "*dis"], True),
        ("list", "matches", "b*", True),
        ("none", "matches", "*", False),
        ("none", "exists", True, False),
        ("none", "exists", False, True),
        ("nothing", "exists", True, True),
        ("list", "contains", "a", True),
        ("list", "contains", ["a", "c"], False),
        ("text", "contains", "ed", True),
        ("none", "contains", "a", False),
        ("list", "subset_of", ["a", "b", "c"], True),
        ("list", "subset_of", ["a"], False),
        ("none", "subset_of", ["a"], True),
        ("nothing", "empty", True, True),
        ("none", "empty", True, True),
        ("list", "empty", True, False),
        ("list", "empty", False, True),
        ("size", "at_least", "2GiB", True),
        ("size", "below", "2g", False),
        ("size", "between", ["1GiB", "3GiB"], True),
        ("time", "is", "30s", True),
        ("time", "at_most", "0.4m", False),
        ("share", "at_most", "50%", True),
        ("share", "at_most", 0.4, False),
        ("unknown", "is", 1, None),
        ("unknown", "exists", True, None),
    ],
)
def test_a_comparison(fact: str, comparison: str, right: Any, expected: bool | None) -> None:
    assert truth({"fact": f"t.{fact}", comparison: right}) is expected


def test_every_comparison_is_tested() -> None:
    marks = test_a_comparison.pytestmark  # type: ignore[attr-defined]
    assert {case[1] for case in marks[0].args[1]} == set(COMPARISONS)


def test_things_that_have_no_common_order_are_undecided() -> None:
    told = outcome({"fact": "t.text", "at_least": 3})
    assert told.truth is None
    assert "cannot be compared" in told.why


def test_the_right_side_may_be_a_parameter_a_fact_or_the_plan() -> None:
    assert truth({"fact": "t.share", "at_most": {"parameter": "share"}}, {"share": "60%"}) is True
    assert truth({"fact": "t.number", "is": {"fact": "t.number"}}) is True
    assert truth({"fact": "t.number", "is": {"fact": "t.unknown"}}) is None
    assert truth({"fact": "t.number", "between": [{"parameter": "low"}, 9]}, {"low": 4}) is False


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1GiB", True), ("2GiB", True), ("3GiB", False), ({"exactly": "1GiB"}, False), ({"exactly": "2GiB"}, True)],
)
def test_a_plan_asks_for_at_least_or_exactly(written: Any, expected: bool) -> None:
    plan = {"plan": "p", "roles": {"redis": {"memory": written}}}
    assert truth({"fact": "t.size", "at_least": {"plan": "memory"}}, plan=plan) is expected


def test_a_parameter_that_does_not_exist_is_our_fault() -> None:
    assert outcome({"fact": "t.number", "is": {"parameter": "x"}}).internal


@pytest.mark.parametrize(
    "written",
    [
        None,
        [],
        {},
        "t.true",
        {"fact": "t.true"},
        {"fact": "t.true", "is": 1, "in": [1]},
        {"fact": "t.true", "equals": 1},
        {"all": []},
        {"not": {"fact": "t.true"}},
        {"all": [{"fact": "t.true", "is": True}], "any": []},
    ],
)
def test_what_is_no_condition_is_refused(written: Any) -> None:
    with pytest.raises(ConfigError):
        parse(written)


# -- three values -------------------------------------------------------------------------------

LEAF = {
    True: {"fact": "t.true", "is": True},
    False: {"fact": "t.false", "is": True},
    None: {"fact": "t.unknown", "is": True},
}
KLEENE = [
    # left, right, all, any
    (True, True, True, True),
    (True, None, None, True),
    (True, False, False, True),
    (None, True, None, True),
    (None, None, None, None),
    (None, False, False, None),
    (False, True, False, True),
    (False, None, False, None),
    (False, False, False, False),
]


@pytest.mark.parametrize(("left", "right", "both", "either"), KLEENE)
def test_the_truth_table(left: bool | None, right: bool | None, both: bool | None, either: bool | None) -> None:
    assert truth({"all": [LEAF[left], LEAF[right]]}) is both
    assert truth({"any": [LEAF[left], LEAF[right]]}) is either
    assert truth({"not": LEAF[left]}) is (None if left is None else not left)


conditions = st.recursive(
    st.sampled_from(list(LEAF.values())),
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(
            lambda word, parts: {word: parts}, st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=4)
        ),
    ),
    max_leaves=12,
)


@given(parts=st.lists(conditions, min_size=1, max_size=4))
def test_de_morgan(parts: list[Any]) -> None:
    negated = [{"not": part} for part in parts]
    assert truth({"not": {"all": parts}}) is truth({"any": negated})
    assert truth({"not": {"any": parts}}) is truth({"all": negated})


@given(condition=conditions)
def test_a_double_negation_changes_nothing(condition: Any) -> None:
    assert truth({"not": {"not": condition}}) is truth(condition)


@given(condition=conditions)
def test_the_deciding_leaf_is_one_of_the_condition(condition: Any) -> None:
    told = outcome(condition)
    assert told.leaf in list(leaves(parse(condition)))
    assert (told.why == "nobody knows") is (told.truth is None)


@given(condition=conditions, known=st.booleans())
def test_what_is_decided_stays_so_when_the_unknown_becomes_known(condition: Any, known: bool) -> None:
    def settle(part: Any) -> Any:
        if "fact" in part:
            return LEAF[known] if part == LEAF[None] else part
        return {
            word: settle(inner) if word == "not" else [settle(one) for one in inner] for word, inner in part.items()
        }

    before = truth(condition)
    after = truth(settle(condition))
    assert after is not None
    assert before in (None, after)


def test_the_first_false_leaf_decides() -> None:
    told = outcome({"all": [LEAF[True], LEAF[None], {"fact": "t.number", "above": 5}, LEAF[False]]})
    assert told.truth is False
    assert told.leaf is not None
    assert (told.leaf.fact, told.value, told.expected) == ("t.number", 3, 5)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("2GiB", "bytes", 2 * 1024**3),
        ("1m30s", "duration", 90 * 10**9),
        ("80%", "ratio", 0.8),
        ("1.5", "cpus", 1.5),
        ("512Mi", "bytes", "512Mi"),
        (["1k", "2k"], "bytes", [1024, 2048]),
        (5, "bytes", 5),
        ("text", "", "text"),
    ],
)
def test_a_written_value_takes_the_unit_of_its_fact(value: Any, unit: str, expected: Any) -> None:
    assert to_unit(value, unit) == expected


def test_a_definition_names_its_unit() -> None:
    definition: Definition = definitions()["t.size"]
    computed: Fact[Any] = definition.compute(deployment(TREE).subjects("service")[0])
    assert definition.unit == "bytes"
    assert isinstance(computed, Known)
