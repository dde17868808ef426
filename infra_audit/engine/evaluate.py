"""Policies × subjects → findings and gaps.

``examine`` gives one finding per subject (or per item of a fact) that a policy does not hold for.
Inline and configured ignores come next, so that an ignore names one subject and not a summary; then
``without_covered`` leaves out what follows from another finding, and ``engine.condense`` joins what would
repeat itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.conditions import Context, Outcome, judge
from infra_audit.engine.policies import Check, Policy
from infra_audit.engine.templates import facts_in, fill, show
from infra_audit.errors import InfraAuditError
from infra_audit.facts.products import FAMILIES
from infra_audit.facts.registry import Evidence, Item, Known, evaluate, unit_of
from infra_audit.facts.services import may_run
from infra_audit.finding import Edit, Finding, Gap, Related, Severity, SubjectRef
from infra_audit.named import NamedTuple
from infra_audit.plan import PlanBinding
from infra_audit.secrets import MASK
from infra_audit.source import Span
from infra_audit.tree import Node
from infra_audit.units import exact_bytes

__all__ = ["RelatedPlaces", "Verdict", "examine", "key_of", "without_covered"]


class Verdict(NamedTuple):
    """What the policies say about one deployment. ``ran``: the ids of those that were judged."""

    findings: list[Finding]
    gaps: list[Gap]
    ran: set[str]


def examine(deployment: Deployment, policies: Iterable[Policy]) -> Verdict:
    """Every enabled policy on every subject of its kind. Live policies need a deployment that runs."""
    verdict = Verdict([], [], set())
    scope = _Scope(deployment)
    kinds: dict[str, Sequence[Subject]] = {}
    for policy in policies:
        if not policy.runs_on(deployment.source):
            continue
        verdict.ran.add(policy.id)
        subjects = kinds.get(policy.subject)
        if subjects is None:
            subjects = _subjects(deployment, policy, verdict)
            if subjects:
                kinds[policy.subject] = subjects
        parameters = policy.parameters
        for check in policy.checks if subjects else ():
            quiet = check.quiet
            for subject in scope.of(check, subjects) if check.narrow else subjects:
                try:
                    if not quiet(subject, parameters):
                        _examine(policy, check, Context(subject, parameters, deployment.plan), verdict)
                except InfraAuditError as error:
                    verdict.gaps.append(Gap(policy.id, deployment.name, subject.ref, str(error), internal=True))
    return verdict._replace(gaps=list(dict.fromkeys(verdict.gaps)))


def _subjects(deployment: Deployment, policy: Policy, verdict: Verdict) -> Sequence[Subject]:
    """The subjects of a policy; where they cannot be found, because files are not here, a gap says so."""
    try:
        return deployment.subjects(policy.subject)
    except InfraAuditError as error:
        verdict.gaps.append(Gap(policy.id, deployment.name, deployment.root.ref, str(error)))
        return ()


class _Scope:
    """Of which subjects a check speaks: not of those that the plan has no number for, nor of another product."""

    def __init__(self, deployment: Deployment) -> None:
        self._plan: PlanBinding | None = deployment.plan
        self._families: dict[str, list[Subject]] = {}

    def of(self, check: Check, subjects: Sequence[Subject]) -> Sequence[Subject]:
        if check.family in FAMILIES and subjects[0].kind == "service":
            subjects = self._running(check.family, subjects)
        if check.plan_paths:
            plan = self._plan
            return [one for one in subjects if plan is not None and plan.binds(one, check.plan_paths)]
        return subjects

    def _running(self, family: str, services: Sequence[Subject]) -> Sequence[Subject]:
        """The services that may run a product of a family, which is looked for once."""
        found = self._families.get(family)
        if found is None:
            found = self._families[family] = [one for one in services if may_run(one, FAMILIES[family])]
        return found


def _examine(policy: Policy, check: Check, context: Context, verdict: Verdict) -> None:
    """What one check says about one subject."""
    outcome = _outcome(check, context)
    if outcome is None:
        return
    reporter = _Reporter(policy, check, context, outcome)
    if outcome.truth is None:
        verdict.gaps.extend(reporter.gaps())
    else:
        verdict.findings.extend(reporter.findings())
        verdict.gaps.extend(reporter.item_gaps())


def _outcome(check: Check, context: Context) -> Outcome | None:
    """What ``where`` and ``require`` come to together; None where there is nothing to say."""
    assert check.require is not None  # a check without one is always quiet
    chosen = None
    if check.where is not None and not check.chosen(context.subject, context.parameters):
        chosen = judge(check.where, context)
        if chosen.truth is False:
            return None
    required = judge(check.require, context)
    if required.truth is True:
        return None
    return chosen if chosen is not None and chosen.truth is None else required


class _Reporter:
    """Turns the outcome of one check on one subject into findings and gaps."""

    def __init__(self, policy: Policy, check: Check, context: Context, outcome: Outcome) -> None:
        self.policy = policy
        self.check = check
        self.subject = context.subject
        self.outcome = outcome
        value = outcome.value
        self.items = [item for item in value if isinstance(item, Item)] if isinstance(value, list) else []
        """The items of a fact that is a list of them; empty for any other fact."""
        plan = context.plan
        self.folded = plan is not None and not plan.adopted and policy.needs_plan(check)

    def gaps(self) -> list[Gap]:
        outcome = self.outcome
        if self.folded and not outcome.internal:
            return []  # nobody adopted the plan: what it would say is not missed
        return self.item_gaps() or [self._gap(outcome.why, internal=outcome.internal)]

    def item_gaps(self) -> list[Gap]:
        if self.folded:
            return []
        return [self._gap(item.text, item.subject) for item in self.items if item.unknown]

    def findings(self) -> list[Finding]:
        outcome = self.outcome
        if not self.items:
            return [self._finding(outcome.value, outcome.expected, outcome.because, None)]
        return [
            self._finding(item.text, item.expected, item.because or outcome.because, item.subject)
            for item in self.items
            if not item.unknown
        ]

    def _gap(self, why: str, subject: tuple[str, str] | None = None, *, internal: bool = False) -> Gap:
        ref = SubjectRef(*subject) if subject else self.subject.ref
        return Gap(self.policy.id, self.subject.deployment.name, ref, why, internal)

    def _finding(
        self, value: Any, expected: Any, because: Sequence[Evidence], subject: tuple[str, str] | None
    ) -> Finding:
        check, leaf = self.check, self.outcome.leaf
        name_of_fact = leaf.fact if leaf else ""
        unit = unit_of(name_of_fact)
        ref = SubjectRef(*subject) if subject else self.subject.ref
        deployment = self.subject.deployment.name
        values: dict[str, tuple[Any, str]] = {
            "subject": (ref.name, ""),
            "deployment": (deployment, ""),
            "value": (value, unit),
            "expected": (expected, unit),
        }
        place = because[0].span
        related = RelatedPlaces(place)
        related.of_hops(because[0])
        for evidence in because[1:]:
            related.add(evidence.span, evidence.note)
        for name in facts_in(check.message):
            fact = evaluate(self.subject, name)
            unit_here = unit_of(name)
            values[name] = (fact.value, unit_here) if isinstance(fact, Known) else ("unknown", "")
            if isinstance(fact, Known) and name != name_of_fact:
                for evidence in fact.because[:1]:
                    related.add(evidence.span, evidence.note or f"{_words(name)} is {show(fact.value, unit_here)}")
        stable = [leaf.fact, leaf.comparison] if leaf else []
        return Finding(
            policy=self.policy.id,
            severity=Severity.info if self.folded else check.severity,
            deployment=deployment,
            subject=ref,
            message=fill(check.message, values),
            place=place,
            value=_plain(value),
            expected=_plain(expected),
            related=related.places(),
            fix=fill(check.fix, values),
            edits=_edits(check, because[0], values),
            evidence=" ".join([*stable, value] if self.items else stable),
            folded=self.folded,
        )


_ELSEWHERE = {
    "alias": "an anchor",
    "merge key": "a merge key",
    "extends": "a service that it extends",
    "include": "an included file",
    "variable": "a variable",
    "default": "a variable's default",
    "env_file": "an env file",
}
"""Ways of a value on which an edit of its place would change more than this finding's subject."""


def _edits(check: Check, evidence: Evidence, values: Mapping[str, tuple[Any, str]]) -> tuple[Edit, ...]:
    """The edit of a check, filled in; refused where the value came here from a place that others share."""
    if not check.edit:
        return ()
    [(kind, value)] = [(key, part) for key, part in check.edit.items() if key != "safe"]
    hops = evidence.place.hops if isinstance(evidence.place, Node) else ()
    ways = [_ELSEWHERE[hop.kind] for hop in hops if hop.kind in _ELSEWHERE]
    refused = f"the value comes from {ways[-1]}" if ways else ""
    if isinstance(value, str):
        exact = {name: (_exact(*pair) if name == "expected" else pair) for name, pair in values.items()}
        value = fill(value, exact)
        refused = refused or ("a secret is written down nowhere" if MASK in value else "")
    return (Edit(kind, value, evidence.span, bool(check.edit.get("safe")), refused),)


def _exact(value: Any, unit: str) -> tuple[Any, str]:
    """A value as a file holds it: sizes without rounding."""
    return (exact_bytes(value), "") if unit == "bytes" and isinstance(value, int | float) else (value, unit)


def _words(fact: str) -> str:
    """The name of a fact in a sentence: "memory limit" for service.memory_limit."""
    return fact.rsplit(".", 1)[-1].replace("_", " ")


_HOP_NOTES: dict[str, Callable[[str], str]] = {
    "alias": lambda note: "used here through an alias",
    "merge key": lambda note: "comes in here through a merge key",
    "override": lambda note: "replaces what stands here",
    "extends": lambda note: "extended here",
    "include": lambda note: "included here",
    "variable": lambda note: f"the variable {note} is set here",
    "env_file": lambda note: "the file is named here",
}
"""What a related place says about a step on the value's way; other steps have no place worth showing."""


class RelatedPlaces:
    """Related places in order, each once, without the primary one."""

    def __init__(self, primary: Span) -> None:
        self._primary = primary
        self._seen: set[tuple[str, int, int, int, int]] = set()
        self._places: list[Related] = []

    def add(self, span: Span, note: str) -> None:
        if not self._seen:  # few findings have related places
            self._seen.add(key_of(self._primary))
        key = key_of(span)
        if key not in self._seen:
            self._seen.add(key)
            self._places.append(Related(span, note))

    def of_hops(self, evidence: Evidence) -> None:
        if isinstance(evidence.place, Node):
            for hop in evidence.place.hops:
                note = _HOP_NOTES.get(hop.kind)
                if note and hop.span is not None:
                    self.add(hop.span, note(hop.note))

    def places(self) -> tuple[Related, ...]:
        return tuple(self._places)


def key_of(span: Span) -> tuple[str, int, int, int, int]:
    return (span.source.location or span.source.path, *span[1:])


def _plain(value: Any) -> Any:
    """A value as JSON knows it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Item):
        return value.text
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=str)
    return str(value)


# -- unless -------------------------------------------------------------------------------------


def without_covered(policies: Iterable[Policy], findings: Sequence[Finding]) -> list[Finding]:
    """Leaves out what only follows from a finding of a policy that is named under ``unless``.

    A finding follows from another at least as severe that points at the same place, or, where both are
    about the same kind of subject, at a place that it rests on: a memory limit below the plan explains
    why Redis no longer fits into it. A sum over the deployment rests on everything and is explained
    by its first place alone. What somebody ignored explains nothing, and stays to be seen itself.
    """
    unless = {policy.id: policy.unless for policy in policies if policy.unless}
    said: dict[tuple[str, tuple[str, int, int, int, int]], list[Finding]] = {}
    for finding in findings:
        if finding.suppressed is None:
            said.setdefault((finding.policy, key_of(finding.place)), []).append(finding)

    def covered(one: Finding) -> bool:
        return any(
            other is not one and other.severity >= one.severity and (first or other.subject.kind == one.subject.kind)
            for policy in unless.get(one.policy, ())
            for first, place in [(True, one.place), *((False, related.span) for related in one.related)]
            for other in said.get((policy, key_of(place)), ())
        )

    return [one for one in findings if one.suppressed is not None or not covered(one)]
