"""Facts about RabbitMQ servers: the memory watermark however it is given, and the Prometheus plugin."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact, value_of
from infra_audit.facts.services import environment, environment_items, product_named, sub_span
from infra_audit.facts.topology import topology_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.key_value import read_entries
from infra_audit.readers.located import Located
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node
from infra_audit.units import parse_bytes

__all__: list[str] = []

_ABSOLUTE = "vm_memory_high_watermark.absolute"
_RELATIVE = "vm_memory_high_watermark.relative"
_TOTAL = "total_memory_available_override_value"
_NAMES = (_ABSOLUTE, _RELATIVE, _TOTAL)


class _Given(NamedTuple):
    name: str
    value: str
    place: Node | Span


_ERLANG = Pattern(
    r"vm_memory_high_watermark\s*[,\s]\s*\{\s*absolute\s*,\s*(?P<absolute>\"[^\"]+\"|\d+)"
    r"|vm_memory_high_watermark\s*[,\s]\s*(?P<relative>\d?\.\d+)"
    r"|total_memory_available_override_value\s*[,\s]\s*(?P<total>\"[^\"]+\"|\d+)"
)
_GROUPS = {"absolute": _ABSOLUTE, "relative": _RELATIVE, "total": _TOTAL}


def _is_server(service: Subject) -> bool:
    return product_named(service, ("rabbitmq",)) is not None


def _settings(service: Subject) -> dict[str, _Given]:
    """The settings about memory by name; what is read later wins. Raises Undecidable."""
    known = service.cache.get("(rabbitmq)")
    if not isinstance(known, dict):
        known = service.cache["(rabbitmq)"] = {one.name: one for one in _given(service)}
    return known


def _given(service: Subject) -> Iterator[_Given]:
    """Every place: rabbitmq.conf and conf.d, the classic and the advanced configuration, arguments of the VM."""
    files = ContainerFiles(service)
    named = environment(service, "RABBITMQ_CONFIG_FILE")
    stem = str(named.known()) if named is not None and named.value else "/etc/rabbitmq/rabbitmq"
    stem = stem.removesuffix(".conf").removesuffix(".config")
    for path in (*(_folder(files, "/etc/rabbitmq/conf.d")), f"{stem}.conf", "/bitnami/rabbitmq/conf/rabbitmq.conf"):
        if files.mount(path) is not None:
            for entry in read_entries(files.open(path)):
                if entry.name in _NAMES:
                    yield _Given(entry.name, entry.value, entry.span)
    for path in (f"{stem}.config", "/etc/rabbitmq/advanced.config"):
        if files.mount(path) is not None:
            yield from _erlang(files.open(path))
    for name, node in environment_items(service):
        text = str(node.value)
        if name in ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "RABBITMQ_SERVER_ERL_ARGS", "RABBITMQ_CTL_ERL_ARGS"):
            if HOLE in text:
                raise Undecidable(f"{name}: {node.why_unknown()}")
            for match in _ERLANG.finditer(text):
                group = str(match.lastgroup)
                yield _Given(_GROUPS[group], match[group].strip('"'), sub_span(node, *match.span(group)))
        elif name == "RABBITMQ_VM_MEMORY_HIGH_WATERMARK" and node.value:
            yield _Given(_ABSOLUTE if parse_bytes(text) and "." not in text else _RELATIVE, text, node)


def _folder(files: ContainerFiles, folder: str) -> list[str]:
    if files.mount(folder) is None and not any(one.target.startswith(folder + "/") for one in files.mounts):
        return []
    try:
        return [posixpath.join(folder, name) for name in files.listing(folder) if name.endswith(".conf")]
    except InfraAuditError:
        return []


def _erlang(source: Located) -> Iterator[_Given]:
    for match in _ERLANG.finditer(source.text):
        group = str(match.lastgroup)
        yield _Given(_GROUPS[group], match[group].strip('"'), source.span(*match.span(group)))


@fact("rabbitmq.memory_is_bound", on="service")
def memory_is_bound(service: Subject) -> Fact[bool | None]:
    """True where the watermark counts the container's memory; None without a server or without a memory limit.

    A relative watermark, 0.4 by default, takes its share of the host's memory; an absolute one, or a
    total that overrides the host's, does not.
    """
    if not _is_server(service) or value_of(service, "service.memory_limit") is None:
        return Known(None, service.node)
    found = _settings(service)
    for name in (_ABSOLUTE, _TOTAL):
        if name in found:
            return Known(True, found[name].place)
    limit = evaluate(service, "service.memory_limit")
    here = [Evidence(one.place, "the memory limit") for one in limit.because] if isinstance(limit, Known) else []
    return Known(False, found[_RELATIVE].place if _RELATIVE in found else service.node, *here)


@fact("rabbitmq.watermark_share", on="service", unit="ratio")
def watermark_share(service: Subject) -> Fact[float | None]:
    """An absolute watermark as a share of the container's memory limit; None where either is missing."""
    if not _is_server(service):
        return Known(None, service.node)
    limit = value_of(service, "service.memory_limit")
    given = _settings(service).get(_ABSOLUTE) if limit is not None else None
    if given is None or limit is None:
        return Known(None, service.node)
    size = int(given.value) if given.value.isdigit() else parse_bytes(given.value)
    if size is None:
        raise Undecidable(f"{given.value!r} is no size")
    limit_here = evaluate(service, "service.memory_limit")
    related = (
        [Evidence(one.place, "the memory limit") for one in limit_here.because] if isinstance(limit_here, Known) else []
    )
    return Known(size / limit, given.place, *related)


# -- Prometheus ----------------------------------------------------------------------------------

_PLUGINS = "/etc/rabbitmq/enabled_plugins"
_METRICS_PORT = "15692"


@fact("rabbitmq.plugin_missing", on="service")
def plugin_missing(service: Subject) -> Fact[str | None]:
    """Who scrapes port 15692 while the mounted enabled_plugins leaves rabbitmq_prometheus out; else None."""
    if not _is_server(service):
        return Known(None, service.node)
    files = ContainerFiles(service)
    mount = files.mount(_PLUGINS)
    if mount is None or (mount.host is None and mount.inline is None):
        return Known(None, service.node)
    source = files.open(_PLUGINS)
    if "rabbitmq_prometheus" in source.text:
        return Known(None, mount.node)
    place = source.span(0, len(source.text.split("\n")[0]))
    for scraper, span in _scrapers(service):
        return Known(scraper, place, Evidence(span, "scraped here"))
    return Known(None, place)


def _scrapers(server: Subject) -> Iterator[tuple[str, Span]]:
    """The services whose mounted configuration names the server's metrics port."""
    topology = topology_of(server.deployment)
    names = [name for name, owners in topology.names.items() if any(owner == server.name for owner, _ in owners)]
    for service in server.deployment.subjects("service"):
        product = evaluate(service, "service.product")
        if not isinstance(product, Known) or product.value not in ("prometheus", "vmagent", "victoriametrics"):
            continue
        files = ContainerFiles(service)
        for mount in files.mounts:
            for source in _texts(files, mount.target):
                for name in names:
                    at = source.text.find(f"{name}:{_METRICS_PORT}")
                    if at >= 0:
                        yield service.name, source.span(at, at + len(name) + 1 + len(_METRICS_PORT))


def _texts(files: ContainerFiles, target: str) -> Iterator[Located]:
    try:
        yield files.open(target)
    except InfraAuditError:
        try:
            names = [name for name in files.listing(target) if name.endswith((".yml", ".yaml"))]
        except InfraAuditError:
            return
        for name in names:
            try:
                yield files.open(posixpath.join(target, name))
            except InfraAuditError:
                continue
