"""Rule files: those that a Prometheus loads, those beside them that nothing loads, and those that stand alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError, ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.prometheus import Server, product_of, servers
from infra_audit.monitoring.located_yaml import read_located
from infra_audit.monitoring.rules import Group, Rule, RuleTest, is_rule_file, read_groups, read_test, rules_of
from infra_audit.named import NamedTuple
from infra_audit.readers.located import Located
from infra_audit.tree import HOLE, Node

__all__ = ["RuleFile", "alerts", "recording_rules", "rule_file_of", "rule_files", "rule_of", "tests_of"]

_ENDINGS = (".yml", ".yaml", ".rules", ".rule")
_OTHER_READERS = frozenset(("loki", "vmalert", "mimir", "cortex", "thanos"))
_MAX_DEPTH = 2
_SKIPPED = frozenset(("node_modules", ".git", "data"))


class RuleFile(NamedTuple):
    """A rule file. ``error``: why it is no readable YAML, or None.

    ``loaded``: True where a Prometheus loads it, False where none does, None where that is not known or
    asked (a file that was named by itself). ``dialect``: whose rules they are, "prometheus" or another product's.
    """

    located: Located
    groups: tuple[Group, ...]
    loaded: bool | None
    dialect: str = "prometheus"
    error: ReadError | None = None

    @property
    def rules(self) -> list[Rule]:
        return rules_of(self.groups)


def rule_files(deployment: Deployment) -> Iterator[Subject]:
    """Every rule file, each once; loaded ones first."""
    seen: set[str] = set()
    for server in servers(deployment):
        for rule in server.rules:
            if rule.located.location not in seen:
                seen.add(rule.located.location)
                yield _subject(deployment, rule.located, server.service, loaded=True, dialect=server.product)
    for server in servers(deployment):
        if server.is_prometheus:
            for path in _beside(server):
                if path not in seen:
                    seen.add(path)
                    yield from _unloaded(deployment, path, loaded=None if _is_vague(server) else False)
    for path in deployment.loose:
        if path not in seen and path.endswith(_ENDINGS):
            seen.add(path)
            yield from _unloaded(deployment, path, loaded=None)


def alerts(deployment: Deployment) -> Iterator[Subject]:
    """Every alerting rule of Prometheus' rule files."""
    return _rules(deployment, "alert", "alert")


def recording_rules(deployment: Deployment) -> Iterator[Subject]:
    """Every recording rule of Prometheus' rule files."""
    return _rules(deployment, "recording_rule", "record")


def rule_file_of(subject: Subject) -> RuleFile:
    """The file of a rule_file, alert or recording_rule."""
    owner: Subject | None = subject
    while owner is not None and owner.kind != "rule_file":
        owner = owner.parent
    found = owner.cache.get("(rule file)") if owner is not None else None
    assert isinstance(found, RuleFile)
    return found


def rule_of(subject: Subject) -> Rule:
    """The rule of an alert or recording_rule."""
    found = subject.cache.get("(rule)")
    assert isinstance(found, Rule)
    return found


def tests_of(deployment: Deployment) -> dict[str, RuleTest]:
    """Location of each unit test of rules that lies near the rule files → what it tests; read once."""
    known = deployment.root.cache.get("(rule tests)")
    if isinstance(known, dict):
        return known
    found: dict[str, RuleTest] = {}
    for folder in dict.fromkeys(_test_folders(deployment)):
        for name in deployment.reader.listing(folder):
            path = os.path.join(folder, name)
            if name.endswith(_ENDINGS) and path not in found and not deployment.reader.is_folder(path):
                test = _test(deployment, path)
                if test is not None:
                    found[path] = test
    deployment.root.cache["(rule tests)"] = found
    return found


# -- finding ------------------------------------------------------------------------------------


def _is_vague(server: Server) -> bool:
    """True where it is not known which rules a server loads."""
    return server.config is None or any(entry.why for entry in server.entries)


def _beside(server: Server) -> Iterator[str]:
    """Files that may hold rules in the folders that a Prometheus sees and beside its configuration."""
    reader = server.service.deployment.reader
    tops: list[tuple[str, int]] = []
    location = server.located.location if server.located is not None else ""
    if location and "#" not in location:
        tops.append((os.path.dirname(location), 0))
    for mount in server.files.mounts:
        if mount.host is None or HOLE in mount.host or not reader.exists(mount.host):
            continue
        if reader.is_folder(mount.host) and mount.target.startswith(
            ("/etc", "/prometheus", "/opt", "/rules", "/config")
        ):
            tops.append((os.path.normpath(mount.host), _MAX_DEPTH))
    for top, depth in dict.fromkeys(tops):
        yield from _below(top, depth)


def _below(folder: str, depth: int) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if depth and entry.name not in _SKIPPED:
                yield from _below(entry.path, depth - 1)
        elif entry.name.endswith(_ENDINGS):
            yield entry.path


def _unloaded(deployment: Deployment, path: str, *, loaded: bool | None) -> Iterator[Subject]:
    """A file by its path, where it holds rules that no other product reads."""
    try:
        source = deployment.reader.read(path)
    except ReadError:
        return
    try:
        if "groups" not in source.text or not is_rule_file(read_located(source)):
            return
    except ReadError:
        if path not in deployment.loose:
            return
    yield _subject(deployment, source, None, loaded=loaded, dialect=_other_reader(deployment, path) or "prometheus")


def _other_reader(deployment: Deployment, path: str) -> str:
    """The product that a file is mounted for, where that reads rules in a language of its own."""
    for service in deployment.subjects("service"):
        product = product_of(service)
        if product in _OTHER_READERS and product is not None:
            for mount in ContainerFiles(service).mounts:
                host = mount.host or "\0"
                if path == host or path.startswith(host.rstrip("/") + "/"):
                    return product
    return ""


def _subject(
    deployment: Deployment, located: Located, service: Subject | None, *, loaded: bool | None, dialect: str
) -> Subject:
    groups: tuple[Group, ...] = ()
    error: ReadError | None = None
    root = deployment.tree
    try:
        roots = read_located(located)
        root = roots[0] if roots else root
        groups = tuple(group for one in roots for group in read_groups(one))
    except ReadError as problem:
        error = problem
    except Undecidable:
        pass
    if any(group.node.get("partial_response_strategy") is not None for group in groups):
        dialect = "thanos"
    root = root if root is not deployment.tree else Node(None, located.span(0, 1))
    subject = Subject("rule_file", _shown(deployment, located), root, deployment, service)
    subject.cache["(rule file)"] = RuleFile(located, groups, loaded, dialect, error)
    return subject


def _shown(deployment: Deployment, located: Located) -> str:
    """The path of a file below the deployment's folder, else as the user would type it."""
    path, _, inside = located.location.partition("#")
    folder = deployment.folder.rstrip(os.sep) + os.sep
    shown = path.removeprefix(folder) if path.startswith(folder) else located.path
    return f"{shown}#{inside}" if inside else shown


def _rules(deployment: Deployment, kind: str, key: str) -> Iterator[Subject]:
    names: Counter[str] = Counter()
    for file in deployment.subjects("rule_file"):
        read = rule_file_of(file)
        if read.dialect != "prometheus":
            continue
        for rule in read.rules:
            if rule.kind == key:
                names[rule.name] += 1
                number = names[rule.name]
                name = rule.name if number == 1 else f"{rule.name}#{number}"
                yield Subject(kind, name, rule.node, deployment, file, {"(rule)": rule})


def _test_folders(deployment: Deployment) -> Iterator[str]:
    for file in deployment.subjects("rule_file"):
        location = rule_file_of(file).located.location
        if "#" in location:
            continue
        folder = os.path.dirname(location)
        yield folder
        for near in (folder, os.path.dirname(folder)):
            for name in deployment.reader.listing(near):
                path = os.path.join(near, name)
                if "test" in name and deployment.reader.is_folder(path):
                    yield path


def _test(deployment: Deployment, path: str) -> RuleTest | None:
    try:
        source = deployment.reader.read(path)
        return read_test(read_located(source)) if "rule_files" in source.text and "tests" in source.text else None
    except InfraAuditError:
        return None
