"""YAML texts to small trees that keep how each scalar was written, and back to flow style."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

__all__ = ["Path", "Raw", "Tree", "flow", "paths", "read", "replaced", "without"]

Path: TypeAlias = tuple[str | int, ...]


class Raw(str):
    """A scalar letter by letter as it stands in flow style, with its quotes and its tag."""

    __slots__ = ()


Tree: TypeAlias = "Raw | list[Tree] | dict[str, Tree]"


def read(text: str) -> Tree:
    """The tree of one document; keys are kept as they are written, aliases are written out."""
    node = yaml.compose(text, Loader=yaml.CSafeLoader)
    assert node is not None
    return _read(node)


def _read(node: Any) -> Tree:
    tag = f"{node.tag} " if node.tag.startswith("!") else ""
    if isinstance(node, yaml.MappingNode):
        tree: Any = {flow(_read(key)): _read(value) for key, value in node.value}
    elif isinstance(node, yaml.SequenceNode):
        tree = [_read(item) for item in node.value]
    else:
        plain = node.style in (None, "") and not set(node.value) & set(",[]{}#\n") and ": " not in node.value
        return Raw(tag + (node.value if plain else json.dumps(node.value)))
    return Raw(tag + flow(tree)) if tag else tree


def flow(tree: Tree) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(flow(item) for item in tree) + "]"
    return tree


def paths(tree: Tree, here: Path = ()) -> Iterator[Path]:
    """The places of all values, the outermost first."""
    yield here
    children: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from paths(child, (*here, key))


def replaced(tree: Tree, path: Path, value: Tree) -> Tree:
    """The tree with another value at a path."""
    if not path:
        return value
    copy: Any = tree.copy() if isinstance(tree, dict | list) else tree
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy  # type: ignore[no-any-return]


def without(tree: Tree, path: Path) -> Tree:
    """The tree without what stands at a path."""
    copy: Any = tree.copy() if isinstance(tree, dict | list) else tree
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(copy[path[0]], path[1:])
    return copy  # type: ignore[no-any-return]
