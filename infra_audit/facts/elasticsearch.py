"""Facts about the heap of Elasticsearch and OpenSearch, however it is given."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact
from infra_audit.facts.services import environment, product_named, sub_span
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node
from infra_audit.units import format_bytes, parse_bytes

__all__: list[str] = []

_VARIABLES = {"elasticsearch": ("ES_JAVA_OPTS",), "opensearch": ("OPENSEARCH_JAVA_OPTS", "ES_JAVA_OPTS")}
_FOLDERS = {"elasticsearch": "/usr/share/elasticsearch/config", "opensearch": "/usr/share/opensearch/config"}
_OPTION = Pattern(r"(?m)(?:^|(?<=\s))(?:\d+-?:)?-Xm(?P<which>[sx])(?P<size>\d+[kKmMgG]?)(?!\S)")
_COMPRESSED = 31 * 1024**3
"""Above about 32 GB the JVM no longer compresses pointers. Source: elastic.co, advanced JVM settings."""


class _Size(NamedTuple):
    bytes: int
    place: Node | Span


def _heap(service: Subject, product: str) -> dict[str, _Size]:
    """-Xms ("s") and -Xmx ("x"): jvm.options, the files of jvm.options.d, and the environment, which wins."""
    found: dict[str, _Size] = {}
    files = ContainerFiles(service)
    folder = _FOLDERS[product]
    for path in (f"{folder}/jvm.options", *_options_files(files, f"{folder}/jvm.options.d")):
        if files.mount(path) is None:
            continue
        source = files.open(path)
        for match in _OPTION.finditer(source.text):
            found[match["which"]] = _Size(parse_bytes(match["size"]) or 0, source.span(*match.span("size")))
    for name in _VARIABLES[product]:
        node = environment(service, name)
        if node is None or node.value is None:
            continue
        if HOLE in str(node.value):
            raise Undecidable(f"{name}: {node.why_unknown()}")
        for match in _OPTION.finditer(str(node.value)):
            found[match["which"]] = _Size(parse_bytes(match["size"]) or 0, sub_span(node, *match.span("size")))
    return found


def _options_files(files: ContainerFiles, folder: str) -> Iterator[str]:
    try:
        yield from (f"{folder}/{name}" for name in files.listing(folder) if name.endswith(".options"))
    except InfraAuditError:
        return


@fact("elasticsearch.heap_problems", on="service")
def heap_problems(service: Subject) -> Fact[list[Item]]:
    """What is wrong with the heap: two sizes, more than half of the container's memory, or past compressed pointers."""
    product = product_named(service, _FOLDERS)
    items: list[Item] = []
    if product is None:
        return Known(items, service.node)
    heap = _heap(service, product)
    least, most = heap.get("s"), heap.get("x")
    if least is not None and most is not None and least.bytes != most.bytes:
        text = f"starts with {format_bytes(least.bytes)} (-Xms) and may grow to {format_bytes(most.bytes)} (-Xmx)"
        items.append(Item(text, (Evidence(most.place), Evidence(least.place, "-Xms is here"))))
    if most is None:
        return Known(items, service.node)
    if most.bytes > _COMPRESSED:
        text = f"is {format_bytes(most.bytes)}, above the {format_bytes(_COMPRESSED)} of compressed pointers"
        items.append(Item(text, (Evidence(most.place),)))
    limit = evaluate(service, "service.memory_limit")
    if isinstance(limit, Known) and limit.value and limit.value >= most.bytes > limit.value / 2:
        share = f"{most.bytes / limit.value:.0%}"
        text = f"of {format_bytes(most.bytes)} is {share} of the memory limit of {format_bytes(limit.value)}"
        items.append(Item(text, (Evidence(most.place), Evidence(limit.because[0].place, "the memory limit"))))
    return Known(items, service.node)
