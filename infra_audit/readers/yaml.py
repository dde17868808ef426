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
        DocumentEndEvent,
        DocumentStartEvent,
        MappingEndEvent,
        MappingStartEvent,
        ScalarEvent,
        SequenceEndEvent,
        SequenceStartEvent,
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


class _Frame:
    """A collection that is being read."""

    __slots__ = ("anchor", "children", "closing", "key", "merges", "size", "span_from", "spans", "tag")

    def __init__(self, children: Any, start: Any, tag: str, anchor: str | None) -> None:
        self.children = children
        self.span_from = start
        self.tag = tag
        self.anchor = anchor
        self.key: tuple[str, Span] | None = None
        self.spans: dict[str, Span] = {}
        self.merges: list[tuple[Span, Node]] = []
        self.size = 1
        self.closing: Any = start


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        text = source.text
        self.by_index = any(mark in text for mark in _EXOTIC_BREAKS) or text.count("\r") != text.count("\r\n")
        self.lines = text.count("\n") + 1
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
        if self.by_index or end.line >= self.lines:  # libyaml counts a line that a lone "?" does not begin
            length = len(self.source.text)
            return self.source.span(min(start.index, length), min(end.index, length))
        return Span._make((self.source, start.line + 1, start.column + 1, end.line + 1, end.column + 1))

    def _documents(self) -> list[YamlDocument]:
        parser = CLoader(self.source.text)
        found: list[YamlDocument] = []
        stack: list[_Frame] = []
        get_event: Callable[[], Any] = parser.get_event
        while True:
            event = get_event()
            kind = event.__class__
            if kind is ScalarEvent:
                frame = stack[-1] if stack else None
                if frame is not None and frame.key is None and type(frame.children) is dict:
                    self._take_key(frame, event)
                    continue
                self._take(stack, self._scalar(event), 1, event.anchor)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if len(stack) >= MAX_DEPTH:
                    raise self._error(_TOO_DEEP, self._span(event.start_mark, event.end_mark))
                if stack and type(stack[-1].children) is dict and stack[-1].key is None:
                    raise self._error("a mapping key must be a string", self._span(event.start_mark, event.end_mark))
                if event.anchor:
                    self.anchors[event.anchor] = None
                children: Any = {} if kind is MappingStartEvent else []
                stack.append(_Frame(children, event.start_mark, self._tag(event.tag), event.anchor))
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                frame = stack.pop()
                node, size = self._close(frame, event)
                self._take(stack, node, size, frame.anchor)
            elif kind is AliasEvent:
                self._alias(stack, event)
            elif kind is DocumentStartEvent:
                self.issues, self.anchors, self.sizes, self.root = [], {}, {}, None
            elif kind is DocumentEndEvent:
                root: Node | None = self.root
                if root is not None and root.value is None and not root.tag:
                    root = None
                found.append(YamlDocument(root, self.issues))
            elif kind is StreamEndEvent:
                return found

    root: Node | None = None

    def _tag(self, tag: str | None) -> str:
        return tag if tag in _COMPOSE_TAGS else ""

    def _scalar(self, event: Any) -> Node:
        text = event.value
        start = event.start_mark
        span = self._span(start, event.end_mark)
        tag = event.tag
        if tag is None or tag == "!":
            plain = event.implicit[0]
            if not plain:
                return Node(text, span)
            value = resolve_plain(text)
        elif tag.startswith(_STANDARD) and tag != _STANDARD + "str":
            value, plain = self._tagged(tag.removeprefix(_STANDARD), text, span), True
        else:
            return Node(text, span, tag=self._tag(tag))
        return Node(value, span, plain=plain)

    def _tagged(self, tag: str, text: str, span: Span) -> Scalar:
        """The value of a scalar that has one of YAML's own tags. Raises where it is none of that kind."""
        value = resolve_plain(text)
        kinds = _TAGGED.get(tag)
        if kinds is not None and not (type(value) in kinds or (tag == "float" and type(value) is int)):
            raise self._error(f"{text!r} is no value of the tag !!{tag}", span)
        return value

    def _take_key(self, frame: _Frame, event: Any) -> None:
        text = event.value
        span = self._span(event.start_mark, event.end_mark)
        if event.implicit[0] and event.tag is None and text != "<<":
            value = resolve_plain(text)
            if type(value) is not str:
                shown = text or "null"
                self.issues.append(Issue("key-type", f"the key {shown} is no string: quote it", span))
        if text in frame.spans:
            first = frame.spans[text]
            message = f"the key {text} is given twice; the first is in line {first.line}"
            self.issues.append(Issue("duplicate-key", message, span, first))
        frame.spans[text] = span
        frame.key = (text, span)
        if event.anchor:
            self.anchors[event.anchor] = Node(text, span)
            self.sizes[event.anchor] = 1

    def _take(self, stack: list[_Frame], node: Node, size: int, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = node
            self.sizes[anchor] = size
        if not stack:
            self.root = node
            return
        frame = stack[-1]
        frame.size += size
        if frame.size > MAX_EXPANDED:
            raise self._error(f"aliases expand this to more than {MAX_EXPANDED} values", node.span)
        if type(frame.children) is list:
            frame.children.append(node)
            return
        assert frame.key is not None
        text, span = frame.key
        frame.key = None
        if text == "<<" and (span.end_column - span.column) == 2:
            frame.merges.append((span, node))
            return
        node.key = span
        frame.children[text] = node

    def _alias(self, stack: list[_Frame], event: Any) -> None:
        span = self._span(event.start_mark, event.end_mark)
        name = event.anchor
        if name not in self.anchors:
            raise self._error(f"alias *{name} has no anchor before it", span)
        target = self.anchors[name]
        if target is None:
            raise self._error(f"anchor &{name} contains itself", span)
        frame = stack[-1] if stack else None
        if frame is not None and frame.key is None and type(frame.children) is dict:
            if type(target.value) is not str:
                raise self._error("a mapping key must be a string", span)
            frame.key = (target.value, span)
            frame.spans[target.value] = span
            return
        self._take(stack, target.with_key(None).with_hops(Hop("alias", f"*{name}", span)), self.sizes[name], None)

    def _close(self, frame: _Frame, event: Any) -> tuple[Node, int]:
        children = frame.children
        if event.start_mark.index != event.end_mark.index:  # a flow collection ends with its bracket
            span = self._span(frame.span_from, event.end_mark)
        else:
            span = self._span(frame.span_from, frame.span_from)
            last = max((_end(child) for child in _values(children)), default=None)
            if last is not None and last > (span.line, span.column):
                span = Span(self.source, span.line, span.column, *last)
        if frame.merges:
            children = self._merge(frame)
        return Node(children, span, tag=frame.tag), frame.size

    def _merge(self, frame: _Frame) -> dict[str, Node]:
        """Fill in what merge keys bring: written keys win, then the earlier of several sources."""
        merged: dict[str, Node] = dict(frame.children)
        for span, node in frame.merges:
            sources = node.value if type(node.value) is list else [node]
            for origin in sources:
                if type(origin.value) is not dict:
                    raise self._error("a merge key takes a mapping or a list of mappings", span)
                for key, child in origin.value.items():
                    if key not in merged:
                        merged[key] = child.with_hops(Hop("merge key", "<<", span))
        return merged


def _values(children: Any) -> Any:
    return children.values() if type(children) is dict else children


def _end(node: Node) -> tuple[int, int]:
    alias = next((hop.span for hop in reversed(node.hops) if hop.kind == "alias"), None)
    span = alias or node.span
    return span.end_line, span.end_column
