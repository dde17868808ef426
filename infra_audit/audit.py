"""Inputs → report: the one use case.

An *opener* turns a request into deployments (``opening``). Everything after it is the same for files
and for a running engine: bind the plan, judge the policies, apply the ignores.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from infra_audit.deployment import Deployment, Subject
from infra_audit.engine.condense import condense
from infra_audit.engine.config import Config, PathConfig, apply_rules, ended, find_config, read_config
from infra_audit.engine.evaluate import examine, without_covered
from infra_audit.engine.policies import Policy, Shipped, shipped
from infra_audit.engine.prose import describe
from infra_audit.errors import ConfigError, InfraAuditError, LeftOut, UsageError
from infra_audit.facts.finders import attach
from infra_audit.facts.registry import Known, evaluate
from infra_audit.finding import DeploymentInfo, Finding, Gap, Report
from infra_audit.hints import did_you_mean
from infra_audit.named import NamedTuple
from infra_audit.opening import Group, Opened, Opener, Opening, Request, by_config, open_files
from infra_audit.plan import Plan, bind
from infra_audit.reports.terminal import count
from infra_audit.source import display_path
from infra_audit.spread import spread
from infra_audit.suppress import UNUSED, WITHOUT_REASON, Ignores

if TYPE_CHECKING:  # few runs need them
    from infra_audit.changes import Changes

__all__ = [
    "DEFAULT_PLAN",
    "Opened",
    "Opener",
    "Request",
    "audit",
    "bind_plan",
    "catalogue",
    "deployments",
    "known_policies",
    "prepare",
]

DEFAULT_PLAN = "reference"
"""The shipped plan that is compared with where nobody names one."""


def audit(request: Request, opener: Opener | None = None) -> Report:
    """Audits everything that a request names.

    A deployment that cannot be read becomes an error of the report and the others go on. Raises
    UsageError and ConfigError where the request or the configuration itself is wrong.
    """
    report = Report()
    stock = shipped()
    for group in (opener or open_files)(request):
        _audit_group(group, stock, report)
    return report


def deployments(request: Request, opener: Opener = open_files, *, left_out: bool = False) -> Iterator[Opened]:
    """Opens what a request names and lays the plans over it, without judging anything.

    ``left_out``: also tell of the files of a folder that are no deployments.
    """
    stock = shipped()
    for config, part, openings in opener(request):
        for opening in openings:
            opened = opening.open()
            if isinstance(opened.result, LeftOut) and not left_out:
                continue
            if isinstance(opened.result, Deployment):
                _complete(opened.result, config)
                scoped = _scoped(config, opened.result)
                bind_plan(opened.result, part.plan or opened.plan or scoped.plan or config.plan, config, stock)
            yield opened


def catalogue(request: Request) -> dict[str, Policy]:
    """The policies that a request could run, by id: shipped ones and those that its configurations name."""
    stock = shipped()
    return {policy.id: policy for config, part in by_config(request) for policy in _policies(part, config, stock)}


def _audit_group(opened: Group, stock: Shipped, report: Report) -> None:
    """Audits what lies under one configuration."""
    config, request, openings = opened
    policies = _policies(request, config, stock)
    report.policies.update((policy.id, partial(describe, policy)) for policy in policies)
    group = _Judging(request, config, stock, policies, list(openings))
    ignores = Ignores(config.ignores)
    ran: set[str] = set()
    names = {info.name for info in report.deployments}
    for index, found in enumerate(group.judge_all()):
        if isinstance(found, LeftOut):
            report.left_out.append(found)
            continue
        if isinstance(found, InfraAuditError):
            if str(found) not in map(str, report.errors):
                report.errors.append(found)
            continue
        judged = found
        if judged.info.name in names:
            again = group.judge(index, apart=True)
            assert isinstance(again, _Judged)
            judged = again
        names.add(judged.info.name)
        report.deployments.append(judged.info)
        report.findings.extend(judged.findings)
        report.gaps.extend(judged.gaps)
        ignores.take(judged.ignores)
        ran |= judged.ran
    _judge_ignores(request, config, policies, ignores, ran, report)


class _Judged(NamedTuple):
    """What one deployment gave. ``ran``: the ids of the policies that were judged, where somebody ignores any."""

    info: DeploymentInfo
    findings: list[Finding]
    gaps: list[Gap]
    ignores: Ignores
    ran: set[str]


class _Judging(NamedTuple):
    """What lies under one configuration, and what it is judged by."""

    request: Request
    config: Config
    stock: Shipped
    policies: list[Policy]
    openings: list[Opening]

    def judge_all(self) -> Iterator[_Judged | InfraAuditError]:
        """Every opening in order, on all cores where there are many."""
        if self.request.baseline is not None:  # which takes notes as it goes
            return map(self.judge, range(len(self.openings)))
        return spread(self.judge, len(self.openings))

    def judge(self, index: int, *, apart: bool = False) -> _Judged | InfraAuditError:
        """One opening, or the error that it gave. ``apart``: its folder tells it from another of its name."""
        request, config, stock, policies, openings = self
        opened = openings[index].open()
        if isinstance(opened.result, InfraAuditError):
            return opened.result
        deployment = _complete(opened.result, config)
        if apart:
            deployment.name = f"{deployment.name} ({display_path(deployment.folder)})"
        scoped = _scoped(config, deployment)
        rules = (*scoped.rules, *opened.rules)
        prepared = prepare(apply_rules(policies, rules), request.policies)
        why = bind_plan(deployment, request.plan or opened.plan or scoped.plan or config.plan, config, stock)
        verdict = examine(deployment, prepared)
        ignores = Ignores(config.ignores)
        ignores.read(deployment.reader.sources, deployment.name)
        ignores.apply(verdict.findings)
        if deployment.declared is not None:
            _carry_over(_complete(deployment.declared, config), deployment, prepared, ignores, verdict.findings)
        known = _known(request, verdict.findings, deployment)
        findings, unchanged = _changed(request.changes, without_covered(prepared, verdict.findings))
        findings = condense(deployment, prepared, findings)
        ignores.apply(finding for finding in findings if finding.suppressed is None)
        notes = filter(None, (*opened.notes, why, *ended((*config.rules, *rules)), known, unchanged))
        info = DeploymentInfo(deployment.name, deployment.source, deployment.files, tuple(notes))
        deployment.release()
        return _Judged(info, findings, verdict.gaps, ignores, verdict.ran if ignores else set())


def _carry_over(
    declared: Deployment, running: Deployment, policies: Sequence[Policy], ignores: Ignores, findings: Sequence[Finding]
) -> None:
    """What somebody lives with in the files holds for the same policy and subject of what runs from them."""
    declared.plan = running.plan
    ignores.read(declared.reader.sources, declared.name)
    named = ignores.policies()
    known = examine(declared, [policy for policy in policies if policy.id in named or "*" in named]).findings
    ignores.apply(known)
    decided = {(one.policy, one.subject): one.suppressed for one in known if one.suppressed is not None}
    for finding in findings:
        finding.suppressed = finding.suppressed or decided.get((finding.policy, finding.subject))


def _complete(deployment: Deployment, config: Config) -> Deployment:
    """Gives a deployment what is not in its own files: finders of further subjects, and declared metrics."""
    deployment.metrics = dict(config.metrics)
    return attach(deployment)


def _scoped(config: Config, deployment: Deployment) -> PathConfig:
    """What the configuration says about the path of a deployment."""
    return config.scoped(deployment.files[0]) if config.paths and deployment.files else PathConfig("")


def _known(request: Request, findings: Iterable[Finding], deployment: Deployment) -> str:
    """Marks what the baseline knows; returns the line that the report says about it."""
    baseline = request.baseline
    if baseline is None:
        return ""
    hidden, fixed = baseline.apply(findings, deployment.name, deployment.files)
    parts = [f"{count(hidden, 'known finding')} in the baseline"] if hidden else []
    if fixed and not request.policies:
        parts.append(f"{fixed} of the baseline fixed, `infra-audit baseline --update` drops them")
    return "; ".join(parts)


def _changed(changes: Changes | None, findings: list[Finding]) -> tuple[list[Finding], str]:
    """The findings on changed lines, and the line that the report says about the others."""
    if changes is None:
        return findings, ""
    kept = [finding for finding in findings if changes.touch(finding)]
    left = sum(finding.suppressed is None for finding in findings) - sum(one.suppressed is None for one in kept)
    said = f"{count(left, 'finding')} left out: their lines did not change since {changes.revision}" if left else ""
    return kept, said


def _judge_ignores(
    request: Request, config: Config, policies: Sequence[Policy], ignores: Ignores, ran: set[str], report: Report
) -> None:
    """The two policies about ignores themselves, which need the whole run to be known."""
    by_id = {policy.id: policy for policy in prepare(policies, request.policies) if policy.enabled}
    without_reason, unused = by_id.get(WITHOUT_REASON), by_id.get(UNUSED)
    found: list[Finding] = []
    if without_reason is not None:
        found.extend(ignores.without_reason(without_reason.severity))
    if unused is not None:
        whole = not request.files and _covers(request.paths, config.folder)
        found.extend(ignores.unused(unused.severity, ran, {policy.id for policy in policies}, whole=whole))
    if request.baseline is not None:
        request.baseline.apply(found, "ignores", ())
    report.findings.extend(_changed(request.changes, found)[0])


def _covers(paths: Iterable[str], folder: str) -> bool:
    """True where a run looks at everything that a configuration speaks about."""
    return any(os.path.abspath(path) == folder or folder.startswith(os.path.abspath(path) + os.sep) for path in paths)


# -- configuration ------------------------------------------------------------------------------


def known_policies(config: str | None = None) -> dict[str, Policy]:
    """All policies by id, as a configuration (by default the one found from here) adds and changes them."""
    found = config or find_config(".")
    read = read_config(found) if found else Config()
    return {policy.id: policy for policy in apply_rules(_every_policy(read, shipped()), read.rules)}


def _every_policy(config: Config, stock: Shipped) -> list[Policy]:
    policies = dict(stock.policies)
    for folder in config.policies:
        from infra_audit.engine.documents import read_policies

        for policy in read_policies(folder, config.spans.get(folder)):
            if policy.id in policies:
                raise ConfigError(f"a policy called {policy.id} is there already", file=policy.file)
            policies[policy.id] = policy
    return list(policies.values())


def _policies(request: Request, config: Config, stock: Shipped) -> list[Policy]:
    """Shipped policies and the user's own, changed by the rules of the configuration."""
    policies = {policy.id: policy for policy in _every_policy(config, stock)}
    for name in request.policies:
        if name not in policies:
            raise UsageError(f"no policy is called {name}{did_you_mean(name, policies)}")
    for entry in config.paths:
        apply_rules(
            policies.values(), entry.rules
        )  # what a path misspells is told, whether or not something lies there
    return apply_rules(policies.values(), config.rules)


def prepare(policies: Iterable[Policy], selected: Sequence[str]) -> list[Policy]:
    """The policies that are judged: all that are enabled, or just the selected ones."""
    if not selected:
        return [policy for policy in policies if policy.enabled]
    return [policy.changed(enabled=True) for policy in policies if policy.id in selected]


# -- plan ---------------------------------------------------------------------------------------


def bind_plan(deployment: Deployment, wanted: str | None, config: Config, stock: Shipped) -> str:
    """Lays a plan over a deployment; returns the line that the report says about it."""
    if wanted == "none":
        return ""
    plan = stock.plans.get(DEFAULT_PLAN) if wanted is None else _plan(wanted, config, stock)
    if plan is None:
        return ""
    binding = bind(plan, deployment, _product, adopted=None if wanted is None else True)
    deployment.plan = binding
    return binding.why


def _plan(wanted: str, config: Config, stock: Shipped) -> Plan:
    if wanted in stock.plans:
        return stock.plans[wanted]
    if os.path.exists(wanted):
        from infra_audit.engine.documents import read_plan

        return read_plan(wanted)
    message = f"no plan is called {wanted}, and no file is; shipped plans: {', '.join(stock.plans) or 'none'}"
    span = config.spans.get(wanted)
    if span is None:
        raise UsageError(message)
    raise ConfigError(message, file=span.source.path, line=span.line, column=span.column)


def _product(service: Subject) -> str | None:
    """What runs in a service ("redis"), or None where that is unknown."""
    fact = evaluate(service, "service.product")
    return fact.value if isinstance(fact, Known) and isinstance(fact.value, str) else None
