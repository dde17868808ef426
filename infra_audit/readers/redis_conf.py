"""redis.conf: directives with positions, ``include`` followed as the server follows it.

Rules, as redis-server 7.0 showed them: a line is trimmed; "#" starts a comment only at its
beginning; words are split by ``sdssplitargs`` (double quotes with C escapes, single quotes with \\'
alone, a closing quote must end the word); names ignore case; an included file is read where its
``include`` stands, so a later line wins over it; ``include`` may be a glob, which may match nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from infra_audit.errors import ReadError, Undecidable
from infra_audit.named import NamedTuple
from infra_audit.readers.located import Located
from infra_audit.source import Span

__all__ = ["Conf", "ConfProblem", "Directive", "Open", "Word", "read_conf", "split_args"]

Open = Callable[[str], Sequence[Located]]
"""Opens what ``include PATH`` names, seen from inside the container.

Raises ReadError where the server would not find or read it, Undecidable where that is not known.
"""

_SPACE = " \t\n\v\f\r"
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}
_HEX = frozenset("0123456789abcdefABCDEF")


class Word(NamedTuple):
    """One argument, unquoted, and where it is written with its quotes."""

    text: str
    span: Span


class Directive(NamedTuple):
    """One line. ``name`` is in lower case; ``key`` is where it stands; ``file`` is the file's location."""

    name: str
    key: Span
    words: tuple[Word, ...]
    file: str


class ConfProblem(NamedTuple):
    """A line that the server refuses, or (``decided`` false) one of which the effect is not known."""

    message: str
    span: Span
    decided: bool = True


class Conf(NamedTuple):
    """All directives in the order in which the server takes them."""

    directives: tuple[Directive, ...]
    problems: tuple[ConfProblem, ...]


def split_args(text: str) -> list[tuple[str, int, int]]:
    """The words of a line with start and end offset, or ValueError for quotes that do not balance."""
    words: list[tuple[str, int, int]] = []
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if at >= len(text):
            return words
        word, end = _word(text, at)
        words.append((word, at, end))
        at = end


def _word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at an offset, and where it ends."""
    parts: list[bytes] = []
    while at < len(text) and text[at] not in _SPACE:
        char = text[at]
        if char in "\"'":
            inner, at = (_double_quoted if char == '"' else _single_quoted)(text, at + 1)
            parts += inner
            if at < len(text) and text[at] not in _SPACE:
                raise ValueError("a closing quote must end its word")
            break
        parts.append(char.encode("utf-8", "surrogatepass"))
        at += 1
    return b"".join(parts).decode("utf-8", "surrogateescape"), at


def _double_quoted(text: str, at: int) -> tuple[list[bytes], int]:
    parts: list[bytes] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return parts, at + 1
        if char == "\\" and text[at + 1 : at + 2] == "x" and _is_hex(text[at + 2 : at + 4]):
            parts.append(bytes((int(text[at + 2 : at + 4], 16),)))
            at += 4
            continue
        if char == "\\" and at + 1 < len(text):
            at += 1
            char = _ESCAPED.get(text[at], text[at])
        parts.append(char.encode("utf-8", "surrogatepass"))
        at += 1
    raise ValueError("a quote is not closed")


def _single_quoted(text: str, at: int) -> tuple[list[bytes], int]:
    parts: list[bytes] = []
    while at < len(text):
        char = text[at]
        if char == "'":
            return parts, at + 1
        if char == "\\" and text[at + 1 : at + 2] == "'":
            at += 1
            char = "'"
        parts.append(char.encode("utf-8", "surrogatepass"))
        at += 1
    raise ValueError("a quote is not closed")


def _is_hex(text: str) -> bool:
    return len(text) == 2 and set(text) <= _HEX


def read_conf(source: Located, open_include: Open) -> Conf:
    """The directives of a configuration and of all that it includes."""
    problems: list[ConfProblem] = []
    directives = tuple(_read(source, open_include, problems, (source.location,)))
    return Conf(directives, tuple(problems))


def _read(
    source: Located, open_include: Open, problems: list[ConfProblem], chain: tuple[str, ...]
) -> Iterator[Directive]:
    for start, line in _lines(source.text):
        try:
            words = split_args(line)
        except ValueError as error:
            problems.append(ConfProblem(str(error), source.span(start, start + len(line))))
            continue
        if not words:
            continue
        (name, first, last), *rest = words
        directive = Directive(
            name.lower(),
            source.span(start + first, start + last),
            tuple(Word(text, source.span(start + begin, start + end)) for text, begin, end in rest),
            source.location,
        )
        if directive.name != "include":
            yield directive
        elif len(directive.words) != 1:
            problems.append(ConfProblem("include takes one path", directive.key))
        else:
            yield from _include(directive.words[0], open_include, problems, chain)


def _include(
    path: Word, open_include: Open, problems: list[ConfProblem], chain: tuple[str, ...]
) -> Iterator[Directive]:
    try:
        files = open_include(path.text)
    except Undecidable as error:
        problems.append(ConfProblem(f"include {path.text}: {error.message}", path.span, decided=False))
        return
    except ReadError as error:
        problems.append(ConfProblem(f"include {path.text}: {error.message}", path.span))
        return
    for file in files:
        if file.location in chain:
            problems.append(ConfProblem(f"include {path.text} leads back to itself", path.span))
        else:
            yield from _read(file, open_include, problems, (*chain, file.location))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Offset and text of each line that is not blank or a comment, trimmed."""
    at = 0
    for line in text.split("\n"):
        trimmed = line.strip(" \t\r")
        if trimmed and not trimmed.startswith("#"):
            yield at + len(line) - len(line.lstrip(" \t\r")), trimmed
        at += len(line) + 1
