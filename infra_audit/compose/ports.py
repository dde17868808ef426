"""Published ports: the short form, numbers and mappings, all to the long form."""

from __future__ import annotations

import ipaddress

from infra_audit.compose.pieces import Invalid, part, piece
from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.tree import HOLE, Node

__all__ = ["ports"]

_HIGHEST_PORT = 65535
_PROTOCOLS = ("tcp", "udp", "sctp")


def ports(node: Node, path: Path, problems: Problems) -> Node:
    if not node.is_list:
        return node
    found: list[Node] = []
    for index, item in enumerate(node.value):
        value = item.value
        if value is None or isinstance(value, bool | float):
            problems.refuse(item, (*path, index), f"{dotted((*path, index))}: {item.span.text or 'null'} is no port")
        elif value == 0:
            problems.refuse(item, (*path, index), f"{dotted((*path, index))}: 0 is no container port")
        elif isinstance(value, int):
            found.append(item.with_value(_long_port(item, {"target": item.with_value(value)})))
        elif isinstance(value, str):
            try:
                found.extend(_short_ports(item))
            except Invalid as error:
                message = f"{dotted((*path, index))}: {error.message}"
                problems.late.append((error.span or item.place, (*path, index), message))
        elif item.is_mapping and "target" not in value:
            problems.refuse(item, (*path, index), f"{dotted((*path, index))}: the target port is missing")
        elif item.is_mapping:
            _check_address(value.get("host_ip"), (*path, index), problems)
            found.append(item.with_value(_long_port(item, value)))
        else:
            found.append(item)
    return node.with_value(found)


def _check_address(node: Node | None, path: Path, problems: Problems) -> None:
    if node is None or not isinstance(node.value, str) or HOLE in node.value:
        return
    try:
        ipaddress.ip_address(node.value.split("%")[0])
    except ValueError:
        shown = repr(node.value)
        problems.late.append((node.place, path, f"{dotted((*path, 'host_ip'))}: {shown} is no IP address"))


def _long_port(item: Node, fields: dict[str, Node]) -> dict[str, Node]:
    return {"mode": Node("ingress", item.span), "protocol": Node("tcp", item.span)} | fields


def _short_ports(item: Node) -> list[Node]:
    """All ports of one short form: [[ip:]host:]container[/protocol], either side a range."""
    text: str = item.value
    body, slash, protocol = text.partition("/")
    if slash and "/" in protocol:
        raise Invalid(f"{text!r} is no port")
    parts = body.split(":")
    container_at = len(body) - len(parts[-1])
    host_at = container_at - len(parts[-2]) - 1 if len(parts) > 1 else container_at
    host = parts[-2] if len(parts) > 1 else ""
    address = ":".join(parts[:-2])
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address and HOLE not in address:
        try:
            ipaddress.ip_address(address.split("%")[0])
        except ValueError:
            raise Invalid(f"{address!r} is no IP address", piece(item, 0, len(address))) from None
    if not parts[-1]:
        raise Invalid(f"{text!r} names no container port")
    if protocol and protocol.lower() not in _PROTOCOLS and HOLE not in protocol:
        raise Invalid(f"{protocol!r} is no protocol; tcp, udp and sctp are", piece(item, len(body) + 1, len(text)))

    shared: dict[str, Node] = {"mode": Node("ingress", item.span)}
    if address:
        shared["host_ip"] = Node(address, piece(item, 0, max(host_at - 1, 0)), None, item.hops)
    shared["protocol"] = (
        Node(protocol.lower(), piece(item, len(body) + 1, len(text)), None, item.hops)
        if protocol
        else Node("tcp", item.span)
    )
    container_span = (container_at, len(body))
    host_span = (host_at, host_at + len(host))
    if HOLE in parts[-1] or HOLE in host:
        fields = dict(shared)
        fields["target"] = part(item, *container_span)
        if HOLE not in parts[-1]:
            first, last = _range(parts[-1], "container port", item, container_span)
            if first == last:
                fields["target"] = _number(item, *container_span, first)
        if host:
            fields["published"] = part(item, *host_span)
        return [item.with_value(fields)]
    first, last = _range(parts[-1], "container port", item, container_span)
    if not first:
        raise Invalid(f"{text!r}: 0 is no container port", piece(item, *container_span))
    outer = _range(host, "host port", item, host_span) if host else None
    if outer and outer[1] - outer[0] != last - first and first != last:
        raise Invalid(f"{text!r}: the ranges of host and container ports differ in length")
    found = []
    for step in range(last - first + 1):
        fields = dict(shared)
        fields["target"] = _number(item, *container_span, first + step)
        if outer:
            single = first == last and outer[0] != outer[1]
            published = f"{outer[0]}-{outer[1]}" if single else str(outer[0] + step)
            fields["published"] = part(item, *host_span, published)
        found.append(item.with_value(fields))
    return sorted(found, key=lambda port: str(port.value["target"].value))


def _range(text: str, what: str, item: Node, at: tuple[int, int]) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    if not start.isdecimal() or (dash and not end.isdecimal()):
        raise Invalid(f"{text!r} is no {what}", piece(item, *at))
    first = int(start)
    last = int(end) if dash else first
    if last < first or last > _HIGHEST_PORT:
        reason = f"above {_HIGHEST_PORT}" if last > _HIGHEST_PORT else "a range that runs backwards"
        raise Invalid(f"{what} {text} is {reason}", piece(item, *at))
    return first, last


def _number(node: Node, start: int, end: int, number: int) -> Node:
    return Node(number, piece(node, start, end), None, node.hops)
