"""Facts about what a health check asks, and on which ports the service's files say that it listens."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator

from infra_audit.deployment import Files, Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.dockerfile import Built, built_image
from infra_audit.facts.probe import Probe, probe_of
from infra_audit.facts.products import DEFAULT_PORTS
from infra_audit.facts.registry import Evidence, Fact, Known, fact, value_of
from infra_audit.facts.services import command_words, environment, environment_items, sub_span
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__: list[str] = []


# -- what the probe asks -------------------------------------------------------------------------


class _Asked(NamedTuple):
    """The address that a probe asks: ``port`` as it is written, ``path`` None where it is no URL."""

    port: str
    path: str | None
    place: Node | Span


_PORT = r"(?P<port>\d+|\$\{?\w+(?::-?\d+)?\}?|\ue000)"
_PATH = r"(?P<path>/[^\s'\"`)>|;,]*)?"
_LOCAL = r"localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|\$\{?HOSTNAME\}?|\$\(hostname\)"
_TCP = Pattern(rf"/dev/tcp/(?:{_LOCAL})/{_PORT}", hints=("/dev/tcp/",))
_NETCAT = Pattern(rf"\b(?:nc|ncat|netcat)\b[^|;&]*?\s(?:{_LOCAL})\s+{_PORT}", hints=("nc", "netcat"))


_URL = Pattern(
    rf"(?P<scheme>https?)://(?:[^\s/@'\"]+@)?(?P<host>(?P<itself>{_LOCAL})|\w[\w.\-]*)(?::{_PORT})?(?![\w.:]){_PATH}",
    hints=("://",),
)
_BARE = Pattern(rf"\b(?:curl|wget)\b[^|;&]*?\s['\"]?(?:{_LOCAL})(?::{_PORT})?(?![\w.:]){_PATH}", hints=("curl", "wget"))


def _asked(service: Subject) -> _Asked | None:
    """The first address of the service itself that its probe asks, or None."""
    probe = probe_of(service)
    if probe is None or probe.form in ("off", "wrong"):
        return None
    names = [service.name]
    for key in ("container_name", "hostname"):
        node = service.node.get(key)
        if node is not None and isinstance(node.value, str):
            names.append(node.value)
    return next(_matches(probe, names), None)


def _matches(probe: Probe, names: Collection[str]) -> Iterator[_Asked]:
    for word in probe.words:
        asked = (match for match in _URL.finditer(word.text) if match["itself"] or match["host"] in names)
        if match := next(asked, None):
            port = match["port"] or {"http": "80", "https": "443"}[match["scheme"]]
            place = sub_span(word.place, *match.span()) if isinstance(word.place, Node) else word.place
            yield _Asked(port, match["path"] or "/", place)
    for pattern in (_BARE, _TCP, _NETCAT):
        match = pattern.search(probe.text)
        if match:
            path = match["path"] or "/" if pattern is _BARE else None
            yield _Asked(match["port"] or "80", path, probe.words[-1].place)


_SHELL_VARIABLE = Pattern(r"\$\{?(?P<name>\w+)(?::?-(?P<default>\d+))?\}?\Z")


def _number(service: Subject, port: str) -> int | None:
    """The port that is meant: a number, or a variable of the container that the files give a number."""
    if HOLE in port:
        raise Undecidable("the port rests on a variable that is not set")
    if port.isdigit():
        return int(port)
    variable = _SHELL_VARIABLE.match(port)
    node = environment(service, variable["name"]) if variable else None
    text = str(node.known()) if node is not None else variable["default"] if variable else None
    return int(text) if text and text.isdigit() else None


@fact("health.port", on="service")
def health_port(service: Subject) -> Fact[int | None]:
    """The port of the service itself that its health check asks; None where it asks none that the files tell."""
    asked = _asked(service)
    if asked is None:
        return Known(None, service.node.get("healthcheck") or service.node)
    return Known(_number(service, asked.port), asked.place)


@fact("health.path", on="service")
def health_path(service: Subject) -> Fact[str | None]:
    """The path of the URL that the health check asks of its own service, without query; None without a URL."""
    asked = _asked(service)
    if asked is None or asked.path is None:
        probe = probe_of(service)
        return Known(None, probe.node if probe else service.node)
    if HOLE in asked.path:
        raise Undecidable("the path rests on a variable that is not set")
    return Known(re.split(r"[?#]", asked.path)[0], asked.place)


# -- where the service listens -------------------------------------------------------------------

_NUMBER = Pattern(r"(?<![\d.])\d{2,5}(?![\d.])")
_LARGEST_FILE = 200_000
_MOST_FILES = 100


@fact("service.listening_ports", on="service")
def listening_ports(service: Subject) -> Fact[list[int] | None]:
    """Ports that the files say containers listen on: targets of ports, expose, the Dockerfile's EXPOSE, the product's.

    None where they say nothing, or where the containers share another network namespace.
    """
    mode = service.node.get("network_mode")
    if mode is not None and str(mode.value).startswith(("host", "service:", "container:")):
        return Known(None, mode)
    ports: set[int] = set()
    because: list[Evidence] = []
    for node in (service.node.get("ports") or service.node).entries():
        target = node.get("target")
        if target is not None:
            ports.add(int(target.known()))
            because.append(Evidence(target, "published here"))
    for node in (service.node.get("expose") or service.node).entries():
        ports.update(_range(str(node.known())))
        because.append(Evidence(node, "exposed here"))
    built = _built(service)
    for instruction in built.all("EXPOSE") if built else []:
        ports.update(int(text) for text in _NUMBER.findall(instruction.text))
        because.append(Evidence(instruction.span, "exposed here"))
    product = None if built else value_of(service, "service.product")
    ports.update(DEFAULT_PORTS.get(product or "", ()))
    return Known(sorted(ports) or None, *(because or [Evidence(service.node)]))


def _range(text: str) -> range:
    """The ports of an ``expose`` entry: 8080, 8080/tcp, 8000-8010."""
    first, _, last = text.partition("/")[0].partition("-")
    if not first.isdigit() or (last and not last.isdigit()):
        raise Undecidable(f"{text!r} is no port")
    return range(int(first), int(last or first) + 1)


@fact("service.mentioned_ports", on="service")
def mentioned_ports(service: Subject) -> Fact[list[int]]:
    """Numbers in the service's environment, command, labels, Dockerfile and mounted files: ports it may be told."""
    numbers: set[int] = set()
    for name, node in environment_items(service):
        text = str(node.value)
        if HOLE in text and "PORT" in name.upper():
            raise Undecidable(f"{name}: {node.why_unknown()}")
        numbers.update(_numbers(text))
    for word in command_words(service):
        if HOLE in word.text and "port" in word.text.lower():
            raise Undecidable("the command rests on a variable that is not set")
        numbers.update(_numbers(word.text))
    labels = service.node.get("labels")
    for _, node in labels.items() if labels else ():
        numbers.update(_numbers(str(node.value)))
    built = _built(service)
    for instruction in built.instructions if built else ():
        numbers.update(_numbers(instruction.text))
    for text in _mounted_texts(service):
        numbers.update(_numbers(text))
    return Known(sorted(numbers), service.node)


def _numbers(text: str) -> set[int]:
    return {int(digits) for digits in _NUMBER.findall(text)}


def _built(service: Subject) -> Built | None:
    """The service's own Dockerfile where it can be read."""
    try:
        return built_image(service)
    except InfraAuditError:
        return None


def _mounted_texts(service: Subject) -> Iterator[str]:
    """Texts of the files that are mounted as configuration; a folder's with those one level below."""
    reader = service.deployment.reader
    volumes = service.node.get("volumes")
    paths: list[str] = []
    for mount in volumes.entries() if volumes else ():
        kind, source = mount.get("type"), mount.get("source")
        if kind is not None and kind.value == "bind" and source is not None:
            paths.append(str(source.known()))
    for section in ("configs", "secrets"):
        granted = service.node.get(section)
        for grant in granted.entries() if granted else ():
            name = grant.get("source")
            top = service.deployment.tree.get(section, str(name.value)) if name else None
            file, content = (top.get("file"), top.get("content")) if top else (None, None)
            if content is not None:
                yield str(content.value)
            elif file is not None:
                paths.append(str(file.known()))
    for path in list(_files_of(reader, paths))[:_MOST_FILES]:
        try:
            text = reader.read(path).text
        except InfraAuditError:
            continue
        if len(text) <= _LARGEST_FILE:
            yield text


def _files_of(reader: Files, paths: list[str]) -> Iterator[str]:
    for path in paths:
        if not reader.is_folder(path):
            yield path
            continue
        for name in reader.listing(path):
            inside = os.path.join(path, name)
            if not reader.is_folder(inside):
                yield inside
                continue
            yield from (os.path.join(inside, below) for below in reader.listing(inside))
