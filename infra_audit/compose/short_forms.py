"""Compose's short forms, expanded: ports, mounts, devices, pairs, names, hosts, commands.

Each function takes the node as written and gives the long form; what is already long comes back as
it is. Pieces carry the place of their piece of the text where the text stands as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from infra_audit.compose.pieces import Invalid, clean, part, piece
from infra_audit.compose.ports import ports
from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.compose.words import command_words
from infra_audit.source import Hop
from infra_audit.tree import HOLE, Node

__all__ = ["FORMS", "LIST_FORMS", "TABLE_FORMS"]


Form: TypeAlias = Callable[[Node, Path, Problems], Node]


# -- mounts, devices and other single entries -----------------------------------------------------

_DRIVE = re.compile(r"[^\W\d_]:")
_PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_LABELS = ("z", "Z")
_TINY_SPEC = 2


def mount(node: Node, path: Path, problems: Problems) -> Node:
    text = node.value
    if type(text) is not str:
        return node
    if not text:
        raise Invalid(f"{dotted(path)}: the volume is empty")
    sections = _sections(text)
    if any(start == end for start, end in sections):
        raise Invalid(f"{dotted(path)}: {text!r} has an empty part between colons")
    if len(sections) > 3:
        raise Invalid(f"{dotted(path)}: {text!r} has too many colons")
    fields: dict[str, Node] = {}
    source = ""
    target_at = sections[0] if len(sections) == 1 else sections[1]
    if len(sections) > 1:
        source = text[slice(*sections[0])]
    bind: dict[str, Node] = {}
    volume: dict[str, Node] = {}
    if len(sections) == 3:
        start = sections[2][0]
        for option in text[slice(*sections[2])].split(","):
            here = part(node, start, start + len(option))
            start += len(option) + 1
            if option in ("ro", "rw"):
                fields["read_only"] = here.with_value(option == "ro")
            elif option == "nocopy":
                volume["nocopy"] = here.with_value(True)
            elif option in _PROPAGATIONS:
                bind["propagation"] = here
            elif option in _LABELS:
                bind["selinux"] = here
    is_bind = is_path(source)
    fields["type"] = Node("bind" if is_bind else "volume", node.span, None, node.hops)
    if source:
        fields["source"] = part(node, *sections[0])
    target = text[slice(*target_at)]
    fields["target"] = part(node, *target_at, target if HOLE in target else clean(target))
    if is_bind:
        fields["bind"] = Node(bind | {"create_host_path": Node(True, node.span)}, node.span)
    elif bind:
        fields["bind"] = Node(bind, node.span)
    if volume or (not is_bind and len(text) > _TINY_SPEC):
        fields["volume"] = Node(volume, node.span)
    return node.with_value(fields)


def is_path(source: str) -> bool:
    """True where a volume's source is a path of the host and no volume's name."""
    return bool(source) and (source[0] in "./~" or source.startswith("\\\\") or bool(_DRIVE.match(source)))


def _sections(text: str) -> list[tuple[int, int]]:
    """The parts between colons; a single letter before a colon is a Windows drive and no part."""
    if len(text) <= _TINY_SPEC:
        return [(0, len(text))]
    found = []
    start = 0
    for index, char in enumerate(text):
        if char == ":" and not (index - start == 1 and text[start].isalpha()):
            found.append((start, index))
            start = index + 1
    found.append((start, len(text)))
    return found


_DEVICE_PARTS = 3


def device(node: Node, path: Path, problems: Problems) -> Node:
    text = node.value
    if type(text) is not str:
        return node
    parts = text.split(":")
    if len(parts) > _DEVICE_PARTS:
        raise Invalid(f"{dotted(path)}: {text!r} has too many colons")
    ends = [len(":".join(parts[: count + 1])) for count in range(len(parts))]
    places = [part(node, end - len(text), end) for text, end in zip(parts, ends, strict=True)]
    return node.with_value(
        {
            "source": places[0],
            "target": places[1] if len(parts) > 1 and parts[1] else places[0],
            "permissions": places[2] if len(parts) == _DEVICE_PARTS else Node("rwm", node.span),
        }
    )


def _named(field: str) -> Form:
    """The short form in which a text stands for a mapping with that text in one field."""

    def expand(node: Node, path: Path, problems: Problems) -> Node:
        return (
            node.with_value({field: Node(node.value, node.span, None, node.hops)}) if type(node.value) is str else node
        )

    return expand


def external(node: Node, path: Path, problems: Problems) -> Node:
    """`external: {name: x}`, the old form of `external: true` and `name: x`."""
    outer = node.get("external")
    if outer is None or not outer.is_mapping:
        return node
    fields = dict(node.value)
    fields["external"] = Node(True, outer.span, outer.key, outer.hops)
    name = outer.value.get("name")
    for key, child in outer.items():
        if key != "name":
            problems.refuse(child.key or child, path, f"{dotted((*path, 'external'))}: unknown key {key}")
    if name is not None:
        given = fields.get("name")
        if given is not None and given.value != name.value:
            raise Invalid(f"{dotted(path)}: name and external.name differ; keep name", name.span)
        problems.add(
            "obsolete", f"{dotted(path)}: external.name is obsolete; write name and external: true", name, path
        )
        fields["name"] = name
    return node.with_value(fields)


FORMS: dict[str, Form] = {
    "context": _named("context"),
    "source": _named("source"),
    "device": device,
    "mount": mount,
    "path": _named("path"),
    "external": external,
}


# -- tables that may be written as lists ----------------------------------------------------------


def pairs(node: Node, path: Path, problems: Problems) -> Node:
    """A list of NAME=value; NAME alone has no value."""
    found: dict[str, Node] = {}
    for index, item in enumerate(node.value):
        text = item.value
        if type(text) is not str:
            problems.refuse(item, (*path, index), f"{dotted((*path, index))} must be text like NAME=value")
            continue
        name, equals, value = text.partition("=")
        name_end = len(name)
        entry = Node(
            value if equals else None, piece(item, name_end + 1, len(text)) if equals else item.span, None, item.hops
        )
        found[name] = entry.with_key(piece(item, 0, name_end))
    return node.with_value(found)


def names(node: Node, path: Path, problems: Problems) -> Node:
    """A list of names that stands for a mapping with nothing behind each name."""
    return node.with_value(
        {item.value: Node(None, item.span, item.span, item.hops) for item in _texts(node, path, problems)}
    )


_SHORT_DEPENDENCY = {"condition": "service_started", "required": True}


def dependencies(node: Node, path: Path, problems: Problems) -> Node:
    found: dict[str, Node] = {}
    for item in _texts(node, path, problems):
        hop = (Hop("implied", "the short form", item.span),)
        implied = {key: Node(value, item.span, None, hop) for key, value in _SHORT_DEPENDENCY.items()}
        found[item.value] = Node(implied, item.span, item.span, item.hops)
    return node.with_value(found)


def _texts(node: Node, path: Path, problems: Problems) -> list[Node]:
    found = []
    seen: set[str] = set()
    for index, item in enumerate(node.value):
        if type(item.value) is not str:
            problems.refuse(item, (*path, index), f"{dotted((*path, index))} must be text")
        elif item.value in seen:
            problems.refuse(item, (*path, index), f"{dotted(path)}: {item.value} is given twice")
        else:
            seen.add(item.value)
            found.append(item)
    return found


def whole_pairs(node: Node, path: Path, problems: Problems) -> Node:
    """Pairs of which each needs a value."""
    for index, item in enumerate(node.value):
        if type(item.value) is str and "=" not in item.value and HOLE not in item.value:
            problems.refuse(item, (*path, index), f"{dotted((*path, index))}: {item.value!r} must be NAME=value")
    return pairs(node, path, problems)


def unique_pairs(node: Node, path: Path, problems: Problems) -> Node:
    """Pairs where Compose's schema refuses equal entries."""
    return pairs(node.with_value(_texts(node, path, problems)), path, problems)


TABLE_FORMS: dict[str, Form] = {
    "pairs": pairs,
    "unique pairs": unique_pairs,
    "whole pairs": whole_pairs,
    "names": names,
    "dependencies": dependencies,
}


# -- lists that may be written otherwise ----------------------------------------------------------


def command(node: Node, path: Path, problems: Problems) -> Node:
    text = node.value
    if type(text) is not str or text == HOLE:
        return node if text != HOLE else node.with_value([Node(HOLE, node.span, None, node.hops)])
    split = command_words(text)
    if split is None:
        raise Invalid(
            f"{dotted(path)} is no valid command line: a quote or an escape is left open, or a bracket unquoted"
        )
    if split.dropped:
        at = len(text) - len(split.dropped)
        problems.add(
            "silent",
            f"{dotted(path)}: everything from {split.dropped[0]!r} on is dropped: no shell reads this; use [sh, -c, …]",
            piece(node, at, len(text)),
            path,
        )
    return node.with_value(_located_words(node, split.words))


def _located_words(node: Node, words: list[str]) -> list[Node]:
    """Each word at its place in the text, where it stands there letter by letter, also in a folded block."""
    written = node.span.text
    own = tuple(hop for hop in node.hops if hop.kind not in ("variable", "default", "unset"))
    found = []
    at = 0
    for word in words:
        start = _whole_word(written, word, at)
        span = node.span if start < 0 else node.span.part(start, start + len(word))
        at = at if start < 0 else start + len(word)
        hops = node.hops if start < 0 else own
        found.append(Node(word, span, None, hops))
    return found


def _whole_word(text: str, word: str, at: int) -> int:
    """Where a word stands between blanks or quotes, or -1: a variable's value is not in the text."""
    start = text.find(word, at) if word else -1
    while start >= 0:
        around = text[start - 1 : start] + text[start + len(word) : start + len(word) + 1]
        if not around.strip(" \t\r\n\"'"):
            return start
        start = text.find(word, start + 1)
    return -1


def test(node: Node, path: Path, problems: Problems) -> Node:
    if type(node.value) is not str:
        return node
    return node.with_value([Node("CMD-SHELL", node.span), Node(node.value, node.span, None, node.hops)])


def gpus(node: Node, path: Path, problems: Problems) -> Node:
    if node.value != "all":
        return node
    return node.with_value([Node({"capabilities": Node([], node.span), "count": Node(-1, node.span)}, node.span)])


def hosts(node: Node, path: Path, problems: Problems) -> Node:
    """`host=address` texts, from host:address, host=address, or a mapping of hosts to addresses."""
    if node.is_mapping:
        found = []
        for name, child in node.value.items():
            for address in child.value if child.is_list else [child]:
                if type(address.value) is not str:
                    problems.refuse(address, (*path, name), f"{dotted((*path, name))} must be an address")
                else:
                    text = f"{name}={address.value}"
                    found.append(Node(text, address.span, child.key, address.hops))
        return node.with_value(found)
    return node


def _ssh(node: Node, path: Path, problems: Problems) -> Node:
    if not node.is_mapping:
        for index, item in enumerate(node.entries()):
            if type(item.value) is str and item.value != "default" and not set(item.value) & {"=", HOLE}:
                message = f"{dotted((*path, index))}: {item.value!r} must be default or NAME=path"
                problems.late.append((item.place, path, message))
        return node
    for name, child in node.value.items():
        if not child.is_scalar:
            problems.refuse(child, (*path, name), f"{dotted((*path, name))} must be a path")
    texts = [
        Node(name if child.value is None else f"{name}={child.value}", child.span, child.key, child.hops)
        for name, child in node.value.items()
    ]
    return node.with_value(texts)


def one(node: Node, path: Path, problems: Problems) -> Node:
    return node if node.is_list else node.with_value([node.with_key(None)])


LIST_FORMS: dict[str, Form] = {
    "ports": ports,
    "command": command,
    "test": test,
    "gpus": gpus,
    "hosts": hosts,
    "ssh": _ssh,
    "one": one,
}
