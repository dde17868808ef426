"""The pages of docs/policies: one per shipped policy, and their index. All of it comes from the policies' files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from infra_audit.engine.policies import Policy, shipped
from infra_audit.engine.prose import describe
from infra_audit.finding import CIS_BENCHMARK, Description, Report
from infra_audit.reports import Look, reporter
from tests.examples import Example, documents, examples, judged
from tests.running import PREFIX

__all__ = ["pages"]

_MARKS = {"error": "🔴", "warning": "🟠", "info": "🔵"}
_SAID = "what the engine says otherwise than of [a project in which all is well](../../tests/running/compose.yaml)"
_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".json": "json", ".conf": "conf", ".env": "sh", ".sql": "sql"}


def pages() -> dict[str, str]:
    """Name of each page → its text."""
    policies = shipped().policies
    found = {document.policy.id: list(examples(document)) for document in documents()}
    texts = {f"{policy.id}.md": "\n".join(_page(policy, found.get(policy.id, []))) for policy in policies.values()}
    return {"README.md": "\n".join(_index(list(policies.values())))} | texts


def _index(policies: list[Policy]) -> Iterator[str]:
    yield "# Policies"
    yield ""
    yield "Written by `make docs` from [policies](../../policies). `infra-audit explain ID` shows the same. The last"
    yield "columns tell what `check` and `live` judge. Where both do, they say the same about what can be seen on both"
    yield "sides: tests run the examples of these policies on a real engine."
    ordered = sorted(policies, key=lambda policy: (policy.pack, policy.family, policy.id))
    for (pack, family), group in groupby(ordered, key=lambda policy: (policy.pack, policy.family)):
        yield ""
        yield f"## {pack}/{family}"
        yield ""
        yield "| policy | | says | judges each | files | what runs |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for policy in group:
            severity = policy.severity.name
            more = "" if policy.enabled else " (off by default)"
            title = policy.title.replace("|", "\\|")
            kind = policy.subject.replace("_", " ")
            judged = " | ".join("" if policy.live is other else "✓" for other in (True, False))
            link = f"[{policy.id}]({policy.id}.md)"
            yield f"| {link} | {_MARKS[severity]} {severity} | {title}{more} | {kind} | {judged} |"
    yield ""


def _page(policy: Policy, shown: list[Example]) -> Iterator[str]:
    described = describe(policy)
    severity = policy.severity.name
    yield f"# {policy.id}"
    yield ""
    yield f"**{policy.title}**"
    yield ""
    parts = [f"{_MARKS[severity]} {severity}", f"judges each {policy.subject.replace('_', ' ')}"]
    parts.append(f"[{policy.pack}/{policy.family}](../../policies/{policy.pack}/{policy.family}/{policy.id}.yaml)")
    parts += [f"{CIS_BENCHMARK}: {', '.join(described.cis)}"] if described.cis else []
    parts += {True: ["needs a running project"], False: ["judges files only"], None: []}[policy.live]
    parts += [] if policy.enabled else ["off unless a configuration enables it"]
    yield " · ".join(parts)
    yield ""
    for title, text in (("Why", described.why), ("How to fix it", described.fix)):
        if text:
            yield f"## {title}"
            yield ""
            yield text.strip()
            yield ""
    if policy.parameters:
        yield "## Parameters"
        yield ""
        yield from (f"- `{name}`: `{value}`" for name, value in policy.parameters.items())
        yield ""
    yield from _examples(described, shown)
    if described.references:
        yield "## References"
        yield ""
        yield from (f"- <{reference}>" for reference in described.references)
        yield ""


def _examples(described: Description, shown: list[Example]) -> Iterator[str]:
    for kind, title in (("bad", "Gives a finding"), ("good", "Gives none")):
        for number, example in enumerate(described.examples.get(kind, ())):
            yield f"## {title}"
            yield ""
            for name, text in example.files.items():
                fence = "````" if "```" in text else "```"
                yield f"`{name}`" + (f", {_SAID}" if name.startswith(PREFIX) else "")
                yield ""
                yield f"{fence}{_language(name)}"
                yield text.rstrip("\n")
                yield fence
                yield ""
            matching = [example for example in shown if (example.kind, example.number) == (kind, number + 1)]
            if kind == "bad" and matching:
                yield from _output(matching[0])


def _language(name: str) -> str:
    return "yaml" if name.startswith(PREFIX) else _LANGUAGES.get(os.path.splitext(name)[1], "text")


def _output(example: Example) -> Iterator[str]:
    """What `check` or `live` prints about an example; nothing where it says nothing."""
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.chdir(folder)
            report = judged(example, Path(folder))
            text = reporter("text")(_alone(report, example), Look(width=100))
        finally:
            os.chdir(here)
    if any(finding.policy == example.policy.id for finding in report.active()):
        yield "```text"
        yield text.rstrip("\n")
        yield "```"
        yield ""


def _alone(report: Report, example: Example) -> Report:
    """The report with what the policy itself says."""
    findings = [finding for finding in report.findings if finding.policy == example.policy.id]
    return Report(report.deployments, findings, [gap for gap in report.gaps if gap.policy == example.policy.id])
