"""The scalars and small collections that keys of a Compose file are made of."""

from __future__ import annotations

from infra_audit.compose.shape import Array, Bounds, Free, Leaf

STR = frozenset({str})
NAME = r"[a-zA-Z0-9._-]+"

ANYTHING = Free()
text = Leaf(STR, "text")
texts = Array(text, key="refuse")
plain_texts = Array(text)
flag = Leaf(frozenset({bool, str}), "flag")
flag_kept = Leaf(frozenset({bool, str}), "flag", keep=True)
integer = Leaf(frozenset({int, str}), "integer")
integer_kept = Leaf(frozenset({int, str}), "integer", keep=True)
natural = Leaf(frozenset({int, str}), "integer", bounds=Bounds(low=0))
natural_kept = Leaf(frozenset({int, str}), "integer", keep=True, bounds=Bounds(low=0))
exact = Leaf(frozenset({int, str}), "exact")
exact_number = Leaf(frozenset({int}), "exact")
short_whole = Leaf(frozenset({int}), "uint16", bounds=Bounds(low=0))
"""Compose keeps the lowest 16 bits."""
number_as_integer = Leaf(frozenset({int, float, str}), "integer")
fraction = Leaf(frozenset({int, float, str}), "fraction")
size = Leaf(frozenset({int, float, str}), "size")
whole_size = Leaf(frozenset({int, str}), "size")
size_text = Leaf(STR, "size")
duration = Leaf(STR, "duration")
duration_kept = Leaf(STR, "duration", keep=True)
option = Leaf(frozenset({str, int, float}), "option")
scalar = Leaf(frozenset({str, int, float, bool}), "option")
text_or_integer = Leaf(frozenset({str, int}), "option")
command = Array(text, short="command", replace=True, null=True, keep=True)
mode = Leaf(frozenset({int, str}), "mode", keep=True)
pair_value = Leaf(frozenset({str, int, float, bool, type(None)}), "pair")
nullable_pair_value = Leaf(frozenset({str, int, float, bool, type(None)}), "nullable", keep=True, replace=True)
