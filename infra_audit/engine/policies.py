"""Policies as the engine runs them, and the shipped ones with their cache.

A run needs neither prose nor examples, so the shipped policies are compiled to one JSON file that
loads in about a millisecond. In a wheel it is built in; in a checkout it lies in ``policies/.cache``
(or in the user's cache folder where that cannot be written), valid for one listing of names,
sizes and times of the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, get_args

from infra_audit import __version__, resources
from infra_audit.deployment import Files
from infra_audit.engine.conditions import Condition, Leaf, Operand, leaves, parse
from infra_audit.engine.quiet import Test, quiet, surely
from infra_audit.engine.templates import facts_in
from infra_audit.errors import ConfigError
from infra_audit.facts.products import FAMILIES
from infra_audit.facts.registry import FOLDER, MODULES, expect
from infra_audit.finding import Severity
from infra_audit.named import NamedTuple
from infra_audit.plan import Plan
from infra_audit.readers.yaml import read_yaml

__all__ = [
    "COMPILED",
    "PACKS",
    "SUBJECTS",
    "Check",
    "Policy",
    "Shipped",
    "SubjectKind",
    "compile_folder",
    "read_document",
    "shipped",
]

PACKS = ("baseline", "documented")
SubjectKind: TypeAlias = Literal[
    "deployment",
    "service",
    "network",
    "volume",
    "port",
    "mount",
    "dependency",
    "container",
    "scrape_job",
    "scrape_target",
    "rule_file",
    "alert",
    "recording_rule",
    "expression",
    "dashboard",
    "panel",
    "datasource",
]
SUBJECTS: tuple[str, ...] = get_args(SubjectKind)
COMPILED = "compiled.json"
"""Name of the compiled policies; beside the policies of a wheel, in ``.cache`` of a checkout."""

_FORMAT = 3
_NOTHING = {"where": None, "require": None, "message": "", "fix": "", "edit": None}
"""What stands for each key that a check leaves out."""
_CHECK_KEYS = ("severity", "also", *_NOTHING)


class Check(NamedTuple):
    """One judgement of a policy: which subjects, what must hold, how bad it is and what to say."""

    where: Condition | None
    require: Condition | None
    severity: Severity
    message: str
    fix: str
    plan_paths: tuple[str, ...]
    chosen: Test
    """True of a subject only where ``where`` holds, without any doubt."""
    quiet: Test
    """True of a subject only where there is nothing to say."""
    family: str
    """First word of the first fact that the check asks for."""
    edit: Mapping[str, Any] | None = None
    """What `infra-audit fix` does: one of set, remove and add, and whether it is ``safe``."""
    narrow: bool = False
    """True where it may not speak of every subject: of a product's family alone, or of what a plan has numbers for."""

    def leaves(self) -> Iterator[Leaf]:
        yield from leaves(self.where)
        yield from leaves(self.require)

    def facts(self) -> list[str]:
        """Every fact that the check asks for, in conditions and message."""
        names = [leaf.fact for leaf in self.leaves()]
        names += [name for leaf in self.leaves() for name in _names(leaf.right, "fact")]
        names += facts_in(self.message)
        return list(dict.fromkeys(names))

    def parameters(self) -> set[str]:
        """Names of the parameters that the check uses."""
        return {name for leaf in self.leaves() for name in _names(leaf.right, "parameter")}


class Checks:
    """The checks of a policy, read when somebody asks: most runs have no subject for half of the policies."""

    __slots__ = ("_policy", "_read")

    def __init__(self, policy: Mapping[str, Any]) -> None:
        self._policy = policy
        self._read: tuple[Check, ...] | None = None

    def __iter__(self) -> Iterator[Check]:
        if self._read is None:
            first = {**_NOTHING, **self._policy}
            others = [{**first, "edit": None, **part} for part in self._policy.get("also") or ()]
            self._read = tuple(map(_check, (first, *others)))
        return iter(self._read)


class Policy(NamedTuple):
    """A policy ready to run. ``file`` holds the whole document; a policy without ``require`` is judged in code."""

    id: str
    title: str
    severity: Severity
    subject: str
    checks: Iterable[Check]
    parameters: Mapping[str, Any] = {}
    fold: bool = False
    enabled: bool = True
    live: bool | None = None
    """True: only for what runs; False: only for files, because it judges how they are written; None: for both."""
    unless: tuple[str, ...] = ()
    pack: str = ""
    family: str = ""
    file: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any], *, pack: str, family: str, file: str) -> Policy:
        """A policy from plain data; raises ConfigError where it does not say what it must."""
        try:
            return cls(
                data["id"],
                data["title"],
                Severity[data["severity"]],
                data["subject"],
                tuple(Checks(data)),
                data.get("parameters") or {},
                bool(data.get("fold")),
                data.get("enabled", True),
                data.get("live"),
                tuple(data.get("unless") or ()),
                pack,
                family,
                file,
            )
        except KeyError as error:
            raise ConfigError(f"{error.args[0]!r} is missing or unknown", file=file) from None
        except ConfigError as error:
            raise ConfigError(error.message, file=file) from None

    def needs_plan(self, check: Check) -> bool:
        """True where one of the policy's checks compares with a plan, in its condition or inside its facts."""
        return self.pack == "documented" or bool(check.plan_paths)

    def runs_on(self, source: str) -> bool:
        """True where the policy is judged on a deployment from ``source`` (files or live)."""
        return self.enabled and self.live in (None, source == "live")

    def changed(
        self,
        *,
        enabled: bool | None = None,
        severity: Severity | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Policy:
        """The policy as a deployment wants it; raises ConfigError for a parameter that it does not have."""
        policy = self
        if enabled is not None:
            policy = policy._replace(enabled=enabled)
        if severity is not None:
            checks = tuple(check._replace(severity=severity) for check in policy.checks)
            policy = policy._replace(severity=severity, checks=checks)
        for name in parameters or ():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ConfigError(f"{self.id} has no parameter {name}; it has {known}")
        if parameters:
            policy = policy._replace(parameters={**self.parameters, **parameters})
        return policy


def _check(data: Mapping[str, Any]) -> Check:
    where = None if data["where"] is None else parse(data["where"])
    require = None if data["require"] is None else parse(data["require"])
    both = [*leaves(where), *leaves(require)]
    plan_paths = {path: None for leaf in both if leaf.right.kind != "literal" for path in _names(leaf.right, "plan")}
    family = both[0].fact.partition(".")[0] if both else ""
    return Check(
        where,
        require,
        Severity[data["severity"]],
        data["message"] or "",
        data["fix"] or "",
        tuple(plan_paths),
        surely(where, True),
        quiet(where, require),
        family,
        data["edit"],
        bool(plan_paths) or family in FAMILIES,
    )


def _names(operand: Operand, kind: str) -> Iterator[str]:
    """What an operand names: paths of the plan, facts or parameters."""
    if operand.kind == kind:
        yield operand.value
    elif operand.kind == "list":
        for part in operand.value:
            yield from _names(part, kind)


# -- shipped ------------------------------------------------------------------------------------


class Shipped(NamedTuple):
    """What ships with the package: policies by id and plans by name."""

    policies: dict[str, Policy]
    plans: dict[str, Plan]


def shipped(folder: str | None = None) -> Shipped:
    """The shipped policies and plans, from the compiled file where that is still true."""
    folder = folder or resources.policies_folder()
    data = _packaged(folder) or _cached(folder)
    expect(data["facts"])
    below = os.path.join(folder, "")
    policies = {row[0]: _policy(row, below) for row in data["policies"]}
    plans = {
        entry["data"]["plan"]: Plan.of(entry["data"], file=os.path.join(folder, entry["file"]))
        for entry in data["plans"]
    }
    return Shipped(policies, plans)


def read_document(policy: Policy) -> dict[str, Any]:
    """The whole document of a policy, with prose and examples, as plain data."""
    return _read(policy.file)


def compile_folder(folder: str) -> str:
    """The run-time part of all policies and plans of a folder, as JSON. The wheel's build calls it."""
    return _compile(folder, _listing(folder))


def _listing(folder: str) -> dict[str, str]:
    """Every file below a folder that the compiled policies come from, by path, with what tells that it changed."""
    found = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(os.path.join(folder, inside)) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if name.endswith((".yaml", ".yml", ".py")):
                    status = entry.stat()
                    found[inside + name] = f"{status.st_size} {status.st_mtime_ns}"
                elif entry.is_dir():
                    waiting.append(f"{inside}{name}/")
    return {path: found[path] for path in sorted(found)}


def _compile(folder: str, listing: Iterable[str]) -> str:
    policies = []
    plans = []
    seen: dict[str, str] = {}
    for file in listing:
        path = os.path.join(folder, file)
        data = _read(path)
        parts = file.split("/")
        if parts[0] == "plans":
            plans.append({"file": file, "data": data})
            continue
        if len(parts) != 3 or parts[0] not in PACKS:
            raise ConfigError("a shipped policy lies in PACK/FAMILY/ID.yaml", file=path)
        policy = Policy.of(data, pack=parts[0], family=parts[1], file=path)
        if policy.id in seen:
            raise ConfigError(f"the policy {policy.id} is also in {seen[policy.id]}", file=path)
        seen[policy.id] = file
        policies.append(_row(policy._replace(file=file), data))
    from infra_audit.facts.index import index

    data = {"format": _FORMAT, "facts": index(), "policies": policies, "plans": plans}
    return json.dumps(data, separators=(",", ":"))


def _row(policy: Policy, data: Mapping[str, Any]) -> list[Any]:
    """A policy as the compiled file holds it: its fields in their order, its checks as they are written."""
    checks = {key: data[key] for key in _CHECK_KEYS if key in data}
    return [checks if key == "checks" else value for key, value in policy._asdict().items()]


def _policy(row: Iterable[Any], below: str) -> Policy:
    """A policy of the compiled file, whose checks may wait: they were read when it was compiled."""
    name, title, severity, subject, checks, parameters, fold, enabled, live, unless, pack, family, file = row
    return Policy(
        name,
        title,
        _SEVERITIES[severity],
        subject,
        Checks(checks),
        parameters,
        fold,
        enabled,
        live,
        tuple(unless),
        pack,
        family,
        below + file,
    )


_SEVERITIES = {severity.value: severity for severity in Severity}


def _read(path: str) -> dict[str, Any]:
    documents = read_yaml(Files().read(path))
    data = documents[0].data() if len(documents) == 1 else None
    if not isinstance(data, dict):
        raise ConfigError("must hold one YAML mapping", file=path)
    return data


def _packaged(folder: str) -> Any:
    """The compiled file of a wheel, which is true for as long as the wheel is."""
    if not resources.is_packaged(folder):
        return None
    return _load(os.path.join(folder, COMPILED))


def _cached(folder: str) -> Any:
    listing = _listing(folder)
    key = "\n".join((__version__, *MODULES, *listing, *listing.values(), *_listing(FOLDER).values()))
    for cache in _caches(folder):
        data = _load(os.path.join(cache, COMPILED))
        if data is not None and data.get("key") == key:
            return data
    data = json.loads(_compile(folder, listing))
    data["key"] = key
    text = json.dumps(data, separators=(",", ":"))
    any(_store(cache, text) for cache in _caches(folder))
    return data


def _caches(folder: str) -> Iterator[str]:
    """The folders that may hold the compiled policies of a checkout, best first."""
    yield os.path.join(folder, ".cache")
    yield os.path.join(resources.cache_folder(), folder.strip(os.sep).replace(os.sep, "-"))


def _load(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as stream:
            data = json.load(stream)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) and data.get("format") == _FORMAT else None


def _store(cache: str, text: str) -> bool:
    """Writes the compiled policies into a cache that git passes over; False where it cannot be written."""
    ignored = resources.keep(os.path.join(cache, ".gitignore"), "*\n")
    return ignored and resources.keep(os.path.join(cache, COMPILED), text)
