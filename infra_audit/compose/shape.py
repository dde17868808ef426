"""What a shape is: how a key of a Compose file is read, merged and printed. The table is ``schema``.

Reading: which YAML types a key takes and what they become (``Leaf.cast``, short forms).
Merging: mappings merge by key, lists append (``Array.key`` says which entries are the same),
leaves are replaced; ``Leaf.replace`` also takes a null from a later file.
``fixed``: a list, a mapping and a text of it cannot be laid on each other.
Printing: zero values are left out unless ``keep``; ``always`` fields are printed even when absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from infra_audit.named import NamedTuple

__all__ = ["Array", "Bounds", "Free", "Leaf", "Object", "Shape", "Table"]


class Bounds(NamedTuple):
    """The values that a scalar may have: one of some texts, what a pattern is found in, a range of numbers."""

    choices: frozenset[str] = frozenset()
    pattern: str = ""
    low: int | None = None
    high: int | None = None


class Leaf(NamedTuple):
    """A scalar. ``types``: the YAML types that are accepted; ``cast``: what it becomes (see ``decode``)."""

    types: frozenset[type]
    cast: str
    keep: bool = False
    replace: bool = False
    bounds: Bounds | None = None
    null: bool = False


class Object(NamedTuple):
    """A mapping with known keys. ``extensions``: ``x-`` keys are taken (and not printed); ``open``: so is any
    other. ``short``: its short form (see ``short_forms``). ``merge``: a merge rule of its own (see ``merge``).
    ``names``: keys that are printed otherwise than they are written. ``hidden``: keys that are not printed."""

    fields: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    always: Mapping[str, Any] = {}
    short: str = ""
    null: bool = False
    extensions: bool = True
    open: bool = False
    merge: str = ""
    names: Mapping[str, str] = {}
    keep: bool = False
    fixed: bool = False
    hidden: tuple[str, ...] = ()


class Table(NamedTuple):
    """A mapping from free names to values. ``short``: how a list is read ("pairs", "names", "")."""

    value: Shape
    short: str = ""
    keys: str = ""
    null: bool = False
    keep: bool = False
    fixed: bool = False
    atomic: bool = False
    """True where a later file replaces an entry whole."""


class Array(NamedTuple):
    """A list. ``single``: a lone text is a list of one. ``key``: which entries are the same (see ``merge``);
    "refuse": equal entries are refused; "": equal entries stay. ``short``: a short form of the whole."""

    item: Shape
    single: bool = False
    key: str = ""
    short: str = ""
    replace: bool = False
    null: bool = False
    keep: bool = False
    fixed: bool = False


class Free:
    """Anything, printed as it is."""

    __slots__ = ()
    null = True


Shape: TypeAlias = Leaf | Object | Table | Array | Free
