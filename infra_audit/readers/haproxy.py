"""HAProxy configuration: its lines as words with positions, each with the section that it is in.

Words are separated by blanks; double quotes (variables are filled in), single quotes (they are not)
and backslashes quote; "#" starts a comment. Source: docs.haproxy.org, "Quoting and escaping".
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.named import NamedTuple
from infra_audit.readers.located import Located
from infra_audit.source import Span

__all__ = ["Line", "Word", "read_haproxy"]

_SECTIONS = frozenset(
    (
        *("global", "defaults", "frontend", "backend", "listen"),
        *("cache", "crt-store", "fcgi-app", "http-errors", "log-forward", "mailers"),
        *("peers", "program", "resolvers", "ring", "traces", "userlist"),
    )
)


class Word(NamedTuple):
    text: str
    span: Span


class Line(NamedTuple):
    """``section``: keyword and name of the section ("backend", "web"); the section's own line has it too."""

    section: tuple[str, str]
    words: tuple[Word, ...]


def read_haproxy(source: Located) -> Iterator[Line]:
    """All lines with at least one word."""
    section = ("", "")
    start = 0
    for text in source.text.split("\n"):
        words = tuple(_words(source, text.rstrip("\r"), start))
        start += len(text) + 1
        if not words:
            continue
        if words[0].text in _SECTIONS:
            section = (words[0].text, words[1].text if len(words) > 1 else "")
        yield Line(section, words)


def _words(source: Located, line: str, offset: int) -> Iterator[Word]:
    at = 0
    while at < len(line):
        if line[at] in " \t":
            at += 1
            continue
        if line[at] == "#":
            return
        start = at
        parts: list[str] = []
        quote = ""
        while at < len(line) and (quote or line[at] not in " \t#"):
            char = line[at]
            if char == "\\" and quote != "'" and at + 1 < len(line):
                at += 1
                parts.append(line[at])
            elif char == quote:
                quote = ""
            elif char in "\"'" and not quote:
                quote = char
            else:
                parts.append(char)
            at += 1
        yield Word("".join(parts), source.span(offset + start, offset + at))
