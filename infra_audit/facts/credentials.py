"""What is a credential, what is a guessable one, and what only stands in for one.

No function here hands a value on; a fact's text names the key and never what it holds.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = [
    "Part",
    "is_credential_name",
    "is_guessable",
    "is_placeholder",
    "is_written_out",
    "looks_real",
    "url_passwords",
]

_NAME = Pattern(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|(?<![A-Z])PASS|(?<![A-Z])PWD|SECRET|TOKEN|API_?KEY|APP_?KEY|PRIVATE_?KEY|MASTER_?KEY"
    r"|ENCRYPTION_?KEY|SIGNING_?KEY|AUTH_?KEY|SECRET_?KEY(?:_?BASE)?|SECRET_?ACCESS_?KEY|ACCOUNT_?KEY|SALT"
    r"|ERLANG_?COOKIE|TOKEN_ID|CREDENTIALS?)(?:_?\d{1,2})?\Z",
    re.IGNORECASE,
    hints=("pass", "pwd", "secret", "token", "key", "salt", "cookie", "credential"),
)
_NO_NAME = Pattern(
    r"PUBLIC|\AVITE_|\AREACT_APP_|ALLOW_|DISABLE|ENABLE|(?:\A|_)USE_|REQUIRE|SHOW_|RESET_|RANDOM_|(?:\A|_)(?:MAX|MIN|NUM)_|PASSWORDLESS"
    r"|CSRF|CANCEL|(?:\A|_)(?:BY|COM|SUR|TRES)PASS\Z|OLDPWD|\APWD\Z",
    re.IGNORECASE,
)
_SWITCH = Pattern(
    r"(?:true|false|yes|no|on|off|none|null|nil|enabled?|disabled?|required|optional|auto|default|\d{1,3})\Z", re.I
)
_REFERENCE = Pattern(r"[$<{%]|\./|/[\w.\-]+/|~/|file:|https?://|vault:|arn:|secret://|op://", re.IGNORECASE)
_PLACEHOLDER = Pattern(
    r"<.*>\Z|\[.*\]\Z|\{.*\}\Z|x{3,}\Z|\*{3,}\Z|\.{3}|_{3,}\Z|your(?:[-_ ]|[A-Z])"
    r"|(?:todo|fixme|tbd|placeholder|replace|insert|enter|put|fill|set|add)(?:[-_ ]|\Z)"
    r"|.*(?:[-_ ]here|[-_ ]goes[-_ ]here)\Z|.*\b(?:example|placeholder|dummy|redacted)\b",
    re.IGNORECASE,
)
_CHANGE = Pattern(
    r"(?:.*[-_ ])?(?:please[-_ ]?)?(?:change|replace|generate|update)[-_ ]?(?:me|it|this|in|with|before|a)?", re.I
)


@lru_cache(maxsize=4096)
def is_credential_name(name: str) -> bool:
    """True where the value of a variable of this name is a password, a key or a token."""
    return _NAME.search(name) is not None and _NO_NAME.search(name) is None


def is_written_out(value: str) -> bool:
    """True where a credential's value is the credential itself: no reference, switch, path or stand-in."""
    text = value.strip()
    if not text or _SWITCH.match(text) or _REFERENCE.match(text) or text.count(" ") > 1:
        return False
    return _PLACEHOLDER.match(text) is None and not text.startswith(("$2a$", "$2y$", "$argon2", "{SHA"))


def is_placeholder(value: str) -> bool:
    """True where a value only says that one belongs there, or is a word that nobody takes for a secret."""
    text = value.strip()
    return not is_written_out(text) or _CHANGE.match(text) is not None or is_guessable(text)


_COMMON = frozenset(
    (
        "admin",
        "adminpassword",
        "admin123",
        "changeit",
        "default",
        "demo",
        "dev",
        "devpassword",
        "development",
        "elastic",
        "example",
        "grafana",
        "guest",
        "letmein",
        "local",
        "localdev",
        "minio",
        "minio123",
        "minioadmin",
        "mysql",
        "mypassword",
        "openpgpwd",
        "pass",
        "passw0rd",
        "password",
        "postgres",
        "postgresql",
        "qwerty",
        "rabbitmq",
        "redis",
        "root",
        "rootpassword",
        "secret",
        "supersecret",
        "test",
        "testpassword",
        "token",
        "user",
        "welcome",
    )
)
_PARTS = Pattern(r"[^a-z0-9]+")
_WEAK_PART = Pattern(
    r"(?:admin|root|user|test|dev|local|demo|my|your|the|super|secret|password|passw0rd|pass|key|token|changeme|change"
    r"|me|in|this|it|for|prod|production|development|insecure|default|please|database|jwt|db|postgres|redis|mysql"
    r"|minio|rabbitmq|rabbit|app|api|at|least|characters|chars|long|only|and|must|be|very|not|use|random|string"
    r"|32|64|16|a|\d{1,4})*\Z"
)


def is_guessable(value: str) -> bool:
    """True for a password that is on every list: a common word, digits in a row, the words of a default."""
    text = value.strip().lower()
    if not text:
        return False
    bare = _PARTS.sub("", text)
    if bare in _COMMON or bare.rstrip("0123456789!") in _COMMON or text.isdigit():
        return True
    return len(text) < _SHORT or _WEAK_PART.match(bare) is not None or _TELLS.match(text) is not None


_TELLS = Pattern(r"[a-z_\-. ]*(?:password|passwd|secret|changeme)[a-z_\-. ]*\d{0,4}!?\Z|[a-z]{3,10}\d{1,4}!?\Z")
"""Words around "secret", such as the product's name; one word and a number."""
_SHORT = 6
"""Shorter passwords are found by trying them all."""

_TOKENS = Pattern(
    r"AKIA[0-9A-Z]{16}\Z|gh[pousr]_[A-Za-z0-9]{36,}\Z|github_pat_\w{50,}|glpat-[\w\-]{20,}|xox[abprs]-[\w\-]{10,}"
    r"|[sr]k_live_\w{16,}|sk-(?:ant-|proj-)?[\w\-]{32,}|AIza[\w\-]{35}\Z|SG\.[\w\-]{16,}\.[\w\-]{16,}"
    r"|npm_[A-Za-z0-9]{36}\Z|dckr_pat_[\w\-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY|\d{8,10}:AA[\w\-]{33}\Z"
    r"|eyJ[\w\-]{10,}\.[\w\-]{10,}\.[\w\-]+|https://hooks\.slack\.com/services/T\w+/B\w+/\w{16,}"
)
_RANDOM = Pattern(r"[A-Za-z0-9+/=_\-!@#%^&*~.,:;?]{16,}\Z")


def looks_real(name: str, value: str) -> bool:
    """True where a value is surely a secret: the shape of a known token, or a credential's name and chance at work."""
    text = value.strip()
    if _TOKENS.match(text):
        return _has_variety(text)
    if not is_credential_name(name) or is_placeholder(text) or not _RANDOM.match(text):
        return False
    kinds = sum(any(test(char) for char in text) for test in (str.isdigit, str.islower, str.isupper))
    return kinds >= _KINDS and _entropy(text) >= _BITS and _has_variety(text)


_KINDS = 2
_BITS = 3.3
"""Bits per character: 20 random hexadecimal digits have about 3.4, words and repetitions less."""


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _has_variety(text: str) -> bool:
    """False for what a keyboard or a counter makes: abcdef…, 123456…, xxxx."""
    steps = Counter(ord(b) - ord(a) for a, b in pairwise(text))
    return len(set(text)) > 6 and max(steps[1], steps[0]) * 3 < len(text)


class Part(NamedTuple):
    """A piece of a text: a password and the offsets where it stands."""

    text: str
    start: int
    end: int


_URL = Pattern(
    r"[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@\"'{}]*:(?P<password>(?:\$\{[^}]*\}|[^\s@/\"'{}])+)@(?=[\w\[$.{(])",
    hints=("://",),
)
_PAIR = Pattern(
    r"(?:\A|[\s;?&])(?:password|passwd|pwd)\s*=\s*(?P<password>\$\{[^}]*\}|[^\s;&'\"]+)(?=[\s;&]|\Z)",
    re.IGNORECASE,
    hints=("passw", "pwd"),
)


def url_passwords(text: str) -> Sequence[Part]:
    """Passwords in URLs (``scheme://user:password@host``) and connection strings (``password=…``), also variables."""
    if "@" not in text and "=" not in text:
        return ()
    login = ":" in text[text.find("://") + 3 : max(text.rfind("@"), 0)]
    found = [Part(match["password"], *match.span("password")) for match in _URL.finditer(text)] if login else []
    if "=" in text:
        found += [Part(match["password"], *match.span("password")) for match in _PAIR.finditer(text)]
    return found
