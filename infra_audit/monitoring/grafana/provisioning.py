"""Grafana's provisioning files: datasources, and the providers that load dashboards.

Values may hold ``$NAME``, ``${NAME}``, ``$__env{NAME}`` and ``$__file{/path}``, which Grafana fills in when it
starts. Source: grafana.com/docs/grafana, "Provision Grafana" and "Configure Grafana, variable expansion".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

from infra_audit.monitoring.grafana.dashboards import text_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Hop
from infra_audit.tree import HOLE, Node

__all__ = ["Datasource", "Lookup", "Provider", "derived_uid", "expand", "read_datasources", "read_providers"]

Lookup: TypeAlias = Callable[[str], Node | None]
"""Name of an environment variable of Grafana's → its node; None where the files do not set it."""

_REFERENCE = Pattern(r"\$\$|\$__(?P<kind>\w+)\{(?P<of>[^}]*)\}|\$\{(?P<brace>\w+)\}|\$(?P<plain>[A-Za-z_]\w*)")


class Datasource(NamedTuple):
    """A provisioned datasource, its variables filled in. ``organisation``: as written, "1" by default."""

    node: Node
    name: Node
    type: Node | None
    uid: Node | None
    url: Node | None
    access: str
    is_default: Node | None
    organisation: str

    @property
    def names(self) -> frozenset[str]:
        """What a panel may call it: its name, its uid, and the uid that Grafana derives from the name."""
        name = text_of(self.name)
        return frozenset(filter(None, (name, text_of(self.uid) or derived_uid(name), derived_uid(name))))

    @property
    def place(self) -> Node:
        return self.name


class Provider(NamedTuple):
    """What loads dashboards. ``path``: the folder in the container, variables filled in; None where it is not said."""

    node: Node
    name: str
    kind: str
    path: Node | None
    organisation: str

    @property
    def place(self) -> Node:
        return self.path or self.node.get("name") or self.node


def derived_uid(name: str) -> str:
    """The uid that Grafana gives a provisioned datasource without one."""
    return "P" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16].upper()


def expand(node: Node, lookup: Lookup) -> Node:
    """A text with its variables filled in; holes stand where the files do not tell."""
    text = node.value
    if type(text) is not str or "$" not in text:
        return node
    hops: list[Hop] = []

    def filled(name: str, known: Node | None) -> str:
        if known is None or known.value is None:
            hops.append(Hop("unset", name))
            return HOLE
        hops.append(Hop("variable", name, known.place))
        return str(known.value)

    parts: list[str] = []
    at = 0
    for match in _REFERENCE.finditer(text):
        parts.append(text[at : match.start()])
        at = match.end()
        name = match["brace"] or match["plain"]
        if match[0] == "$$":
            parts.append("$")
        elif match["kind"] == "env" or name:
            parts.append(filled(name or match["of"], lookup(name or match["of"])))
        else:
            parts.append(filled(match[0], None))
    parts.append(text[at:])
    return node.with_value("".join(parts), *hops)


def read_datasources(root: Node, lookup: Lookup) -> Iterator[Datasource]:
    """The datasources of one file; entries without a name are left out."""
    entries = root.get("datasources")
    for node in entries.entries() if entries else ():
        name = node.get("name")
        if name is None or type(name.value) is not str:
            continue
        default = node.get("isDefault") or node.get("is_default")
        yield Datasource(
            node,
            expand(name, lookup),
            _filled(node.get("type"), lookup),
            _filled(node.get("uid"), lookup),
            _filled(node.get("url"), lookup),
            text_of(node.get("access")) or "proxy",
            default if default is not None and _is_true(expand(default, lookup)) else None,
            _organisation(node),
        )


def read_providers(root: Node, lookup: Lookup) -> Iterator[Provider]:
    """The providers of one file, of the old format too, in which they are the file's top."""
    entries = root.get("providers")
    for node in entries.entries() if entries else root.entries():
        if not node.is_mapping:
            continue
        path = node.get("options", "path") or node.get("options", "folder")
        yield Provider(
            node,
            text_of(node.get("name")),
            text_of(node.get("type")) or "file",
            _filled(path, lookup) if text_of(path) else None,
            _organisation(node),
        )


def _filled(node: Node | None, lookup: Lookup) -> Node | None:
    return expand(node, lookup) if node is not None and node.value else None


def _organisation(node: Node) -> str:
    number = node.get("orgId") or node.get("org_id")
    return str(number.value) if number is not None and number.value else "1"


def _is_true(node: Node) -> bool:
    return node.value is True or str(node.value).lower() == "true"
