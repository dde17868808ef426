"""The located tree: every value with its place and the way it took.

A node holds a mapping of nodes, a list of nodes, or a scalar. Trees are built by ``readers`` and
by ``compose``; once a deployment is loaded nobody changes them. Aliases share nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from infra_audit.errors import Undecidable
from infra_audit.source import Hop, Span

__all__ = ["HOLE", "Node", "Scalar", "holes_as_text", "is_known"]

Scalar: TypeAlias = str | int | float | bool | None

HOLE = "\ue000"
"""Stands in a text for a variable that has no value (a private-use character).

``${PORT}:8080`` with PORT unset reads "\\ue000:8080": the part with the hole is unknown, the other
part is not. The node's "unset" and "required" hops name the variables.
"""


_UNSET = ("unset", "required")


def is_known(value: object) -> bool:
    """False for a text that depends on an unset variable."""
    return not (isinstance(value, str) and HOLE in value)


def holes_as_text(text: str, hops: tuple[Hop, ...]) -> str:
    """The text with each hole written as the variable that it stands for."""
    names = [hop.note for hop in hops if hop.kind in _UNSET]
    for name in names:
        text = text.replace(HOLE, f"${{{name}}}", 1)
    return text.replace(HOLE, "${?}")


class Node:
    """A value, where it is written, the key that names it, and its hops.

    ``value``: dict of nodes, list of nodes, or a scalar.
    ``span``: where the value is written (for implied values: where what implies them is written).
    ``key``: the span of the mapping key that leads here, or None.
    ``hops``: oldest first.
    ``tag``: a YAML tag that means something to Compose ("!reset", "!override"), else "".
    ``plain``: True for an unquoted YAML scalar.
    """

    __slots__ = ("hops", "key", "plain", "span", "tag", "value")

    def __init__(
        self,
        value: Any,
        span: Span,
        key: Span | None = None,
        hops: tuple[Hop, ...] = (),
        tag: str = "",
        plain: bool = False,
    ) -> None:
        self.value = value
        self.span = span
        self.key = key
        self.hops = hops
        self.tag = tag
        self.plain = plain

    def __repr__(self) -> str:
        return f"Node({self.data()!r} at {self.span})"

    # -- asking ---------------------------------------------------------------------------------

    @property
    def is_mapping(self) -> bool:
        return type(self.value) is dict

    @property
    def is_list(self) -> bool:
        return type(self.value) is list

    @property
    def is_scalar(self) -> bool:
        kind = type(self.value)
        return kind is not dict and kind is not list

    @property
    def place(self) -> Span:
        """Where a finding about this node points: the value, or the key of a collection or of nothing."""
        if self.key is not None and (self.value is None or not self.is_scalar):
            return self.key
        return self.span

    def get(self, step: str | int, *more: str | int) -> Node | None:
        """The node at a path of keys and indexes, or None where there is none."""
        value = self.value
        if type(value) is dict:
            node: Node | None = value.get(step)
        elif type(value) is list and type(step) is int and -len(value) <= step < len(value):
            node = value[step]
        else:
            return None
        for each in more:
            if node is None:
                return None
            node = node.get(each)
        return node

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and nodes of a mapping; nothing for anything else."""
        if type(self.value) is dict:
            yield from self.value.items()

    def entries(self) -> list[Node]:
        """The nodes of a list; an empty list for anything else."""
        return self.value if type(self.value) is list else []

    def walk(self, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Node]]:
        """This node and all below it with their paths, parents first."""
        stack: list[tuple[tuple[str | int, ...], Node]] = [(path, self)]
        while stack:
            here, node = stack.pop()
            yield here, node
            value = node.value
            if type(value) is dict:
                stack.extend(((*here, key), child) for key, child in reversed(list(value.items())))
            elif type(value) is list:
                stack.extend(((*here, index), value[index]) for index in range(len(value) - 1, -1, -1))

    def data(self) -> Any:
        """The plain Python value: dicts, lists and scalars, without positions."""
        value = self.value
        if type(value) is dict:
            return {key: child.data() for key, child in value.items()}
        if type(value) is list:
            return [child.data() for child in value]
        return value

    def known(self) -> Any:
        """The plain Python value; raises Undecidable where it rests on an unset variable."""
        value = self.value
        if type(value) is dict:
            return {key: child.known() for key, child in value.items()}
        if type(value) is list:
            return [child.known() for child in value]
        if type(value) is str and HOLE in value:
            raise Undecidable(self.why_unknown())
        return value

    def why_unknown(self) -> str:
        """Which variables without a value this scalar rests on."""
        refused = next((hop.note for hop in self.hops if hop.kind == "refused"), None)
        if refused is not None:
            return f"Compose refuses the value of {refused}"
        unseen = next((hop.note for hop in self.hops if hop.kind == "unseen"), None)
        if unseen is not None:
            return unseen
        names = sorted({hop.note for hop in self.hops if hop.kind in _UNSET})
        if not names:
            return "it rests on a variable that is not set"
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not set"

    # -- making ---------------------------------------------------------------------------------

    def with_value(self, value: Any, *hops: Hop) -> Node:
        """This node with another value at the same place, and with hops added."""
        return Node(value, self.span, self.key, self.hops + hops, self.tag, self.plain)

    def with_key(self, key: Span | None) -> Node:
        """This node as the value of another key."""
        return Node(self.value, self.span, key, self.hops, self.tag, self.plain)

    def with_hops(self, *hops: Hop) -> Node:
        """This node with hops added."""
        return Node(self.value, self.span, self.key, self.hops + hops, self.tag, self.plain)
