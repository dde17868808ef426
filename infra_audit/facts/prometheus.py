"""Prometheus servers of a deployment, with the configuration and the rules that each of them loads.

Also VictoriaMetrics, vmagent and vmalert, which read the same kinds of files under options of their own. What
their rules may hold is more than PromQL, so their rule files are not judged as Prometheus'.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from fnmatch import fnmatchcase

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError, ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.dockerfile import built_image
from infra_audit.facts.products import parse_image, product_of_image
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.services import Word, command_words
from infra_audit.monitoring.located_yaml import read_located
from infra_audit.monitoring.prometheus_config import PrometheusConfig, Target, read_config, read_targets
from infra_audit.named import NamedTuple, field, record
from infra_audit.readers.located import Located
from infra_audit.tree import HOLE, Node

__all__ = ["Entry", "RuleSource", "Server", "options_of", "product_of", "server_of", "servers"]

_DEFAULTS = {
    "prometheus": ("/etc/prometheus/prometheus.yml", "/opt/bitnami/prometheus/conf/prometheus.yml"),
    "victoriametrics": (),
    "vmagent": (),
    "vmalert": (),
}
"""Product → where its image looks for the configuration."""

_OPTIONS = {"prometheus": "config.file", "victoriametrics": "promscrape.config", "vmagent": "promscrape.config"}
_RECEIVERS = ("web.enable-remote-write-receiver", "web.enable-otlp-receiver")
_FEATURES = frozenset(("remote-write-receiver", "otlp-write-receiver", "otlp"))


class Entry(NamedTuple):
    """An entry of ``rule_files`` (or a ``--rule`` option) and what it matches: paths in the container.

    ``why``: what is unknown about it, "" where it is known.
    """

    pattern: str
    place: Node | Word
    paths: tuple[str, ...]
    why: str = ""


class RuleSource(NamedTuple):
    """A file that a server loads: its path in the container, and its text."""

    path: str
    located: Located


@record
class Server:
    """One Prometheus or a program like it. ``why``: why its configuration is not known, "" where it is.

    ``error``: the error of a configuration that cannot be read.
    """

    service: Subject
    product: str
    files: ContainerFiles
    path: str = ""
    located: Located | None = None
    config: PrometheusConfig | None = None
    why: str = ""
    error: ReadError | None = None
    entries: list[Entry] = field(default_factory=list)
    rules: list[RuleSource] = field(default_factory=list)
    receives: Node | Word | None = None
    """What lets metrics in that no job scrapes, or None."""

    @property
    def is_prometheus(self) -> bool:
        return self.product == "prometheus"

    def option(self, name: str) -> Word | None:
        """The last value of an option, or the option's own word where it needs none."""
        return next(reversed(options_of(self.service, name)), None)


def servers(deployment: Deployment) -> list[Server]:
    """All servers of a deployment, in file order; read once."""
    known = deployment.root.cache.get("(prometheus servers)")
    if not isinstance(known, list):
        known = [server for service in deployment.subjects("service") if (server := _server(service)) is not None]
        deployment.root.cache["(prometheus servers)"] = known
    return known


def server_of(service: Subject) -> Server | None:
    return next((server for server in servers(service.deployment) if server.service is service), None)


def product_of(service: Subject) -> str | None:
    """What a service runs by its image, or by the image that its Dockerfile builds on; None where it is not known."""
    fact = evaluate(service, "service.product")
    if isinstance(fact, Known) and isinstance(fact.value, str):
        return fact.value
    try:
        built = built_image(service)
    except InfraAuditError:
        return None
    return product_of_image(parse_image(built.base)) if built else None


# -- reading ------------------------------------------------------------------------------------


def _server(service: Subject) -> Server | None:
    product = product_of(service)
    if product not in _DEFAULTS or product is None:
        return None
    server = Server(service, product, ContainerFiles(service))
    _find_config(server)
    _find_rules(server)
    _find_receivers(server)
    return server


def _find_config(server: Server) -> None:
    if server.product not in _OPTIONS:
        server.why = f"{server.product} scrapes nothing"
        return
    word = server.option(_OPTIONS[server.product])
    defaults = _DEFAULTS[server.product]
    path = (
        word.text
        if word
        else next((one for one in defaults if server.files.mount(one)), defaults[0] if defaults else "")
    )
    if not path or HOLE in path or "$" in path:
        server.why = (
            f"which configuration {server.service.name} reads rests on a variable" if path else "it scrapes nothing"
        )
        return
    server.path = posixpath.normpath(posixpath.join("/prometheus", path))
    try:
        server.located = server.files.open(server.path)
        roots = read_located(server.located)
        if len(roots) != 1 or not roots[0].is_mapping:
            server.why = f"{server.path} is no configuration of Prometheus"
            return
        server.config = read_config(roots[0], lambda entry: _file_targets(server, entry))
    except Undecidable as error:
        server.why = error.message
    except ReadError as error:
        server.error = error
        server.why = str(error)


def _find_rules(server: Server) -> None:
    if server.product == "vmalert":
        for word in options_of(server.service, "rule"):
            server.entries.append(_entry(server, word.text, word))
    elif server.config is not None:
        for node in server.config.rule_files:
            server.entries.append(_entry(server, str(node.value), node))
    for path in dict.fromkeys(path for entry in server.entries for path in entry.paths):
        try:
            server.rules.append(RuleSource(path, server.files.open(path)))
        except (Undecidable, ReadError):
            continue


def _find_receivers(server: Server) -> None:
    found: Node | Word | None = next((word for name in _RECEIVERS if (word := server.option(name))), None)
    features = server.option("enable-feature")
    if features is not None and _FEATURES & set(features.text.split(",")):
        found = features
    if server.config is not None and server.config.receives:
        found = server.config.receives[0]
    if server.product == "victoriametrics":
        found = found or server.service.node  # takes every protocol at any time
    server.receives = found


def _entry(server: Server, pattern: str, place: Node | Word) -> Entry:
    """What an entry matches inside the container."""
    if HOLE in pattern or "://" in pattern:
        return Entry(pattern, place, (), f"{pattern} is not in the files")
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(server.path) or "/", pattern))
    try:
        return Entry(pattern, place, tuple(_matching(server, whole)))
    except Undecidable as error:
        return Entry(pattern, place, (), error.message)


def _matching(server: Server, pattern: str) -> Iterator[str]:
    """Files at a path whose parts may have wildcards."""
    folders = ["/"]
    parts = pattern.strip("/").split("/")
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        found: list[str] = []
        for folder in folders:
            inner = posixpath.join(folder, part)
            if not any(char in part for char in "*?["):
                found += [inner] if not last or _is_there(server, inner) else []
            else:
                found += [posixpath.join(folder, name) for name in _listing(server, folder) if fnmatchcase(name, part)]
        folders = found
    yield from folders


def _listing(server: Server, folder: str) -> list[str]:
    """Names in a folder of the container; none where a mounted folder lacks it."""
    mount = server.files.mount(folder)
    if mount is None and not any(one.target.startswith(folder) for one in server.files.mounts):
        raise Undecidable(f"{folder} is not mounted, so the image brings it")
    try:
        return server.files.listing(folder)
    except ReadError as error:
        raise Undecidable(str(error)) from None
    except Undecidable:
        if mount is not None and mount.host is not None and HOLE not in mount.host and os.path.isdir(mount.host):
            return []
        raise


def _is_there(server: Server, path: str) -> bool:
    mount = server.files.mount(path)
    if mount is None:
        raise Undecidable(f"{path} is not mounted, so the image brings it")
    if mount.inline is not None:
        return True
    try:
        server.files.open(path)
    except ReadError:
        if mount.host is not None and HOLE not in mount.host and not os.path.exists(mount.host):
            raise Undecidable(f"{path} is mounted from a path that is not here") from None
        return False
    return True


def _file_targets(server: Server, entry: Node) -> tuple[list[Target], list[str]]:
    """The targets of files that file_sd reads; a file that is not here is made by somebody later."""
    targets: list[Target] = []
    unknown: list[str] = []
    files = entry.get("files")
    for pattern in files.entries() if files else ():
        found = _entry(server, str(pattern.value), pattern)
        if found.why or not found.paths:
            unknown.append(found.why or f"{found.pattern} is not here")
        for path in found.paths:
            try:
                roots = read_located(server.files.open(path))
            except (Undecidable, ReadError) as error:
                unknown.append(str(error))
                continue
            for group in roots[0].entries() if roots else ():
                targets += read_targets(group, "http")
    return targets, unknown


def options_of(service: Subject, name: str) -> list[Word]:
    """The values of an option, in order: ``--name=value``, ``-name=value`` and ``--name value``."""
    words = command_words(service)
    found: list[Word] = []
    for index, word in enumerate(words):
        option, equals, value = word.text.lstrip("-").partition("=")
        if not word.text.startswith("-") or option != name:
            continue
        if equals:
            found.append(Word(value, word.place))
        elif index + 1 < len(words) and not words[index + 1].text.startswith("-"):
            found.append(words[index + 1])
        else:
            found.append(word)
    return found
