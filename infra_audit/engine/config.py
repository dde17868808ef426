"""``.infra-audit.yaml``: which deployments there are, which plan counts, what is changed and ignored.

Found in the folder of what is checked or above it, up to the repository's root. Every change has a
reason, or the document is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from infra_audit.deployment import Files
from infra_audit.engine.policies import Policy
from infra_audit.errors import ConfigError
from infra_audit.finding import Severity
from infra_audit.hints import did_you_mean
from infra_audit.named import NamedTuple
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source, Span
from infra_audit.suppress import Ignore, is_over
from infra_audit.tree import Node

__all__ = [
    "CONFIG_NAMES",
    "PACKAGE",
    "Config",
    "DeploymentConfig",
    "PathConfig",
    "Rule",
    "apply_rules",
    "ended",
    "find_config",
    "read_config",
]

CONFIG_NAMES = (".infra-audit.yaml", ".infra-audit.yml")
PACKAGE = "package:"
"""In front of the name of an installed Python package that holds policies."""


class Rule(NamedTuple):
    """A change of one policy. None means: as the policy says."""

    policy: str
    reason: str
    span: Span
    enabled: bool | None = None
    severity: Severity | None = None
    parameters: Mapping[str, Any] = {}
    until: str = ""


class PathConfig(NamedTuple):
    """What holds for the deployments whose first file fits ``pattern``, a glob of an absolute path."""

    pattern: str
    plan: str | None = None
    rules: tuple[Rule, ...] = ()


class DeploymentConfig(NamedTuple):
    """A deployment as the configuration names it; paths are absolute. None: not said."""

    name: str
    files: tuple[str, ...]
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] | None = None
    plan: str | None = None
    rules: tuple[Rule, ...] = ()


class Config(NamedTuple):
    """A configuration; the empty one changes nothing. ``folder`` is what its paths are relative to."""

    file: str = ""
    folder: str = ""
    plan: str | None = None
    policies: tuple[str, ...] = ()
    deployments: tuple[DeploymentConfig, ...] = ()
    rules: tuple[Rule, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    metrics: Mapping[str, tuple[str, ...]] = {}
    """Glob of services → files that say which metrics they export."""
    paths: tuple[PathConfig, ...] = ()
    spans: Mapping[str, Span] = {}
    """Where a path or plan is written, for errors about it."""

    def deployment(self, name: str) -> DeploymentConfig | None:
        return next((entry for entry in self.deployments if entry.name == name), None)

    def scoped(self, file: str) -> PathConfig:
        """What the paths that a file lies in say together; the last one that says something wins."""
        location = os.path.abspath(file)
        fitting = [entry for entry in self.paths if fnmatchcase(location, entry.pattern)]
        plans = [entry.plan for entry in fitting if entry.plan is not None]
        return PathConfig(location, plans[-1] if plans else None, tuple(rule for one in fitting for rule in one.rules))


def ended(rules: Iterable[Rule]) -> list[str]:
    """One line for each rule that no longer holds."""
    return [
        f"the rule for {rule.policy} ended on {rule.until} ({rule.span}) and no longer counts"
        for rule in rules
        if is_over(rule.until)
    ]


def find_config(path: str) -> str | None:
    """The configuration that counts for a file or folder: the nearest one upwards in its repository."""
    here = os.path.abspath(path)
    if not os.path.isdir(here):
        here = os.path.dirname(here)
    while True:
        for name in CONFIG_NAMES:
            if os.path.lexists(os.path.join(here, name)):
                return os.path.join(here, name)
        above = os.path.dirname(here)
        if above == here or os.path.exists(os.path.join(here, ".git")):
            return None
        here = above


def read_config(path: str) -> Config:
    """A configuration file; raises ReadError or ConfigError with the place of what is wrong."""
    location = os.path.abspath(path)
    node = _read_valid(Files().read(location))
    folder = os.path.dirname(location)
    spans: dict[str, Span] = {}
    deployments = tuple(_deployment(name, entry, folder, spans) for name, entry in _pairs(node.get("deployments")))
    return Config(
        file=location,
        folder=folder,
        plan=_plan(node.get("plan"), folder, spans),
        policies=_packs(node.get("policies"), folder, spans),
        deployments=deployments,
        rules=_rules(node.get("rules")),
        ignores=tuple(_ignore(entry, folder) for entry in _entries(node.get("ignore"))),
        metrics={glob: _paths(entry, folder, spans) for glob, entry in _pairs(node.get("metrics"))},
        paths=tuple(_path_config(glob, entry, folder, spans) for glob, entry in _pairs(node.get("paths"))),
        spans=spans,
    )


def _read_valid(source: Source) -> Node:
    from infra_audit.engine.proven import is_proven, prove  # only where there is a configuration

    if is_proven(source):
        return next(iter(read_yaml(source)), Node({}, source.top))
    from infra_audit.engine.documents import read_valid  # starts pydantic

    node = read_valid("config", source)
    prove(source)
    return node


def apply_rules(policies: Iterable[Policy], rules: Iterable[Rule]) -> list[Policy]:
    """The policies as a deployment wants them; raises ConfigError for an unknown policy or parameter."""
    changed = {policy.id: policy for policy in policies}
    for rule in rules:
        if is_over(rule.until):
            continue
        policy = changed.get(rule.policy)
        if policy is None:
            _fail(f"no policy is called {rule.policy}{did_you_mean(rule.policy, changed)}", rule.span)
        try:
            changed[rule.policy] = policy.changed(
                enabled=rule.enabled, severity=rule.severity, parameters=rule.parameters
            )
        except ConfigError as error:
            _fail(error.message, rule.span)
    return list(changed.values())


def _fail(message: str, span: Span) -> NoReturn:
    raise ConfigError(message, file=span.source.path, line=span.line, column=span.column)


def _deployment(name: str, node: Node, folder: str, spans: dict[str, Span]) -> DeploymentConfig:
    profiles = node.get("profiles")
    return DeploymentConfig(
        name=name,
        files=_paths(node.get("files"), folder, spans),
        env_files=_paths(node.get("env_files"), folder, spans),
        profiles=None if profiles is None else tuple(profiles.data()),
        plan=_plan(node.get("plan"), folder, spans),
        rules=_rules(node.get("rules")),
    )


def _rules(node: Node | None) -> tuple[Rule, ...]:
    rules = []
    for policy, entry in _pairs(node):
        data = entry.data()
        severity = data.get("severity")
        rules.append(
            Rule(
                policy,
                data["reason"],
                entry.key or entry.span,
                data.get("enabled"),
                None if severity is None else Severity[severity],
                data.get("parameters") or {},
                data.get("until") or "",
            )
        )
    return tuple(rules)


def _ignore(node: Node, folder: str) -> Ignore:
    data = node.data()
    named = node.get("policy")
    path = data.get("path")
    return Ignore(
        data["policy"],
        data["reason"],
        named.span if named is not None else node.span,
        subject=data.get("subject") or "*",
        deployment=data.get("deployment") or "*",
        path=_glob(path, folder) if path else "",
        until=data.get("until") or "",
    )


def _path_config(glob: str, node: Node, folder: str, spans: dict[str, Span]) -> PathConfig:
    return PathConfig(_glob(glob, folder), _plan(node.get("plan"), folder, spans), _rules(node.get("rules")))


def _glob(written: str, folder: str) -> str:
    """A glob below the folder of the configuration, for absolute paths; `legacy/` is all that lies in it."""
    escaped = "".join(f"[{char}]" if char in "*?[" else char for char in folder)
    return f"{escaped}{os.sep}{written.removeprefix('./')}" + ("*" if written.endswith("/") else "")


def _plan(node: Node | None, folder: str, spans: dict[str, Span]) -> str | None:
    """A plan's name, "none", or the absolute path of its file."""
    if node is None or node.value is None:
        return None
    text = str(node.value)
    plan = os.path.normpath(os.path.join(folder, text)) if "/" in text or text.endswith((".yaml", ".yml")) else text
    spans[plan] = node.span
    return plan


def _paths(node: Node | None, folder: str, spans: dict[str, Span]) -> tuple[str, ...]:
    paths = []
    for entry in _entries(node):
        path = os.path.normpath(os.path.join(folder, str(entry.value)))
        spans[path] = entry.span
        paths.append(path)
    return tuple(paths)


def _packs(node: Node | None, folder: str, spans: dict[str, Span]) -> tuple[str, ...]:
    """Folders of policies as absolute paths, and `package:NAME` as it is."""
    packs = []
    for entry in _entries(node):
        text = str(entry.value)
        pack = text if text.startswith(PACKAGE) else os.path.normpath(os.path.join(folder, text))
        spans[pack] = entry.span
        packs.append(pack)
    return tuple(packs)


def _pairs(node: Node | None) -> Iterable[tuple[str, Node]]:
    return () if node is None else node.items()


def _entries(node: Node | None) -> list[Node]:
    return [] if node is None else node.entries()
