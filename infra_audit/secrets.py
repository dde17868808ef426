"""Finds credentials in texts that are about to be shown, so that no report prints one.

What counts: the value of a key whose name says so (``POSTGRES_PASSWORD``, ``api_key``), the word
after an option that takes a password (``--requirepass``, ``redis-cli -a``), the password of a URL
(``postgres://user:password@host``), a bearer token and a private key. What names a secret without
holding it stays readable: ``${DB_PASSWORD}``, ``POSTGRES_PASSWORD_FILE: /run/secrets/db``, ``true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

from infra_audit.named import NamedTuple

__all__ = ["MASK", "is_secret_key", "mask", "mask_data", "mask_value", "secret_ranges"]

MASK = "***"

_NAME = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|credential"
    r"|requirepass|masterauth|(?<!com)(?<!by)(?<!sur)pass(?![a-z])|pwd(?![a-z]))"
)
_KEY = rf"[\w.\-]*{_NAME}[\w.\-]*"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^']|'')*'?"
_REFERENCE = r"\$\{[^{}\n]*\}"
_PLAIN = rf"(?:{_REFERENCE}|[^\s\"'\[\]{{}}#|>&*!,])(?:{_REFERENCE}|(?<!\s)#|[^#\n\"',}}\]])*"
_WORD = r"(?P<value>(?!(?:or|and|in|is|to|with|from|for|of|an?|the)\b(?!\S)|--)[^\s\"',()\]][^\s\"',\]]*)"
"""A word that may be a password: neither the next option nor a sentence that goes on."""


class _Rule(NamedTuple):
    """A pattern with its ``value``, tried where a line holds one of the ``hints`` (in lower case)."""

    hints: tuple[str, ...]
    pattern: str
    prose: bool = True
    """True where it holds for messages too, not for lines of files alone."""


_NAMED = ("pass", "pwd", "secret", "token", "key", "credential", "masterauth")

_RULES = (
    # "POSTGRES_PASSWORD=correct horse", POSTGRES_PASSWORD=hunter2, a line of an env file
    _Rule(_NAMED, rf"[\"'](?P<key>{_KEY})=(?P<value>[^\"']+)[\"']"),
    _Rule(_NAMED, rf"(?<![\w.\-])(?P<key>{_KEY})=(?P<value>(?:{_REFERENCE}|[^\s\"',])+|{_QUOTED})"),
    _Rule(_NAMED, rf"\A\s*(?:-\s+|export\s+)?(?P<key>{_KEY})=(?P<value>{_PLAIN})"),
    # POSTGRES_PASSWORD: hunter2, "api_key":"hunter2"
    _Rule(
        _NAMED, rf"(?<![\w.\-])[\"']?(?P<key>{_KEY})[\"']?\s*:\s+(?:[&!]\S+\s+)*(?P<value>{_QUOTED}|{_PLAIN})", False
    ),
    _Rule(_NAMED, rf"\"(?P<key>{_KEY})\"\s*:(?P<value>{_QUOTED}|{_PLAIN})", False),
    # --requirepass hunter2, "--requirepass", "hunter2", and a line of redis.conf
    _Rule(_NAMED, rf"(?<![\w\-])--(?P<key>{_KEY})(?:[\"']\s*,\s*[\"']?|[\"']?\s+[\"']?|=[\"']?){_WORD}"),
    _Rule(_NAMED, rf"(?<![\w\-])--(?P<key>{_KEY})\s*,\s*[\"']?{_WORD}", False),
    _Rule(("requirepass", "masterauth"), rf"(?<![\w\-])(?P<key>requirepass|masterauth)\s+[\"']?{_WORD}"),
    # options of programs that take a password
    _Rule(("redis-cli",), rf"\bredis-cli\b[^|;&]*?[\s\"']-a[\"']?[\s,]+[\"']?{_WORD}"),
    _Rule(("mysql",), r"\bmysql(?:admin|dump|show)?\b[^|;&]*?[\s\"']-p(?P<value>[^\s\"',\]]+)"),
    _Rule(("curl",), rf"\bcurl\b[^|;&]*?\s[\"']?(?:-\w*u|--user)[\"']?[\s,=]+[\"']?[^\s:\"']+:{_WORD}"),
    # scheme://user:password@host
    _Rule(("@",), r"\b[a-z][a-z0-9+.\-]*://[^\s/:@\"']*:(?P<value>(?:(?!://)[^\s\"'])+)@(?=[\w\[$.{])"),
    # tokens that show what they are, and lines of a key
    _Rule(("bearer", "basic"), r"\b(?:bearer|basic)\s+(?P<value>[a-z0-9+/=_.~\-]{8,})"),
    _Rule(("eyj",), r"(?P<value>eyJ[a-z0-9_\-]{10,}\.[a-z0-9_\-]+\.[a-z0-9_\-]+)"),
    _Rule(("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<value>.+)"),
)
_HINTS = tuple({hint for rule in _RULES for hint in rule.hints})
_KEY_LINE_LENGTH = 40
_KEY_LINE = rf"\A\s*(?P<value>[a-z0-9+/=]{{{_KEY_LINE_LENGTH},}})\s*\Z"
_HARMLESS_KEY = r"(?:[_\-.](?:file|path|dir|name|ttl|length|expiry|expires?(?:_in)?)|(?:^|\.)secrets)$"
_HARMLESS_VALUE = r"(?:true|false|yes|no|on|off|null|none|~|/run/secrets/\S*|)\Z"
_VARIABLE = r"\$\$?(?:\{(?P<name>\w+)(?P<rest>[^{}]*)\}|\w+)|\{\{[^{}]*\}\}"
_DEFAULT = r":?[-+?=]"
_ENDS_WITH_NAME = (
    rf"(?:(?:(?<![\w.\-])--{_KEY}|\brequirepass|(?:\A|[\s\"'])-a)[\"']?,?"
    rf"|(?<![\w.\-])(?P<key>{_KEY})[\"']?\s*:\s*[|>]?[+-]?[0-9]?)\s*\Z"
)
_LIST_ITEM = r"\s*(?:-\s+)?[\"']?(?P<value>[^\s].*?)[\"']?,?\s*\Z"
_KEY_OF_MAPPING = r"\s*[\w.\-\"']+\s*:(?:\s|\Z)"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled at first use: most runs need few of the patterns."""
    return re.compile(pattern, re.IGNORECASE)


def is_secret_key(key: str) -> bool:
    """True where the value under a key of this name is a credential."""
    low = key.lower()
    return _has_one(_NAMED, low) and bool(_compiled(_NAME).search(key)) and not _is_harmless(key)


def _has_one(hints: Iterable[str], low: str) -> bool:
    for hint in hints:  # noqa: SIM110 - a generator would cost more than the hints
        if hint in low:
            return True
    return False


def _is_harmless(key: str) -> bool:
    return _compiled(_HARMLESS_KEY).search(key) is not None


def secret_ranges(line: str, before: str = "", *, prose: bool = False) -> list[tuple[int, int]]:
    """Where credentials stand in a line, as sorted offsets (start, end) that do not overlap.

    ``before`` is the line above: an option or a key at its end makes this line its value.
    In ``prose`` a colon after a key's name does not make what follows its value.
    """
    found: list[tuple[int, int]] = []
    if before:
        found += _continued(line, before)
    low = line.lower()
    for rule in _RULES if _has_one(_HINTS, low) else ():
        if (rule.prose or not prose) and _has_one(rule.hints, low):
            for match in _compiled(rule.pattern).finditer(line):
                key = match.groupdict().get("key")
                if key is None or not _is_harmless(key):
                    found += _parts(line, *match.span("value"))
    if len(line) >= _KEY_LINE_LENGTH and " " not in line.strip():
        found += [match.span("value") for match in _compiled(_KEY_LINE).finditer(line)]
    return _joined(found)


@lru_cache(maxsize=4096)
def mask(text: str) -> str:
    """A message with each credential replaced by ``***``."""
    return "\n".join(_masked(line, "", prose=True) for line in text.split("\n"))


def mask_data(value: Any, key: str = "") -> Any:
    """Plain data with credentials masked, both in texts and under keys that name one."""
    if isinstance(value, dict):
        return {name: mask_data(child, name if isinstance(name, str) else "") for name, child in value.items()}
    if isinstance(value, list | tuple):
        before = ("", *(item if isinstance(item, str) else "" for item in value))
        return [
            _masked(item, previous) if isinstance(item, str) and _continued(item, previous) else mask_data(item, key)
            for previous, item in zip(before, value, strict=False)
        ]
    if isinstance(value, str):
        return mask_value(key, value) if is_secret_key(key) else mask(value)
    return value


def mask_value(key: str, value: str) -> str:
    """The value of a key, masked where the key's name says that it is a credential."""
    if not is_secret_key(key):
        return mask(value)
    for start, end in reversed(_parts(value, 0, len(value))):
        value = value[:start] + MASK + value[end:]
    return value


def _masked(line: str, before: str, *, prose: bool = False) -> str:
    for start, end in reversed(secret_ranges(line, before, prose=prose)):
        line = line[:start] + MASK + line[end:]
    return line


def _continued(line: str, before: str) -> list[tuple[int, int]]:
    low = before.lower()
    if "-a" not in low and not _has_one(_NAMED, low):
        return []
    name = _compiled(_ENDS_WITH_NAME).search(before)
    if name is None or (name["key"] and _is_harmless(name["key"])):
        return []
    item = _compiled(_LIST_ITEM).match(line)
    if item is None:
        return []
    indent = len(line) - len(line.lstrip())
    if name["key"] and indent <= len(before) - len(before.lstrip()):
        return []  # an empty key, and then the next one
    if name["key"] and _compiled(_KEY_OF_MAPPING).match(line):
        return []  # the key of a mapping below: its own name decides
    return _parts(line, *item.span("value"))


def _parts(line: str, start: int, end: int) -> list[tuple[int, int]]:
    """The pieces of a value that are a credential: without quotes and references to variables."""
    while end > start and line[end - 1] in " \t\r":
        end -= 1
    if end - start >= 2 and line[start] in "\"'" and line[end - 1] == line[start]:
        start, end = start + 1, end - 1
    elif end > start and line[start] in "\"'":
        start += 1
    if _compiled(_HARMLESS_VALUE).match(line[start:end]):
        return []
    pieces: list[tuple[int, int]] = []
    at = start
    for reference in _compiled(_VARIABLE).finditer(line, start, end):
        pieces.append((at, reference.start()))
        operator = _compiled(_DEFAULT).match(reference["rest"] or "")
        if operator and "?" not in operator[0]:
            pieces.append((reference.start("rest") + operator.end(), reference.end() - 1))
        at = reference.end()
    pieces.append((at, end))
    return [piece for piece in pieces if piece[1] > piece[0]]


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
