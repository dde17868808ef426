"""Env files in Compose's dialect: `.env` and `env_file:`.

KEY=value, KEY: value, `export KEY=value`, KEY alone (taken from the environment), comments, single
and double quotes over several lines, backslash escapes and variables in double quotes and unquoted
values. Source: the dotenv parser of github.com/compose-spec/compose-go.
"""

from __future__ import annotations

import re

from infra_audit.errors import ReadError
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Source, Span

__all__ = ["EnvEntry", "read_env"]

_EXPORT = Pattern(r"export\s+", hints=("export",))
_KEY_SPACE = "\t\v\f\r \x85\xa0"
_KEY_EXTRA = frozenset("_.-[]")
_ESCAPE = Pattern(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})', hints=("\\",))
_SIMPLE_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",
}


class EnvEntry(NamedTuple):
    """One entry. ``value`` is None for a key alone; ``template`` says that variables in it count."""

    key: str
    value: str | None
    template: bool
    key_span: Span
    span: Span


def read_env(source: Source) -> list[EnvEntry]:
    """The entries of an env file in order, values unquoted but not yet interpolated. Raises ReadError."""
    return list(_entries(source))


def _entries(source: Source) -> list[EnvEntry]:
    text = source.text
    found: list[EnvEntry] = []
    at = 0
    while True:
        at = _statement_start(text, at)
        if at >= len(text):
            return found
        if _EXPORT.match(text, at):
            at += len("export")
            while at < len(text) and text[at] in _KEY_SPACE:
                at += 1
            if at >= len(text):
                raise _error(source, at, "a key is missing after export")
        start, end, at, alone = _key(source, at)
        if alone and at >= len(text) and not text.endswith("\n"):
            # a last line without an end and without a sign is a value without a name to Compose
            found.append(_value(source, "", source.span(start, start), start)[0])
            continue
        key = text[start:end]
        if " " in key:
            raise _error(source, start, f"the key {key!r} contains a space")
        key_span = source.span(start, end)
        if alone:
            found.append(EnvEntry(key, None, False, key_span, key_span))
            continue
        entry, at = _value(source, key, key_span, at)
        found.append(entry)


def _statement_start(text: str, at: int) -> int:
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            return at
    return at


def _key(source: Source, start: int) -> tuple[int, int, int, bool]:
    """Start and end of the key, where its value may start, and whether the key stands alone."""
    text = source.text
    index = start
    while index < len(text):
        char = text[index]
        if char in "=:\n":
            break
        if char not in _KEY_SPACE and char not in _KEY_EXTRA and not char.isalpha() and not char.isnumeric():
            raise _error(source, index, f"unexpected character {char!r} in a variable name")
        index += 1
    alone = index >= len(text) or text[index] == "\n"
    end = index
    while end > start and text[end - 1].isspace():
        end -= 1
    after = min(index + 1, len(text))
    while after < len(text) and text[after] in _KEY_SPACE:
        after += 1
    return start, end, after, alone


def _value(source: Source, key: str, key_span: Span, at: int) -> tuple[EnvEntry, int]:
    text = source.text
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line = text[at:end]
        value = line.split(" #", 1)[0].rstrip()
        return EnvEntry(key, value, True, key_span, source.span(at, at + len(value))), min(end + 1, len(text))
    chars: list[str] = []
    index = at + 1
    escaped = False
    while index < len(text):
        char = text[index]
        if char == quote and not escaped:
            value = "".join(chars)
            if quote == '"':
                value = _ESCAPE.sub(_unescape, value)
            return EnvEntry(key, value, quote == '"', key_span, source.span(at, index + 1)), index + 1
        if not escaped and char == "\\":
            escaped = True
        else:
            if escaped and char != quote:
                chars.append("\\")
            chars.append(char)
            escaped = False
        index += 1
    raise _error(source, at, f"the quoted value of {key} is not closed")


def _unescape(match: re.Match[str]) -> str:
    body = match[0][1:]
    if body in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[body]
    if len(body) == 4 and all(digit in "01234567" for digit in body[1:]) and int(body[1:], 8) < 256:
        return chr(int(body[1:], 8))
    return match[0]


def _error(source: Source, at: int, message: str) -> ReadError:
    span = source.span(min(at, len(source.text)), min(at, len(source.text)))
    return ReadError(message, file=source.path, line=span.line, column=span.column)
