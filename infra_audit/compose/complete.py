"""What Compose checks of the tree after each file that it merged: nothing is null, nothing needed is missing."""

from __future__ import annotations

from infra_audit.compose.decode import expected
from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.compose.shape import Array, Free, Object, Shape, Table
from infra_audit.tree import Node

__all__ = ["complete"]


def complete(node: Node, shape: Shape, path: Path, problems: Problems) -> Node | None:
    """The merged tree without what is still null, after telling ``problems`` what is missing."""
    if node.value is None:
        if isinstance(shape, Free) or getattr(shape, "null", False) or _null_leaf(shape):
            return node
        problems.refuse(node, path, f"{dotted(path)} must be {expected(shape)}, not null")
        return None
    if isinstance(shape, Object) and node.is_mapping:
        for key in shape.required:
            if key not in node.value:
                problems.refuse(node, path, f"{dotted(path)}: the key {key} is missing")
    elif isinstance(shape, Table) and node.is_mapping:
        pass
    elif isinstance(shape, Array) and node.is_list:
        if isinstance(shape.item, (Object, Table)):
            kept = [complete(child, shape.item, (*path, index), problems) for index, child in enumerate(node.value)]
            items = [child for child in kept if child is not None]
            changed = len(items) != len(node.value) or any(a is not b for a, b in zip(items, node.value, strict=True))
            return node.with_value(items) if changed else node
        return node
    else:
        return node
    found: dict[str, Node] = {}
    same = True
    for key, child in node.value.items():
        if child.value is not None and child.is_scalar:
            found[key] = child
            continue
        inner = shape.value if isinstance(shape, Table) else shape.fields.get(key, _FREE)
        done = complete(child, inner, (*path, key), problems)
        same = same and done is child
        if done is not None:
            found[key] = done
    return node if same else node.with_value(found)


_FREE = Free()


def _null_leaf(shape: Shape) -> bool:
    return type(None) in getattr(shape, "types", ())
