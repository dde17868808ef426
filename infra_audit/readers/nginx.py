"""nginx configuration: directives and blocks with positions.

Words are separated by blanks, quoted with " or ', ended by ``;`` or ``{``; "#" starts a comment where
a word could start; ``${name}`` belongs to its word. Lua blocks are skipped.
Source: nginx.org/en/docs/beginners_guide.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.errors import ReadError
from infra_audit.named import NamedTuple
from infra_audit.readers.located import Located
from infra_audit.source import Span

__all__ = ["Directive", "Word", "read_nginx", "walk"]


class Word(NamedTuple):
    """A word without its quotes, and where it is written."""

    text: str
    span: Span


class Directive(NamedTuple):
    """``name words;`` or ``name words { block }``; ``block`` is None for the first form."""

    name: Word
    words: tuple[Word, ...]
    block: tuple[Directive, ...] | None


def walk(directives: tuple[Directive, ...]) -> Iterator[Directive]:
    """All directives, those of blocks after their block."""
    for directive in directives:
        yield directive
        if directive.block:
            yield from walk(directive.block)


def read_nginx(source: Located) -> tuple[Directive, ...]:
    """The directives of a file. Raises ReadError with the place of what nginx refuses."""
    return _Reader(source).block(top=True)


class _Reader:
    def __init__(self, source: Located) -> None:
        self.source = source
        self.text = source.text
        self.at = 0

    def block(self, *, top: bool = False) -> tuple[Directive, ...]:
        """Directives up to the closing brace, or to the end of the file."""
        found: list[Directive] = []
        words: list[Word] = []
        while self._skip():
            char = self.text[self.at]
            if char == ";":
                self.at += 1
                if words:
                    found.append(Directive(words[0], tuple(words[1:]), None))
                words = []
            elif char == "{":
                self.at += 1
                if not words:
                    raise self._error("a block without a name")
                if words[0].text.endswith("_by_lua_block"):
                    self._skip_lua()
                    inner: tuple[Directive, ...] = ()
                else:
                    inner = self.block()
                found.append(Directive(words[0], tuple(words[1:]), inner))
                words = []
            elif char == "}":
                if top or words:
                    raise self._error('an unexpected "}"')
                self.at += 1
                return tuple(found)
            else:
                words.append(self._word())
        if words:
            raise self._error('the file ends before a ";" or "{"')
        if not top:
            raise self._error('the file ends before a "}"')
        return tuple(found)

    def _skip(self) -> bool:
        """Moves to the next character that is no blank or comment; False at the end."""
        text = self.text
        while self.at < len(text):
            if text[self.at] in " \t\r\n":
                self.at += 1
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return True
        return False

    def _word(self) -> Word:
        start = self.at
        text = self.text
        if text[start] in "\"'":
            return self._quoted(start)
        parts: list[str] = []
        while self.at < len(text) and text[self.at] not in " \t\r\n;{}":
            if text.startswith("${", self.at):
                end = text.find("}", self.at)
                end = len(text) if end < 0 else end + 1
            else:
                end = self.at + (2 if text[self.at] == "\\" else 1)
            parts.append(text[self.at : end])
            self.at = end
        if self.at == start:  # a "}" that belongs to no block is an error of the caller
            raise self._error("a word is missing")
        self.at = min(self.at, len(text))
        return Word("".join(parts), self.source.span(start, self.at))

    def _quoted(self, start: int) -> Word:
        quote = self.text[start]
        parts: list[str] = []
        at = start + 1
        while at < len(self.text) and self.text[at] != quote:
            if self.text[at] == "\\" and at + 1 < len(self.text):
                at += 1
            parts.append(self.text[at])
            at += 1
        if at >= len(self.text):
            raise self._error("a quote is not closed")
        self.at = at + 1
        return Word("".join(parts), self.source.span(start, self.at))

    def _skip_lua(self) -> None:
        depth = 1
        while self.at < len(self.text) and depth:
            depth += {"{": 1, "}": -1}.get(self.text[self.at], 0)
            self.at += 1

    def _error(self, message: str) -> ReadError:
        span = self.source.span(min(self.at, len(self.text)), min(self.at, len(self.text)))
        return ReadError(message, file=self.source.path, line=span.line, column=span.column)
