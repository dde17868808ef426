"""The places of selectors in a PromQL text: a small tokenizer that knows no grammar."""

from __future__ import annotations

import re

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["Place", "selector_places"]


class Place(NamedTuple):
    """Offsets of characters in a text, the end exclusive."""

    start: int
    end: int


_TOKEN = Pattern(
    r"(?P<space>\s+|\#[^\n]*)"
    r"|(?P<string>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`)"
    r"|(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?:[smhdwy]|ms)?[0-9a-z]*)"
    r"|(?P<word>[A-Za-z_:][A-Za-z0-9_:.]*)"
    r"|(?P<sign>.)",
    re.DOTALL,
)
_LISTS = frozenset(("by", "without", "on", "ignoring", "group_left", "group_right"))
_AGGREGATIONS = frozenset(
    (
        "sum",
        "avg",
        "count",
        "min",
        "max",
        "group",
        "stddev",
        "stdvar",
        "topk",
        "bottomk",
        "count_values",
        "quantile",
        "limitk",
        "limit_ratio",
    )
)
_KEYWORDS = frozenset(("and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"))


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def selector_places(text: str) -> list[Place]:
    """Where each selector's metric stands, in order; the braces for one without a name."""
    tokens = [
        _Token(match.lastgroup or "sign", match[0], match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "space"
    ]
    places: list[Place] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        word = token.text.lower()
        index += 1
        if token.text == "{":
            closing = _closing(tokens, index, "{", "}")
            places.append(_named_inside(tokens[index:closing]) or Place(token.start, _end(tokens, closing, text)))
            index = closing + 1
        elif token.text == "[":
            index = _closing(tokens, index, "[", "]") + 1
        elif token.text == "@":
            index += 1
        elif token.kind != "word":
            continue
        elif word in _LISTS:
            if following == "(":
                index = _closing(tokens, index + 1, "(", ")") + 1
        elif word in _KEYWORDS:
            continue
        elif following == "(" or (word in _AGGREGATIONS and following.lower() in ("by", "without")):
            continue
        else:
            places.append(Place(token.start, token.end))
            if following == "{":
                index = _closing(tokens, index + 1, "{", "}") + 1
    return places


def _closing(tokens: list[_Token], index: int, opening: str, closing: str) -> int:
    """The index of the token that closes what was opened before ``index``; the last one where nothing does."""
    depth = 1
    while index < len(tokens):
        if tokens[index].text == opening:
            depth += 1
        elif tokens[index].text == closing:
            depth -= 1
            if not depth:
                return index
        index += 1
    return len(tokens)


def _end(tokens: list[_Token], index: int, text: str) -> int:
    return tokens[index].end if index < len(tokens) else len(text)


def _named_inside(tokens: list[_Token]) -> Place | None:
    """The metric's name inside the braces: ``{"name"}`` or ``{__name__="name"}``."""
    for index, token in enumerate(tokens):
        if token.kind != "string":
            continue
        before = tokens[index - 1].text if index else ","
        name = tokens[index - 2].text if index > 1 else ""
        if before == "," and (index + 1 == len(tokens) or tokens[index + 1].text == ","):
            return Place(token.start + 1, token.end - 1)
        if before == "=" and name == "__name__":
            return Place(token.start + 1, token.end - 1)
    return None
