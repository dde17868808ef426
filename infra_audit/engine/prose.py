"""A policy for people: why it is there, how to fix what it finds, examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra_audit.engine.conditions import leaves
from infra_audit.engine.policies import Check, Policy, read_document
from infra_audit.engine.templates import fill, placeholders
from infra_audit.facts.registry import definitions
from infra_audit.finding import Description, Example

__all__ = ["describe"]


def describe(policy: Policy) -> Description:
    """Reads the whole document of a policy; raises ReadError where its file is gone."""
    document = read_document(policy)
    cis = document.get("cis") or ()
    return Description(
        policy.id,
        policy.title,
        policy.severity,
        policy.subject,
        policy.pack,
        policy.family,
        why=(document.get("why") or "").strip(),
        fix=_advice(policy),
        references=tuple(document.get("references") or ()),
        cis=tuple(map(str, cis)) if isinstance(cis, list) else (str(cis),) if cis else (),
        examples={kind: tuple(map(_example, each)) for kind, each in (document.get("examples") or {}).items()},
    )


def _example(entry: Mapping[str, Any]) -> Example:
    files = {name: text for name, text in entry.items() if isinstance(text, str)}
    return Example(files, tuple(entry.get("findings", ())))


def _advice(policy: Policy) -> str:
    """The fixes of all checks, with words for what only a finding knows."""
    return "\n\n".join(dict.fromkeys(fill(check.fix, _words(policy, check)) for check in policy.checks if check.fix))


def _words(policy: Policy, check: Check) -> dict[str, tuple[Any, str]]:
    words: dict[str, tuple[Any, str]] = {
        part.name: (f"the {part.name.rpartition('.')[2].replace('_', ' ')}", "") for part in placeholders(check.fix)
    }
    words["subject"] = (f"the {policy.subject}", "")
    for leaf in leaves(check.require):
        bound = policy.parameters.get(leaf.right.value) if leaf.right.kind == "parameter" else None
        if isinstance(bound, int | float):
            words["expected"] = (bound, definitions()[leaf.fact].unit)
    return words
