"""YAML text to located trees, built from libyaml's events.

Every key, value and list item keeps its place. An alias and a merge key leave a hop on the node
that came through them. Duplicate keys and keys that are no strings are reported, not lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from infra_audit.errors import ReadError
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern, compiled_late
from infra_audit.readers.located import Located
from infra_audit.readers.scalars import resolve_plain
from infra_audit.source import Hop, Source, Span
from infra_audit.tree import Node, Scalar

with compiled_late():  # libyaml reads: what the reader in Python would need is a seventh of a small audit, unused
    import yaml
    from yaml import CLoader
    from yaml.events import (
        AliasEvent,
        DocumentStartEvent,
        MappingEndEvent,
        MappingStartEvent,
        ScalarEvent,
        SequenceEndEvent,
        StreamEndEvent,
    )

__all__ = ["Issue", "YamlDocument", "looks_like_template", "read_documents", "read_inline_yaml", "read_yaml"]

MAX_DEPTH = 200
"""Deeper nesting is refused; a real deployment stays below 20."""

MAX_EXPANDED = 250_000
"""The number of nodes that aliases may expand a document to (an alias bomb passes it at once)."""

_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_EXOTIC_BREAKS = ("\x85", "\u2028", "\u2029")
_STANDARD = "tag:yaml.org,2002:"
_TAGGED: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "null": (type(None),),
}
_COMPOSE_TAGS = frozenset({"!reset", "!override"})
_span = Span._make


class Issue(NamedTuple):
    """Something that YAML allows here and Compose does not. ``kind``: duplicate-key or key-type."""

    kind: str
    message: str
    span: Span
    first: Span | None = None


class YamlDocument(NamedTuple):
    """One document of a file; ``root`` is None for an empty one."""

    root: Node | None
    issues: list[Issue]


def read_documents(source: Source) -> list[YamlDocument]:
    """All documents of a YAML text. Raises ReadError with the place of the first syntax error."""
    return _Builder(source).documents()


def read_yaml(source: Source) -> list[Node]:
    """The documents of a text that must be plain YAML without duplicate keys. Raises ReadError."""
    roots = []
    for document in read_documents(source):
        for issue in document.issues:
            raise ReadError(issue.message, file=source.path, line=issue.span.line, column=issue.span.column)
        if document.root is not None:
            roots.append(document.root)
    return roots


def read_inline_yaml(text: Located) -> list[Node]:
    """As ``read_yaml``, for a text that may be written inside another file: places are those of that file."""
    if isinstance(text, Source):
        return read_yaml(text)
    copy = Source(text.path, text.text)

    def placed(span: Span) -> Span:
        return text.span(copy.offset(span.line, span.column), copy.offset(span.end_line, span.end_column))

    def moved(node: Node) -> Node:
        value = node.value
        if type(value) is dict:
            value = {key: moved(child) for key, child in value.items()}
        elif type(value) is list:
            value = [moved(child) for child in value]
        return Node(value, placed(node.span), placed(node.key) if node.key else None, (), node.tag, node.plain)

    try:
        return [moved(root) for root in read_yaml(copy)]
    except ReadError as error:
        at = copy.offset(error.line, error.column)
        span = text.span(at, at)
        raise ReadError(error.message, file=error.file, line=span.line, column=span.column) from None


def looks_like_template(text: str) -> bool:
    """True for the marks of Jinja, Helm and Go templates outside of quotes and comments."""
    return _TEMPLATE.search(text) is not None


_TEMPLATE = Pattern(r"""^(?:[^"'#\n]*[\s:])?(?:\{\{|\{%)""", re.MULTILINE, hints=("{{", "{%"))


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        text = source.text
        self.by_index = any(mark in text for mark in _EXOTIC_BREAKS) or text.count("\r") != text.count("\r\n")
        self.lines = text.count("\n") + 1
        self.get_event: Callable[[], Any] = CLoader(text).get_event
        self.issues: list[Issue] = []
        self.anchors: dict[str, Node | None] = {}
        self.sizes: dict[str, int] = {}

    def documents(self) -> list[YamlDocument]:
        try:
            return self._documents()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            span = self._span(mark, mark) if mark else self.source.top
            problem = error.problem or error.context or "cannot be parsed"
            if mark and self.source.text[mark.index : mark.index + 1] == "\t":
                problem = "a tab, where YAML takes spaces only"
            if "nesting depth" in problem:  # newer versions of libyaml stop by themselves, ahead of us
                raise self._error(_TOO_DEEP, span) from None
            raise self._error(f"broken YAML: {problem}", span) from None
        except yaml.YAMLError as error:
            span = self.source.top
            position = getattr(error, "position", None)
            if isinstance(position, int):
                span = self.source.span(position, position)
            raise self._error("broken YAML: a character that YAML does not allow", span) from None

    def _error(self, message: str, span: Span) -> ReadError:
        if looks_like_template(self.source.text):
            message += " (it looks like a template: audit what it is rendered to)"
        return ReadError(message, file=span.source.path, line=span.line, column=span.column)

    def _span(self, start: Any, end: Any) -> Span:
        last = end.line
        if self.by_index or last >= self.lines:  # libyaml counts a line that a lone "?" does not begin
            length = len(self.source.text)
            return self.source.span(min(start.index, length), min(end.index, length))
        return _span((self.source, start.line + 1, start.column + 1, last + 1, end.column + 1))

    def _documents(self) -> list[YamlDocument]:
        found: list[YamlDocument] = []
        while (kind := self.get_event().__class__) is not StreamEndEvent:
            if kind is DocumentStartEvent:
                self.issues, self.anchors, self.sizes = [], {}, {}
                root: Node | None = self._value(self.get_event(), 0)[0]
                if root is not None and root.value is None and not root.tag:
                    root = None
                found.append(YamlDocument(root, self.issues))
        return found

    def _value(self, event: Any, depth: int) -> tuple[Node, int]:
        """What an event begins, ``depth`` collections deep, and the number of nodes in it."""
        kind = event.__class__
        if kind is ScalarEvent:
            return self._scalar(event), 1
        if kind is AliasEvent:
            span = self._span(event.start_mark, event.end_mark)
            target = self._target(event.anchor, span)
            hop = Hop("alias", f"*{event.anchor}", span)
            return target.with_key(None).with_hops(hop), self.sizes[event.anchor]
        self._refuse_depth(event, depth)
        anchor = event.anchor
        if anchor:
            self.anchors[anchor] = None
        node, size = (self._mapping if kind is MappingStartEvent else self._sequence)(event, depth + 1)
        if anchor:
            self.anchors[anchor] = node
            self.sizes[anchor] = size
        return node, size

    def _mapping(self, start: Any, depth: int) -> tuple[Node, int]:
        get_event = self.get_event
        children: dict[str, Node] = {}
        keys: dict[str, Span] = {}
        merges: list[tuple[Span, Node]] = []
        last: Node | None = None
        size = 1
        while (event := get_event()).__class__ is not MappingEndEvent:
            key, span = self._key(event, keys, depth)
            event = get_event()
            if event.__class__ is ScalarEvent:
                node = self._scalar(event)
                size += 1
            else:
                node, inner = self._value(event, depth)
                size += inner
            if size > MAX_EXPANDED:
                raise self._expanded(node)
            if key == "<<" and (span.end_column - span.column) == 2:
                merges.append((span, node))
                continue
            node.key = span
            children[key] = last = node
        span = self._closed(start, event, last)
        if merges:
            children = self._merged(children, merges)
        return Node(children, span, None, (), self._tag(start.tag)), size

    def _sequence(self, start: Any, depth: int) -> tuple[Node, int]:
        children: list[Node] = []
        size = 1
        while (event := self.get_event()).__class__ is not SequenceEndEvent:
            node, inner = self._value(event, depth)
            children.append(node)
            size += inner
            if size > MAX_EXPANDED:
                raise self._expanded(node)
        span = self._closed(start, event, children[-1] if children else None)
        return Node(children, span, None, (), self._tag(start.tag)), size

    def _refuse_depth(self, event: Any, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise self._error(_TOO_DEEP, self._span(event.start_mark, event.end_mark))

    def _expanded(self, node: Node) -> ReadError:
        return self._error(f"aliases expand this to more than {MAX_EXPANDED} values", node.span)

    def _closed(self, start: Any, end: Any, last: Node | None) -> Span:
        """The span of a collection from its first event to its end, which a block has where its last value ends."""
        if end.start_mark.index != end.end_mark.index:  # a flow collection ends with its bracket
            return self._span(start.start_mark, end.end_mark)
        span = self._span(start.start_mark, start.start_mark)
        if last is None:
            return span
        until = last.hops[-1].span if last.hops else last.span  # an alias ends where it is written
        assert until is not None
        return _span((self.source, span.line, span.column, until.end_line, until.end_column))

    def _tag(self, tag: str | None) -> str:
        return tag if tag in _COMPOSE_TAGS else ""

    def _scalar(self, event: Any) -> Node:
        text = event.value
        span = self._span(event.start_mark, event.end_mark)
        tag = event.tag
        if tag is None or tag == "!":
            plain = event.implicit[0]
            node = Node(resolve_plain(text) if plain else text, span, None, (), "", plain)
        elif tag.startswith(_STANDARD) and tag != _STANDARD + "str":
            node = Node(self._tagged(tag.removeprefix(_STANDARD), text, span), span, None, (), "", True)
        else:
            node = Node(text, span, None, (), self._tag(tag))
        if event.anchor:
            self.anchors[event.anchor] = node
            self.sizes[event.anchor] = 1
        return node

    def _tagged(self, tag: str, text: str, span: Span) -> Scalar:
        """The value of a scalar that has one of YAML's own tags. Raises where it is none of that kind."""
        value = resolve_plain(text)
        kinds = _TAGGED.get(tag)
        if kinds is not None and not (type(value) in kinds or (tag == "float" and type(value) is int)):
            raise self._error(f"{text!r} is no value of the tag !!{tag}", span)
        return value

    def _key(self, event: Any, keys: dict[str, Span], depth: int) -> tuple[str, Span]:
        """A key of a mapping that has ``keys`` already, to which it is added."""
        kind = event.__class__
        span = self._span(event.start_mark, event.end_mark)
        if kind is ScalarEvent:
            text: str = event.value
            if type(resolve_plain(text)) is not str and event.implicit[0] and event.tag is None:
                self.issues.append(Issue("key-type", f"the key {text or 'null'} is no string: quote it", span))
            if text in keys:
                first = keys[text]
                message = f"the key {text} is given twice; the first is in line {first.line}"
                self.issues.append(Issue("duplicate-key", message, span, first))
            if event.anchor:
                self.anchors[event.anchor] = Node(text, span)
                self.sizes[event.anchor] = 1
        elif kind is AliasEvent:
            text = self._target(event.anchor, span).value
            if type(text) is not str:
                raise self._error("a mapping key must be a string", span)
        else:
            self._refuse_depth(event, depth)
            raise self._error("a mapping key must be a string", span)
        keys[text] = span
        return text, span

    def _target(self, anchor: str, span: Span) -> Node:
        """What an alias stands for."""
        if anchor not in self.anchors:
            raise self._error(f"alias *{anchor} has no anchor before it", span)
        target = self.anchors[anchor]
        if target is None:
            raise self._error(f"anchor &{anchor} contains itself", span)
        return target

    def _merged(self, written: dict[str, Node], merges: list[tuple[Span, Node]]) -> dict[str, Node]:
        """What merge keys bring filled in: written keys win, then the earlier of several sources."""
        merged = dict(written)
        for span, node in merges:
            sources = node.value if type(node.value) is list else [node]
            for origin in sources:
                if type(origin.value) is not dict:
                    raise self._error("a merge key takes a mapping or a list of mappings", span)
                for key, child in origin.value.items():
                    if key not in merged:
                        merged[key] = child.with_hops(Hop("merge key", "<<", span))
        return merged
