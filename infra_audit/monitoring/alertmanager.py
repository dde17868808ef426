"""Alertmanager's configuration with places, and what makes it refuse to start.

Source: prometheus.io/docs/alerting/latest/configuration, and the functions of its template package.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.monitoring.durations import seconds
from infra_audit.monitoring.located_yaml import text_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.tree import Node

__all__ = ["Fault", "faults", "template_faults", "template_files"]


class Fault(NamedTuple):
    """What Alertmanager refuses, and where."""

    message: str
    place: Node


_FUNCTIONS = frozenset(
    (
        *("toUpper", "toLower", "title", "trimSpace", "join", "match", "safeHtml", "safeUrl", "reReplaceAll"),
        *("stringSlice", "date", "tz", "since", "humanizeDuration", "toJson", "urlUnescape", "list", "append", "dict"),
        *("and", "or", "not", "len", "index", "slice", "print", "printf", "println", "html", "js", "urlquery", "call"),
        *("eq", "ne", "lt", "le", "gt", "ge", "if", "else", "end", "range", "with", "template", "define", "block"),
        *("nil", "true", "false", "break", "continue"),
    )
)
"""What a template may call: text/template's own functions and words, and Alertmanager's."""

_ACTION = Pattern(r"\{\{-?(?P<inner>.*?)-?\}\}")
_STRINGS = Pattern(r"\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_WORD = Pattern(r"(?<![\w.$])(?P<word>[A-Za-z_]\w*)")
_VARIABLE = Pattern(r"\$\{[A-Z_][A-Z0-9_]*\}|\$[A-Z][A-Z0-9_]+\b")


def template_files(root: Node) -> list[Node]:
    """The entries of ``templates``."""
    node = root.get("templates")
    return [entry for entry in node.entries() if text_of(entry)] if node is not None else []


def faults(root: Node) -> Iterator[Fault]:
    """What stands in a configuration and makes Alertmanager refuse it."""
    receivers = {text_of(entry.get("name")) for entry in _entries(root, "receivers")}
    route = root.get("route")
    if route is None or route.value is None:
        yield Fault("there is no route", root)
    elif route.get("receiver") is None:
        yield Fault("the first route names no receiver", route)
    for place, name in _named_receivers(root):
        if name not in receivers:
            yield Fault(f"no receiver is called {name}", place)
    intervals = {text_of(entry.get("name")) for key in _INTERVALS for entry in _entries(root, key)}
    for path, node in root.walk():
        key = path[-1] if path else ""
        above = path[-2] if len(path) > 1 else ""
        if above in ("mute_time_intervals", "active_time_intervals") and path[0] == "route":
            if text_of(node) not in intervals:
                yield Fault(f"no time interval is called {text_of(node)}", node)
        elif key in _DURATIONS and text_of(node) and seconds(text_of(node)) is None:
            yield Fault(f"{text_of(node)} is no duration", node)
        elif isinstance(node.value, str) and _is_kept(path):
            yield from _text_faults(node)


_DURATIONS = frozenset(("group_wait", "group_interval", "repeat_interval", "resolve_timeout"))
_INTERVALS = ("mute_time_intervals", "time_intervals")


def _is_kept(path: tuple[str | int, ...]) -> bool:
    """False for texts in which a dollar sign may mean something of its own: regular expressions and passwords."""
    return not any(str(step) == "re" or "regex" in str(step) or "matchers" in str(step) for step in path)


def _text_faults(node: Node) -> Iterator[Fault]:
    text = str(node.value)
    match = _VARIABLE.search(_ACTION.sub("", text))
    if match is not None:
        yield Fault(f"{match[0]} stays as it is written: Alertmanager expands no variables", node)
    yield from (Fault(message, node) for message in template_faults(text))


def template_faults(text: str) -> Iterator[str]:
    """Functions that a template calls and Alertmanager does not have."""
    for action in _ACTION.finditer(text):
        inner = action["inner"]
        if inner.lstrip().startswith("/*"):
            continue
        for word in _WORD.finditer(_STRINGS.sub('""', inner)):
            if word["word"] not in _FUNCTIONS:
                yield f"templates of Alertmanager have no function {word['word']}"


def _entries(node: Node, key: str) -> list[Node]:
    child = node.get(key)
    return child.entries() if child is not None else []


def _named_receivers(root: Node) -> Iterator[tuple[Node, str]]:
    waiting = [route] if (route := root.get("route")) is not None else []
    while waiting:
        route = waiting.pop()
        named = route.get("receiver")
        if named is not None and text_of(named):
            yield named, text_of(named)
        waiting += _entries(route, "routes")
