"""Evaluation: where findings point, what they say, and when they are joined, folded, left out or gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.condense import condense
from infra_audit.engine.evaluate import Verdict, examine, without_covered
from infra_audit.engine.policies import Policy
from infra_audit.errors import ReadError
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown
from infra_audit.finding import Finding, Severity, SubjectRef, Suppression
from infra_audit.plan import Plan, bind
from infra_audit.source import Hop
from infra_audit.tree import HOLE
from tests.trees import deployment, fact_set, policy, seen

TREE = """\
services:
  web:
    image: nginx:1.27
    memory: 512
  cache:
    image: redis:7
    memory: 2048
    limit: 1024
"""
NEEDS_LIMIT = "require: {fact: t.limit, exists: true}\nmessage: '{subject}: no limit'"


def items(service: Subject) -> Fact[list[Item]]:
    node = service.node.get("wrong")
    found = [] if node is None else node.entries()
    return Known(
        [
            Item(one.value.strip("?"), (Evidence(one),), ("network", one.value), "nothing", unknown=one.value[0] == "?")
            for one in found
        ]
    )


def crash(service: Subject) -> Fact[int]:
    raise RuntimeError("a defect")


def unreadable(service: Subject) -> Fact[int]:
    raise ReadError("no such file", file="redis.conf")


@pytest.fixture(autouse=True)
def facts() -> Iterator[None]:
    with fact_set(
        {
            "t.memory": (lambda service: seen(service, "memory"), "bytes"),
            "t.limit": (lambda service: seen(service, "limit"), "bytes"),
            "t.image": lambda service: seen(service, "image"),
            "t.bare": lambda service: Known(None),
            "t.unknown": lambda service: Unknown("nobody knows"),
            "t.items": items,
            "t.crash": crash,
            "t.unreadable": unreadable,
        }
    ):
        yield


def told(made: Deployment, *policies: Policy) -> list[Finding]:
    return condense(made, policies, without_covered(policies, examine(made, policies).findings))


def lines(findings: Sequence[Finding]) -> list[tuple[str, int]]:
    return [(finding.subject.name, finding.place.line) for finding in findings]


def test_a_finding_points_to_the_evidence_of_the_leaf_that_decided() -> None:
    rule = policy("require: {all: [{fact: t.image, matches: '*'}, {fact: t.memory, at_most: 1KiB}]}")
    [finding] = told(deployment(TREE), rule)
    assert lines([finding]) == [("cache", 7)]
    assert (finding.value, finding.expected) == (2048, 1024)
    assert finding.place.text == "2048"


def test_the_message_has_values_in_the_unit_of_their_facts() -> None:
    rule = policy(
        """
        where: {fact: t.limit, exists: true}
        require: {fact: t.memory, at_most: {fact: t.limit}}
        message: "{subject} of {deployment}: {value}, not {expected}, {t.limit:cpus}, {t.image}, {t.unknown} ${X} {y}"
        """
    )
    [finding] = told(deployment(TREE), rule)
    assert finding.message == "cache of app: 2 KiB, not 1 KiB, 1024, redis:7, unknown ${X} {y}"


def test_the_other_facts_of_a_finding_are_related_places() -> None:
    rule = policy("require: {fact: t.memory, at_most: {fact: t.limit}}\nmessage: '{t.image} {t.memory}'")
    cache = next(one for one in told(deployment(TREE), rule) if one.subject.name == "cache")
    assert [(related.span.line, related.note) for related in cache.related] == [
        (8, ""),
        (6, "image is redis:7"),
    ]


def test_the_way_of_a_value_is_related() -> None:
    made = deployment(TREE)
    node = made.tree.value["services"].value["cache"].value["memory"]
    earlier = made.tree.value["services"].value["web"].value["memory"].span
    made.tree.value["services"].value["cache"].value["memory"] = node.with_hops(
        Hop("override", "", earlier), Hop("default", "2048", node.span)
    )
    [finding] = told(made, policy("require: {fact: t.memory, at_most: 1KiB}"))
    assert [(related.span.line, related.note) for related in finding.related] == [(4, "replaces what stands here")]


def test_a_fact_without_evidence_points_to_its_subject() -> None:
    rule = policy("require: {fact: t.bare, exists: true}")
    assert lines(told(deployment(TREE), rule))[0] == ("web", 2)


@pytest.mark.parametrize(
    ("where", "require", "findings", "gaps"),
    [
        ("t.unknown", "t.limit", 0, 2),  # web's image may be meant; cache has a limit and is fine either way
        ("t.image", "t.unknown", 0, 2),
        ("t.limit", "t.unknown", 0, 1),  # only cache is chosen
    ],
)
def test_what_is_not_decided_is_a_gap(where: str, require: str, findings: int, gaps: int) -> None:
    rule = policy(f"where: {{fact: {where}, exists: true}}\nrequire: {{fact: {require}, exists: true}}")
    if where == "t.unknown":
        gaps = 1
    verdict = examine(deployment(TREE), [rule])
    assert (len(verdict.findings), len(verdict.gaps)) == (findings, gaps)
    assert {gap.why for gap in verdict.gaps} == {"nobody knows"}
    assert not any(gap.internal for gap in verdict.gaps)


def test_a_value_that_rests_on_an_unset_variable_is_a_gap() -> None:
    made = deployment(TREE.replace("2048", HOLE))
    verdict = examine(made, [policy("require: {fact: t.memory, at_most: 1KiB}")])
    assert verdict.findings == []
    assert [gap.subject.name for gap in verdict.gaps] == ["cache"]


def test_a_fact_that_raises_is_an_internal_gap_and_the_audit_goes_on() -> None:
    crashing = policy("id: one\nrequire: {fact: t.crash, is: 1}")
    fine = policy("id: two\nrequire: {fact: t.memory, at_most: 1KiB}")
    verdict = examine(deployment(TREE), [crashing, fine])
    assert [finding.policy for finding in verdict.findings] == ["two"]
    assert all(gap.internal and "t.crash" in gap.why for gap in verdict.gaps)
    assert len(verdict.gaps) == 2


def test_a_file_that_cannot_be_read_is_no_defect_of_ours() -> None:
    verdict = examine(deployment(TREE), [policy("require: {fact: t.unreadable, is: 1}")])
    assert [gap.internal for gap in verdict.gaps] == [False, False]
    assert verdict.gaps[0].why == "redis.conf: no such file"


def test_a_fact_that_does_not_exist_is_an_internal_gap() -> None:
    verdict = examine(deployment(TREE), [policy("require: {fact: t.nowhere, is: 1}")])
    assert [gap.internal for gap in verdict.gaps] == [True, True]


@pytest.mark.parametrize("count", range(3))
def test_forcing_a_fact_to_unknown_never_gives_a_clean_result(count: int) -> None:
    """Whatever part of a failing condition becomes unknown, the policy never passes."""
    names = ["t.image", "t.memory", "t.limit"]
    rule = policy(
        """
        where: {fact: t.image, matches: "redis*"}
        require: {all: [{fact: t.memory, at_most: 1KiB}, {fact: t.limit, at_least: 2KiB}]}
        """
    )
    made = deployment(TREE)
    cache = made.subjects("service")[1]
    cache.cache[names[count]] = Unknown("forced")
    verdict = examine(made, [rule])
    about = [gap.subject.name for gap in verdict.gaps] + [one.subject.name for one in verdict.findings]
    assert "cache" in about


# -- items --------------------------------------------------------------------------------------


def test_a_list_of_items_gives_a_finding_for_each_and_a_gap_for_the_undecided() -> None:
    made = deployment("services: {web: {wrong: [one, '?two', three]}}")
    rule = policy("require: {fact: t.items, empty: true}\nmessage: '{subject}: {value}, not {expected}'")
    verdict = examine(made, [rule])
    assert [finding.message for finding in verdict.findings] == ["one: one, not nothing", "three: three, not nothing"]
    assert [finding.subject for finding in verdict.findings] == [
        SubjectRef("network", "one"),
        SubjectRef("network", "three"),
    ]
    assert [finding.place.text for finding in verdict.findings] == ["one", "three"]
    assert [gap.why for gap in verdict.gaps] == ["two"]
    assert len({finding.fingerprint for finding in verdict.findings}) == 2


def test_only_undecided_items_are_gaps_only() -> None:
    verdict = examine(
        deployment("services: {web: {wrong: ['?two']}}"), [policy("require: {fact: t.items, empty: true}")]
    )
    assert (len(verdict.findings), [gap.why for gap in verdict.gaps]) == (0, ["two"])


# -- also, unless, enabled, live -----------------------------------------------------------------


def test_also_takes_what_it_does_not_say_from_the_top() -> None:
    rule = policy(
        """
        require: {fact: t.limit, exists: true}
        where: {fact: t.image, matches: "nginx*"}
        also:
          - require: {fact: t.memory, at_least: 1KiB}
            severity: warning
        """
    )
    findings = examine(deployment(TREE), [rule]).findings
    assert [(one.subject.name, one.severity.name) for one in findings] == [("web", "error"), ("web", "warning")]
    assert len({finding.fingerprint for finding in findings}) == 2


NEEDS_ROOM = """
require: {fact: t.limit, at_least: {fact: t.memory}}
where: {fact: t.limit, exists: true}
unless: [documented]
"""
"""Points at the limit of ``cache`` and rests on its memory."""

DOCUMENTED = "id: documented\nrequire: {fact: t.memory, at_most: 1KiB}"
"""Points at the memory of ``cache``."""


def spoken(*policies: Policy, ignored: str = "", made: Deployment | None = None) -> list[tuple[str, str]]:
    """Policy and subject of what is left where the findings of one policy are ignored."""
    findings = examine(made or deployment(TREE), policies).findings
    for finding in findings:
        if finding.policy == ignored:
            finding.suppressed = Suppression("somebody", "for a reason")
    return [(finding.policy, finding.subject.name) for finding in without_covered(policies, findings)]


def test_unless_is_silent_where_the_other_policy_points_at_a_place_that_this_one_rests_on() -> None:
    assert spoken(policy(NEEDS_ROOM)) == [("sample", "cache")]
    assert spoken(policy(NEEDS_ROOM), policy(DOCUMENTED)) == [("documented", "cache")]


def test_unless_is_not_silent_about_another_place_of_the_subject() -> None:
    elsewhere = policy("id: documented\nrequire: {fact: t.image, is: nginx}")
    assert ("sample", "cache") in spoken(policy(NEEDS_ROOM), elsewhere)


def test_what_was_ignored_silences_nothing() -> None:
    both = [("sample", "cache"), ("documented", "cache")]
    assert spoken(policy(NEEDS_ROOM), policy(DOCUMENTED), ignored="documented") == both


def test_what_was_ignored_stays_to_be_seen() -> None:
    both = [("sample", "cache"), ("documented", "cache")]
    assert spoken(policy(NEEDS_ROOM), policy(DOCUMENTED), ignored="sample") == both


def test_what_is_less_severe_silences_nothing() -> None:
    warning = policy(DOCUMENTED + "\nseverity: warning")
    assert spoken(policy(NEEDS_ROOM), warning) == [("sample", "cache"), ("documented", "cache")]


def test_of_two_findings_of_one_policy_the_graver_may_cover_the_other() -> None:
    rule = policy(
        """
        severity: warning
        where: {fact: t.limit, exists: true}
        require: {fact: t.limit, at_least: {fact: t.memory}}
        also: [{require: {fact: t.memory, at_most: 1KiB}, severity: error}]
        unless: [sample]
        """
    )
    findings = examine(deployment(TREE), [rule]).findings
    assert [finding.severity for finding in findings] == [Severity.warning, Severity.error]
    assert [finding.severity for finding in without_covered([rule], findings)] == [Severity.error]


def test_unless_drops_no_gap() -> None:
    rule = policy("unless: [documented]\nrequire: {fact: t.unknown, is: 1}")
    assert {gap.subject.name for gap in examine(deployment(TREE), [rule, policy(DOCUMENTED)]).gaps} == {"web", "cache"}


def test_a_policy_that_is_off_or_needs_an_engine_is_not_judged() -> None:
    off = policy("enabled: false\n" + NEEDS_LIMIT)
    live = policy("live: true\n" + NEEDS_LIMIT)
    made = deployment(TREE)
    assert examine(made, [off, live]) == Verdict([], [], set())
    made.source = "live"
    assert len(examine(made, [off, live]).findings) == 1


# -- plan ---------------------------------------------------------------------------------------


def bound(plan: dict[str, Any], adopted: bool) -> Deployment:
    made = deployment(TREE)
    made.plan = bind(Plan.of(plan), made, lambda _: None, adopted=adopted)
    return made


PLAN = {"plan": "p", "roles": {"cache": {"memory": "4KiB"}}}


@pytest.mark.parametrize("adopted", [True, False])
def test_a_plan_that_is_not_adopted_only_informs(adopted: bool) -> None:
    rule = policy("require: {fact: t.memory, at_least: {plan: memory}}")
    [finding] = told(bound(PLAN, adopted), rule)
    assert finding.subject.name == "cache"
    assert finding.severity is (Severity.error if adopted else Severity.info)
    assert finding.folded is not adopted
    assert finding.expected == 4096


def test_a_check_does_not_apply_where_the_plan_says_nothing() -> None:
    rule = policy("require: {any: [{fact: t.memory, at_least: {plan: nothing}}, {fact: t.unknown, is: 1}]}")
    assert examine(bound(PLAN, True), [rule]) == Verdict([], [], {rule.id})
    assert examine(deployment(TREE), [rule]) == Verdict([], [], {rule.id})


def test_a_documented_policy_informs_even_when_its_fact_reads_the_plan() -> None:
    rule = policy("require: {fact: t.memory, at_least: 4KiB}", pack="documented")
    assert {one.severity for one in examine(bound(PLAN, False), [rule]).findings} == {Severity.info}


def test_information_silences_no_finding() -> None:
    other = policy("id: other\nrequire: {fact: t.memory, at_least: {plan: memory}}")
    rule = policy("unless: [other]\nrequire: {fact: t.memory, at_least: 1MiB}")
    assert ("sample", "cache") in spoken(rule, other, made=bound(PLAN, False))
    assert ("sample", "cache") not in spoken(rule, other, made=bound(PLAN, True))


# -- joining and folding -------------------------------------------------------------------------

SHARED = """\
x-common: &common
  memory: 2048
services:
  web: *common
  cache: *common
  other: {memory: 1}
"""


def test_subjects_that_fail_at_one_place_share_one_finding() -> None:
    [finding] = told(deployment(SHARED), policy("require: {fact: t.memory, at_most: 1KiB}"))
    assert (finding.subject.name, finding.place.line) == ("web", 2)
    assert [related.note for related in finding.related][-1:] == ["also for service cache"]


def test_most_subjects_without_the_same_thing_are_one_finding() -> None:
    made = deployment("services:\n  a: {}\n  b: {}\n  c: {limit: 1}\n")
    [finding] = told(made, policy("fold: true\n" + NEEDS_LIMIT))
    assert finding.message == "2 of 3 services: no limit (a, b)"
    assert finding.subject == SubjectRef("deployment", "app")
    assert finding.place.line == 1
    assert [related.span.line for related in finding.related] == [2, 3]


def test_a_message_names_the_first_of_many_and_the_places_all() -> None:
    made = deployment("services:\n" + "".join(f"  s{number}: {{}}\n" for number in range(25)))
    [finding] = told(made, policy("fold: true\n" + NEEDS_LIMIT))
    assert finding.message.endswith("s18, s19 and 5 more)")
    assert len(finding.related) == 25


@pytest.mark.parametrize("services", ["a: {}\n  b: {limit: 1}\n  c: {limit: 1}", "a: {}", "a: {}\n  b: {limit: 1}"])
def test_a_few_subjects_stay_apart(services: str) -> None:
    made = deployment(f"services:\n  {services}\n")
    [finding] = told(made, policy("fold: true\n" + NEEDS_LIMIT))
    assert finding.subject == SubjectRef("service", "a")


def test_a_fingerprint_rests_neither_on_lines_nor_on_prose() -> None:
    rule = policy("require: {fact: t.memory, at_most: 1KiB}")
    reworded = policy("require: {fact: t.memory, at_most: 1KiB}\nmessage: other words")
    before = told(deployment(TREE), rule)[0]
    after = told(deployment("# a comment\n" * 10 + TREE), reworded)[0]
    assert after.place.line == before.place.line + 10
    assert after.fingerprint == before.fingerprint
