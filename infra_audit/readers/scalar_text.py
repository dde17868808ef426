"""Where the characters of a scalar are written: the way back from a value to its place in the file.

A value may differ from what is written: quotes and escapes, folded lines, the indentation of a block.
All of these change white space or put a backslash before a character, so the characters of the
value are found again by walking both texts side by side.
"""

from __future__ import annotations

from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import Node

__all__ = ["ScalarText"]

_HEADER = Pattern(r"[|>][-+0-9]*[ \t]*(?:#[^\n]*)?\r?\n")
_UNICODE = {"x": 2, "u": 4, "U": 8}


class ScalarText:
    """The text of a scalar node that can tell where each of its characters stands.

    ``span(start, end)`` covers characters ``start`` to ``end`` (exclusive) of the value; the whole scalar
    stands for a part that cannot be found again (a variable filled it in).
    """

    __slots__ = ("_node", "_offsets", "text")

    def __init__(self, node: Node) -> None:
        self._node = node
        self.text = str(node.value)
        self._offsets: list[int] | None = None

    def span(self, start: int, end: int) -> Span:
        whole = self._node.span
        if self._offsets is None:
            self._offsets = _aligned(self.text, whole.text)
        offsets = self._offsets
        if not offsets or not 0 <= start < end <= len(offsets):
            return whole
        first, last = offsets[start], offsets[end - 1]
        return whole.part(first, last + 1) if 0 <= first <= last else whole


def _aligned(value: str, written: str) -> list[int]:
    """For each character of the value its offset in what is written; empty where they do not fit together.

    White space that folding made has the offset of the character before it.
    """
    header = _HEADER.match(written)
    quote = "" if header else written[:1] if written[:1] in ("'", '"') else ""
    at = header.end() if header else len(quote)
    offsets: list[int] = []
    for char in value:
        if char.isspace() and not (at < len(written) and written[at] == char):
            if quote == '"' and written[at : at + 1] == "\\" and written[at + 1 : at + 2] in ("n", "t", "r", " "):
                offsets.append(at)
                at += 2
            else:
                offsets.append(max(at - 1, 0))
            continue
        if not char.isspace():
            at = _past_space(written, at, quote)
        step = _step(written, at, char, quote)
        if not step:
            return []
        offsets.append(at)
        at += step
    return offsets


def _past_space(written: str, at: int, quote: str) -> int:
    while at < len(written):
        if written[at].isspace():
            at += 1
        elif quote == '"' and written.startswith(("\\\n", "\\\r\n"), at):
            at += 2
        else:
            break
    return at


def _step(written: str, at: int, char: str, quote: str) -> int:
    """How many written characters stand for one of the value; 0 where they are others."""
    if quote == '"' and written[at : at + 1] == "\\":
        return 2 + _UNICODE.get(written[at + 1 : at + 2], 0)
    if quote == "'" and char == "'":
        return 2 if written.startswith("''", at) else 0
    return 1 if written[at : at + 1] == char else 0
