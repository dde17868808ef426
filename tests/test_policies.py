"""Every shipped policy: its document is valid, its facts exist, and its examples say what they mark."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra_audit.audit import Request, audit
from infra_audit.engine.policies import SUBJECTS, Policy
from infra_audit.facts.registry import definitions
from infra_audit.running import Look, Running
from tests import running
from tests.examples import Document, Example, documents, examples, run

DOCUMENTS = list(documents())
LIVE = [document.policy.id for document in DOCUMENTS if document.policy.live]
EXAMPLES = [example for document in DOCUMENTS for example in examples(document)]
KINDS_OF = {
    "port": {"port", "service", "deployment"},
    "mount": {"mount", "service", "deployment"},
    "dependency": {"dependency", "service", "deployment"},
}

each_policy = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.policy.id)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.id)
def test_an_example_gives_exactly_the_marked_findings(example: Example, tmp_path: Path) -> None:
    told = run(example, tmp_path)
    assert told.gaps == []
    assert told.lines == example.marked, "\n".join(told.messages)
    assert bool(example.marked) is (example.kind == "bad")


def test_nothing_is_found_in_the_recorded_project_that_examples_start_from() -> None:
    request = Request(files=(str(running.COMPOSE),), plan="none", use_config=False, policies=tuple(LIVE))
    report = audit(request, Running(Look(replay=str(running.SNAPSHOT)), {}))
    assert report.errors == []
    assert [f"{finding.place} {finding.message}" for finding in report.active()] == []
    # a saved snapshot holds no password, and no variable has one here
    assert {gap.policy for gap in report.gaps} == {"drift-environment", "drift-config-hash"}


@each_policy
def test_a_policy_has_a_bad_and_a_good_example(document: Document) -> None:
    kinds = {example.kind for example in examples(document)}
    assert kinds == {"bad", "good"}


@each_policy
def test_a_policy_asks_only_for_facts_that_its_subject_has(document: Document) -> None:
    policy = document.policy
    known = definitions()
    reachable = KINDS_OF.get(policy.subject, {policy.subject, "deployment"})
    for check in policy.checks:
        for name in check.facts():
            assert name in known, f"no fact is called {name}"
            assert known[name].kind in reachable, f"{name} belongs to a {known[name].kind}"


@each_policy
def test_a_policy_uses_each_of_its_parameters(document: Document) -> None:
    policy = document.policy
    used = {parameter for check in policy.checks for parameter in check.parameters()}
    assert used == set(policy.parameters)


@each_policy
def test_a_policy_is_named_as_its_file(document: Document) -> None:
    policy: Policy = document.policy
    assert Path(policy.file).stem == policy.id
    assert policy.subject in SUBJECTS
