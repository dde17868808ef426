"""Inputs → report: the one use case.

A *request* says what to audit and how; an *opener* turns it into deployments, one after the other.
``from_files`` is the opener for files on disk; a running engine is another one. Everything after
the opener is the same for both: bind the plan, judge the policies, apply the ignores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from infra_audit.deployment import Deployment, Files, Subject
from infra_audit.engine.config import (
    Config,
    DeploymentConfig,
    PathConfig,
    Rule,
    apply_rules,
    ended,
    find_config,
    read_config,
)
from infra_audit.engine.evaluate import condense, examine, without_covered
from infra_audit.engine.policies import Policy, Shipped, shipped
from infra_audit.engine.prose import describe
from infra_audit.errors import ConfigError, InfraAuditError, LeftOut, ReadError, UsageError
from infra_audit.facts.finders import attach
from infra_audit.facts.registry import Known, evaluate
from infra_audit.finding import DeploymentInfo, Finding, Report
from infra_audit.hints import did_you_mean
from infra_audit.named import NamedTuple
from infra_audit.plan import Plan, bind
from infra_audit.reports.terminal import count
from infra_audit.source import display_path
from infra_audit.suppress import UNUSED, WITHOUT_REASON, Ignores

if TYPE_CHECKING:  # few runs need them
    from infra_audit.baseline import Baseline
    from infra_audit.changes import Changes

__all__ = [
    "DEFAULT_PLAN",
    "Opened",
    "Opener",
    "Request",
    "audit",
    "bind_plan",
    "from_files",
    "known_policies",
    "prepare",
]

DEFAULT_PLAN = "reference"
"""The shipped plan that is compared with where nobody names one."""


class Request(NamedTuple):
    """What to audit.

    ``paths``: files and folders to find deployments in; ``files``: instead, the files of one
    deployment, in merge order. ``profiles``: active profiles, None for all. ``environ``: variables
    that win over env files. ``plan``: a plan's name, file, or "none"; None lets the configuration and
    the deployment decide. ``policies``: only these, also where they are off by default.
    ``config``: a configuration file instead of the one that is found. ``baseline``: the findings that
    are known. ``changes``: only findings on these lines are wanted.
    """

    paths: tuple[str, ...] = (".",)
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    folder: str | None = None
    name: str | None = None
    plan: str | None = None
    policies: tuple[str, ...] = ()
    config: str | None = None
    use_config: bool = True
    baseline: Baseline | None = None
    changes: Changes | None = None


class Opened(NamedTuple):
    """A deployment that was opened, or the error that it gave, with what the configuration says about it."""

    name: str
    result: Deployment | InfraAuditError
    notes: tuple[str, ...] = ()
    plan: str | None = None
    rules: tuple[Rule, ...] = ()
    files: tuple[str, ...] = ()


Opener: TypeAlias = Callable[[Request, Config], Iterable[Opened]]


def audit(request: Request, opener: Opener | None = None) -> Report:
    """Audits everything that a request names.

    A deployment that cannot be read becomes an error of the report and the others go on. Raises
    UsageError and ConfigError where the request or the configuration itself is wrong.
    """
    report = Report()
    stock = shipped()
    for config, part in _by_config(request):
        _audit_group(part, config, stock, opener or from_files, report)
    return report


def deployments(request: Request, *, left_out: bool = False) -> Iterator[Opened]:
    """Opens what a request names and lays the plans over it, without judging anything.

    ``left_out``: also tell of the files of a folder that are no deployments.
    """
    stock = shipped()
    for config, part in _by_config(request):
        for opened in from_files(part, config):
            if isinstance(opened.result, LeftOut) and not left_out:
                continue
            if isinstance(opened.result, Deployment):
                _complete(opened.result, config)
                scoped = _scoped(config, opened.result)
                bind_plan(opened.result, request.plan or opened.plan or scoped.plan or config.plan, config, stock)
            yield opened


def catalogue(request: Request) -> dict[str, Policy]:
    """The policies that a request could run, by id: shipped ones and those that its configurations name."""
    stock = shipped()
    return {policy.id: policy for config, part in _by_config(request) for policy in _policies(part, config, stock)}


def _audit_group(request: Request, config: Config, stock: Shipped, opener: Opener, report: Report) -> None:
    """Audits what lies under one configuration."""
    policies = _policies(request, config, stock)
    report.policies.update((policy.id, partial(describe, policy)) for policy in policies)
    ignores = Ignores(config.ignores)
    ran: set[str] = set()
    for opened in opener(request, config):
        if isinstance(opened.result, LeftOut):
            report.left_out.append(opened.result)
            continue
        if isinstance(opened.result, InfraAuditError):
            if str(opened.result) not in map(str, report.errors):
                report.errors.append(opened.result)
            continue
        deployment = _complete(opened.result, config)
        if any(info.name == deployment.name for info in report.deployments):
            deployment.name = f"{deployment.name} ({display_path(deployment.folder)})"
        scoped = _scoped(config, deployment)
        rules = (*scoped.rules, *opened.rules)
        prepared = prepare(apply_rules(policies, rules), request.policies)
        why = bind_plan(deployment, request.plan or opened.plan or scoped.plan or config.plan, config, stock)
        verdict = examine(deployment, prepared)
        ignores.read(deployment.reader.sources, deployment.name)
        ignores.apply(verdict.findings)
        known = _known(request, verdict.findings, deployment)
        findings, unchanged = _changed(request.changes, without_covered(prepared, verdict.findings))
        findings = condense(deployment, prepared, findings)
        ignores.apply(finding for finding in findings if finding.suppressed is None)
        report.findings.extend(findings)
        report.gaps.extend(verdict.gaps)
        notes = filter(None, (*opened.notes, why, *ended((*config.rules, *rules)), known, unchanged))
        report.deployments.append(DeploymentInfo(deployment.name, deployment.source, deployment.files, tuple(notes)))
        ran |= {policy.id for policy in prepared if policy.enabled and (not policy.live or deployment.source == "live")}
    _judge_ignores(request, config, policies, ignores, ran, report)


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


def _by_config(request: Request) -> Iterator[tuple[Config, Request]]:
    """The request in parts, each under its own configuration."""
    if request.config is not None:
        yield read_config(request.config), request
        return
    if not request.use_config:
        yield Config(), request
        return
    if request.files or not request.paths:
        found = find_config(request.files[0] if request.files else ".")
        yield (read_config(found) if found else Config()), request
        return
    groups: dict[str | None, list[str]] = {}
    for path in request.paths:
        groups.setdefault(find_config(path), []).append(path)
    for file, paths in groups.items():
        yield (read_config(file) if file else Config()), _with_paths(request, tuple(paths))


def _with_paths(request: Request, paths: tuple[str, ...]) -> Request:
    return request._replace(paths=paths)


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


# -- files --------------------------------------------------------------------------------------


def from_files(request: Request, config: Config) -> Iterator[Opened]:
    """Opens the `-f` files, the deployments that the configuration names, or all that are found."""
    from infra_audit.compose import survey

    if request.files:
        yield _open(request, request.files, _named(config, request.files))
        return
    paths, lonely = _apart(request.paths)
    if lonely:
        yield from _open_mounting(request, config, lonely)
        if not paths:
            return
    named = _under(config, paths)
    if named:
        for entry in named:
            yield _open(request, entry.files, entry)
        return
    opened: set[tuple[str, ...]] = set()
    for path in paths:
        specs = survey([path])
        if not specs:
            yield from _open_folder(request, config, path)
        for spec in specs:
            if spec.files not in opened:
                opened.add(spec.files)
                if spec.part:
                    yield Opened("", LeftOut(f"left out: {spec.part}", file=display_path(spec.files[-1])))
                    continue
                yield _open(request, spec.files, None, spec.variant, spec.notes)


def _apart(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths that may lead to Compose files, and the rule files, dashboards and configurations among the others."""
    lonely: list[str] = []
    for path in paths:
        if "compose" not in os.path.basename(path) and os.path.isfile(path):
            from infra_audit.mounted import monitoring_files

            lonely += monitoring_files(path)
    named = set(lonely)
    return [path for path in paths if os.path.abspath(path) not in named], lonely


def _open_folder(request: Request, config: Config, path: str) -> Iterator[Opened]:
    """What a folder without a Compose file holds: rules and dashboards, or nothing, which is an error."""
    from infra_audit.mounted import monitoring_files

    found = monitoring_files(path) if os.path.isdir(path) else []
    if found:
        yield from _open_mounting(request, config, found)
    else:
        yield Opened("", ReadError("no Compose file found here", file=display_path(path)))


def _open_mounting(request: Request, config: Config, lonely: Sequence[str]) -> Iterator[Opened]:
    """The deployments that mount files which were named by themselves; the files alone where none does."""
    from infra_audit.mounted import by_themselves, mounting

    entries = {entry.files: entry for entry in config.deployments}
    found = mounting(lonely, entries)
    specs = {spec.files: spec for specs in found.values() for spec in specs}
    for files, spec in specs.items():
        parts = [display_path(location) for location, specs in found.items() if spec in specs]
        shown = parts[0] if len(parts) == 1 else f"{parts[0]} and {len(parts) - 1} more"
        notes = (*spec.notes, f"{shown}: mounted here")
        yield _open(request, files, entries.get(files), spec.variant, notes)
    alone = [location for location, specs in found.items() if not specs]
    if alone:
        deployment = by_themselves(alone)
        yield Opened(deployment.name, deployment, ("no Compose file here mounts them: judged by themselves",))


def _open(
    request: Request,
    files: Sequence[str],
    entry: DeploymentConfig | None,
    variant: str = "",
    notes: tuple[str, ...] = (),
) -> Opened:
    """One deployment; what the command line says wins over what the configuration says."""
    from infra_audit.compose import load

    env_files = request.env_files or (entry.env_files if entry else ())
    profiles = request.profiles if request.profiles is not None else (entry.profiles if entry else None)
    plan, rules = (entry.plan, entry.rules) if entry else (None, ())
    try:
        deployment = load(
            files,
            profiles=("*",) if profiles is None else profiles,
            env_files=env_files,
            environ=request.environ,
            folder=request.folder,
            name=request.name,
            reader=Files(),
        )
    except InfraAuditError as error:
        shown = tuple(map(display_path, files))
        return Opened(entry.name if entry else _label(files, variant), error, notes, plan, rules, shown)
    if entry is not None:
        deployment.name = entry.name
    elif variant:
        deployment.name = f"{deployment.name} ({variant})"
    said = dict.fromkeys((*notes, *deployment.notes))
    if not said and len(deployment.files) > 1:
        said[f"merged {' + '.join(deployment.files)}"] = None
    return Opened(deployment.name, deployment, tuple(said), plan, rules)


def _label(files: Sequence[str], variant: str) -> str:
    """A name for what could not be read."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(files[0])))
    return f"{folder} ({variant})" if variant else folder


def _named(config: Config, files: Sequence[str]) -> DeploymentConfig | None:
    """What the configuration says about exactly these files."""
    wanted = tuple(os.path.abspath(file) for file in files)
    return next((entry for entry in config.deployments if entry.files == wanted), None)


def _under(config: Config, paths: Iterable[str]) -> list[DeploymentConfig]:
    """The deployments of the configuration that lie in the paths or are made of them."""
    tops = [os.path.abspath(path) for path in paths]

    def touches(entry: DeploymentConfig) -> bool:
        return any(file == top or file.startswith(top.rstrip(os.sep) + os.sep) for file in entry.files for top in tops)

    return [entry for entry in config.deployments if touches(entry)]
