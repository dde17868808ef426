"""The scalars and small collections that keys of a Compose file are made of."""

from __future__ import annotations

from infra_audit.compose.shape import Array, Free, Leaf

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
number_as_integer = Leaf(frozenset({int, float, str}), "integer")
fraction = Leaf(frozenset({int, float, str}), "fraction")
size = Leaf(frozenset({int, float, str}), "size")
whole_size = Leaf(frozenset({int, str}), "size")
size_text = Leaf(STR, "size")
duration = Leaf(STR, "duration")
duration_kept = Leaf(STR, "duration", keep=True)
option = Leaf(frozenset({str, int, float}), "option")
command = Array(text, short="command", replace=True, null=True, keep=True)
mode = Leaf(frozenset({int, float, str}), "mode", keep=True)
pair_value = Leaf(frozenset({str, int, float, bool, type(None)}), "pair")
nullable_pair_value = Leaf(frozenset({str, int, float, bool, type(None)}), "nullable", keep=True, replace=True)
