"""Takes the secrets out of what an engine says, before anything else sees it.

A secret becomes a token that says nothing about it and that is the same wherever the same secret stands, so that
"both have the same password" can still be decided, and whether anything changed since the last look. Tokens are made
with a key that lives as long as the process: nobody can try passwords against a saved snapshot.
"""

from __future__ import annotations

import hmac
import re
import secrets as randomness
from functools import cache
from typing import Any

from infra_audit.secrets import MASK, is_secret_key, secret_ranges

__all__ = ["Masker", "is_masked"]

_KEY = randomness.token_bytes(16)
_LEAST = 5
"""A shorter secret is masked where it stands; looking for it everywhere would hit ordinary words."""

_ALSO_SECRET = re.compile(r"(?:^|_)AUTH$|REDISCLI_AUTH|DSN$", re.IGNORECASE)
_TOKEN = re.compile(re.escape(MASK) + r"[0-9a-f]{8}")
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.\-]*)=(.*)", re.DOTALL)
_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
"""How the engine names containers, images and networks, and Compose its configurations."""
_RANDOM = re.compile(r"(?=[^\s]*[0-9])(?=[^\s]*[A-Za-z])[A-Za-z0-9+=_\-]{24,}")
"""What no person would write as a setting: a long run of letters and digits."""


def is_masked(text: str) -> bool:
    """True for a text that holds a token in place of a secret."""
    return _TOKEN.search(text) is not None


class Masker:
    """Learns secrets from data and masks them in data."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        # replicas and what has learned from them say the same many times
        self._parts = cache(_secret_parts)
        self._text = cache(self._masked)

    def token(self, secret: str) -> str:
        """What stands for a secret: ``***`` and eight hex digits."""
        return MASK + hmac.new(_KEY, secret.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:8]

    def learn(self, *secrets: str) -> None:
        """These texts are secrets wherever they stand."""
        new = {text for text in secrets if len(text) >= _LEAST and not is_masked(text)} - self._secrets
        if new:
            self._secrets |= new
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            self._text.cache_clear()

    def learn_from(self, data: Any) -> None:
        """Every secret in JSON data, by the name that it has there or by its looks."""
        self.learn(*self.secrets_in(data))

    def secrets_in(self, data: Any) -> set[str]:
        """The secrets in JSON data. May be asked by several threads at once."""
        found: set[str] = set()
        self._collect(data, "", found)
        return found

    def apply(self, data: Any, key: str = "") -> Any:
        """The data with each secret replaced. Learn first: a secret may stand where nothing tells that it is one."""
        if isinstance(data, str):
            return self._text(data, key, "")
        if isinstance(data, dict):
            return {self._text(name, "", ""): self.apply(child, name) for name, child in data.items()}
        if isinstance(data, list):
            befores = ("", *(item if isinstance(item, str) else "" for item in data))
            return [
                self._text(item, "", before) if isinstance(item, str) else self.apply(item, key)
                for item, before in zip(data, befores, strict=False)
            ]
        return data

    def _masked(self, text: str, key: str, before: str) -> str:
        for start, end in reversed(self._parts(text, key, before)):
            if not is_masked(text[start:end]):
                text = text[:start] + self.token(text[start:end]) + text[end:]
        if self._pattern is not None:
            text = self._pattern.sub(lambda match: self.token(match[0]), text)
        return text

    def _collect(self, data: Any, key: str, found: set[str]) -> None:
        if isinstance(data, str):
            found.update([data[start:end] for start, end in self._parts(data, key, "")])
        elif isinstance(data, dict):
            for name, child in data.items():
                self._collect(child, name, found)
        elif isinstance(data, list):
            before = ""
            for item in data:
                if isinstance(item, str):
                    found.update(item[start:end] for start, end in self._parts(item, "", before))
                    before = item
                else:
                    self._collect(item, key, found)


def _secret_parts(text: str, key: str, before: str) -> list[tuple[int, int]]:
    """Where secrets stand in a text: offsets, sorted."""
    if not text:
        return []
    if key and _is_secret(key):
        return [(0, len(text))]
    if key and _DIGEST.fullmatch(text):
        return []
    assigned = _ASSIGNMENT.match(text)
    if assigned and assigned[2] and (_is_secret(assigned[1]) or _RANDOM.fullmatch(assigned[2])):
        return [assigned.span(2)]
    if "\n" not in text:
        return secret_ranges(text, before)
    parts: list[tuple[int, int]] = []
    start = 0
    for line in text.split("\n"):
        parts += [(start + first, start + last) for first, last in secret_ranges(line, before)]
        before = line
        start += len(line) + 1
    return parts


def _is_secret(key: str) -> bool:
    return is_secret_key(key) or _ALSO_SECRET.search(key) is not None
