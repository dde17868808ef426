"""Findings that would repeat themselves: one where most subjects lack the same thing, one for each place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.evaluate import RelatedPlaces, key_of
from infra_audit.engine.policies import Policy
from infra_audit.facts.finders import FINDERS
from infra_audit.finding import Finding, Related, Severity, SubjectRef
from infra_audit.source import Span

__all__ = ["condense"]


def condense(deployment: Deployment, policies: Iterable[Policy], findings: Sequence[Finding]) -> list[Finding]:
    """One finding where most subjects lack the same thing, and one where several share one place."""
    folding = {policy.id: policy for policy in policies if policy.fold}
    wholes: dict[str, dict[SubjectRef, Subject]] = {}
    groups: dict[tuple[str, Severity, str, Subject], list[Finding]] = {}
    rest: list[Finding] = []
    for finding in findings:
        policy = folding.get(finding.policy)
        if policy is None or finding.suppressed is not None:
            rest.append(finding)
            continue
        kind = policy.subject
        if kind not in wholes:
            wholes[kind] = _wholes(deployment, kind)
        whole = wholes[kind].get(finding.subject, deployment.root)
        groups.setdefault((finding.policy, finding.severity, finding.evidence, whole), []).append(finding)
    result: list[Finding] = []
    for (policy_id, _, _, whole), group in groups.items():
        policy = folding[policy_id]
        total = [*wholes[policy.subject].values()].count(whole)
        failing = len({finding.subject for finding in group})
        if failing >= 2 and failing * 2 > total:
            result.append(_folded(whole, policy, group, total))
        else:
            rest.extend(group)
    return result + _joined(rest)


_PARTS_OF = {"panel": "dashboard"}
"""Kinds of subjects that fold within their parent and not over the whole deployment."""


def _wholes(deployment: Deployment, kind: str) -> dict[SubjectRef, Subject]:
    """For each subject of a kind what it is a part of: its dashboard, else the deployment."""
    parent = _PARTS_OF.get(kind)
    root = deployment.root
    return {
        one.ref: one.parent if one.parent is not None and one.parent.kind == parent else root
        for one in deployment.subjects(kind)
    }


_MOST_LISTED = 20
"""So many names a message holds; all of them stand at the related places."""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more


def _folded(whole: Subject, policy: Policy, group: list[Finding], total: int) -> Finding:
    """One finding about the deployment, or another whole, that names all its subjects."""
    first = group[0]
    deployment = whole.deployment
    names = list(dict.fromkeys(finding.subject.name for finding in group))
    kinds = policy.subject.replace("_", " ") + "s"
    messages = Counter(map(_without_subject, group))
    message = max(messages, key=messages.__getitem__)
    if whole is not deployment.root:
        names = [name.removeprefix(f"{whole.name}/") for name in names]
    beside = policy.subject in FINDERS  # what is not in the Compose files has no section there
    place = first.place if beside else _section(deployment, policy.subject, first)
    related = RelatedPlaces(place)
    for finding in group:
        related.add(finding.place, finding.message)
    return Finding(
        policy=first.policy,
        severity=first.severity,
        deployment=first.deployment,
        subject=whole.ref,
        message=f"{len(names)} of {total} {kinds}: {message} ({_listed(names)})",
        place=place,
        value=names,
        expected=first.expected,
        related=related.places(),
        fix=first.fix,
        edits=tuple(edit for finding in group for edit in finding.edits),
        evidence=first.evidence,
        folded=all(finding.folded for finding in group),
    )


def _without_subject(finding: Finding) -> str:
    """A message without its subject in front ("cache: no memory limit" → "no memory limit")."""
    return finding.message.removeprefix(f"{finding.subject.name}:").lstrip()


def _section(deployment: Deployment, kind: str, finding: Finding) -> Span:
    """Where a finding about all subjects of a kind points: the key of their section."""
    node = deployment.tree.get(kind + "s") or deployment.tree.get("services")
    return node.place if node is not None else finding.place


def _joined(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for several subjects that fail one policy at one place with the same values."""
    result: list[Finding] = []
    at_place: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.policy, finding.severity, finding.suppressed, key_of(finding.place))
        others = at_place.setdefault(key, [])
        same = next((one for one in others if (one.value, one.expected) == (finding.value, finding.expected)), None)
        if same is None:
            others.append(finding)
        if same is None or same.subject == finding.subject:
            result.append(finding)
            continue
        note = Related(finding.place, f"also for {finding.subject.kind} {finding.subject.name}")
        if note not in same.related:
            same.related = (*same.related, note)
    return result
