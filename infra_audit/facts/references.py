"""Whom a service names: hosts in environment values, URLs, DSNs and command arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from infra_audit.deployment import Subject
from infra_audit.facts.services import command_words, environment_items, sub_span
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["DEFAULT_SCHEME_PORTS", "Reference", "parse_hosts", "references_of"]


class Reference(NamedTuple):
    """A host that a service names.

    ``form``: url, address (``host:port``), dsn (``host=db port=5432``), or host (a bare name under a
    key that says so). ``port`` is None where none is written and the scheme has no usual one.
    ``written``: where it stands; ``part``: the offsets of the host in that text, None for all of it.
    """

    host: str
    port: int | None
    scheme: str
    form: str
    key: str
    node: Node
    written: Node | Span
    part: tuple[int, int] | None = None

    @property
    def place(self) -> Node | Span:
        """Where the host is written."""
        if self.part is None or not isinstance(self.written, Node):
            return self.written
        return sub_span(self.written, *self.part)


class _Found(NamedTuple):
    host: str
    port: int | None
    scheme: str
    form: str
    start: int
    end: int


DEFAULT_SCHEME_PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "valkey": 6379,
    "postgres": 5432,
    "postgresql": 5432,
    "amqp": 5672,
    "amqps": 5671,
    "mysql": 3306,
    "mariadb": 3306,
    "mongodb": 27017,
    "nats": 4222,
    "http": 80,
    "https": 443,
}
"""Ports that a URL means when it names none."""

_URL = Pattern(
    r"(?<![\w+.\-])(?P<scheme>(?:jdbc:)?[a-zA-Z][\w+.\-]*)://"
    r"(?P<authority>(?:(?!,[a-zA-Z][\w+.\-]*://)[^\s/?#\"'<>;()\\|`])+)",
    hints=("://",),
)
_HOST = r"(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_])?)"
_HOST_PORT = Pattern(rf"{_HOST}(?::(?P<port>[0-9]{{1,5}}))?\Z")
_ADDRESS = Pattern(
    rf"(?:[^\s@/:]+:[^\s@/]*@)?{_HOST}:(?P<port>[0-9]{{2,5}})(?:/[\w\-]*(?:\?[\w\-.=&%]*)?)?\Z", hints=(":",)
)
"""``host:port``, with a database and its options (``db:5432/shop?sslmode=disable``), behind a user and a password."""
_GO_DSN = Pattern(rf"@(?:tcp|tcp4)\({_HOST}(?::(?P<port>[0-9]{{1,5}}))?\)", hints=("@tcp",))
_KEY_VALUE = Pattern(
    rf"(?:\A|[\s;])(?:host|server|data source|addr)\s*=\s*(?:tcp:)?{_HOST}(?=[\s;,:]|\Z)",
    re.IGNORECASE,
    hints=("=",),
)
_KEY_VALUE_PORT = Pattern(r"(?:\A|[\s;])port\s*=\s*(?P<port>[0-9]{1,5})(?=[\s;]|\Z)", re.IGNORECASE)
_NAME = Pattern(rf"{_HOST}\Z")
_HOST_KEY = Pattern(
    r"(?:\A|[_.\-])(?:HOST|HOSTNAME|HOSTS|SERVER|SERVERS|ADDR|ADDRESS|ENDPOINT|BROKER|BROKERS|SEEDS)\Z",
    re.IGNORECASE,
    hints=("host", "server", "addr", "endpoint", "broker", "seeds"),
)
_NO_ADDRESS_KEY = Pattern(
    r"IMAGE|(?:\A|[_.\-])TAG|VERSION|LISTEN|BIND|ADVERTISED|COMMAND|CMD|PORTS?\Z",
    re.IGNORECASE,
    hints=("image", "tag", "version", "listen", "bind", "advertised", "command", "cmd", "port"),
)
_OWN_KEY = Pattern(
    r"\A(?:HOST|HOSTNAME|SERVER|ADDRESS|ADDR|LISTEN\w*|BIND\w*)\Z|(?:VIRTUAL|LETSENCRYPT|PUBLIC|EXTERNAL)_HOST",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def parse_hosts(text: str) -> tuple[_Found, ...]:
    """The hosts in a value: of URLs (several behind one scheme too), addresses and DSNs."""
    return tuple(_hosts(text))


def _hosts(text: str) -> Iterator[_Found]:
    urls = False
    for match in _URL.finditer(text):
        urls = True
        yield from _authority(match)
    for match in _GO_DSN.finditer(text):
        yield _Found(match["host"], _port(match["port"]), "mysql", "dsn", match.start("host"), match.end("host"))
    if urls:
        return
    for match in _KEY_VALUE.finditer(text):
        port = _KEY_VALUE_PORT.search(text)
        yield _Found(
            match["host"], _port(port["port"]) if port else None, "", "dsn", match.start("host"), match.end("host")
        )
    at = 0
    for part in re.split(r"([,;\s]+)", text):
        address = _ADDRESS.match(part)
        if address is not None:
            start = at + address.start("host")
            yield _Found(address["host"], _port(address["port"]), "", "address", start, at + len(part))
        at += len(part)


def _authority(match: re.Match[str]) -> Iterator[_Found]:
    """``user:password@host:port,host2:port2`` of a URL."""
    scheme = match["scheme"].lower()
    name = scheme.rpartition(":")[2].partition("+")[0]
    _, _, hosts = match["authority"].rpartition("@")
    start = match.end("authority") - len(hosts)
    for part in hosts.split(","):
        found = _HOST_PORT.match(part)
        if found is not None:
            port = _port(found["port"]) or DEFAULT_SCHEME_PORTS.get(name)
            yield _Found(found["host"], port, name, "url", start, start + len(part))
        start += len(part) + 1


def _port(text: str | None) -> int | None:
    return int(text) if text and 0 < int(text) < 65536 else None


def references_of(service: Subject) -> list[Reference]:
    """All hosts that a service names in its environment and its command; computed once."""
    known = service.cache.get("(references)")
    if not isinstance(known, list):
        known = service.cache["(references)"] = [*_of_environment(service), *_of_command(service)]
    return known


def _of_environment(service: Subject) -> Iterator[Reference]:
    variables = dict(environment_items(service))
    for name, node in variables.items():
        if node.value is None or not node.is_scalar:
            continue
        text = str(node.value)
        key = f"environment {name}"
        takes_address, takes_host = _taken_by(name)
        for found in parse_hosts(text):
            if found.form != "address" or takes_address:
                yield _reference(found, key, node)
        if takes_host and _NAME.match(text) and not text.isdigit():
            port = variables.get(re.sub(r"(?:HOSTNAME|HOST|SERVER|ADDRESS|ADDR)\Z", "PORT", name))
            number = _port(str(port.value)) if port is not None and str(port.value).isdigit() else None
            yield Reference(text, number, "", "host", key, node, node)


@lru_cache(maxsize=4096)
def _taken_by(name: str) -> tuple[bool, bool]:
    """Whether a variable of this name may hold an address (``host:port``), and a bare host."""
    return _NO_ADDRESS_KEY.search(name) is None, bool(_HOST_KEY.search(name)) and not _OWN_KEY.search(name)


def _of_command(service: Subject) -> Iterator[Reference]:
    for word in command_words(service):
        node = word.place if isinstance(word.place, Node) else None
        text = word.text
        if text.startswith("-") and "=" in text:
            text = text.partition("=")[2]
        offset = len(word.text) - len(text)
        for found in parse_hosts(text):
            if " " in text and found.form == "address":
                continue
            part = (offset + found.start, offset + found.end)
            host, port, scheme, form = found[:4]
            yield Reference(host, port, scheme, form, "command", node or service.node, word.place, part)


def _reference(found: _Found, key: str, node: Node) -> Reference:
    part = None if HOLE in str(node.value) else (found.start, found.end)
    return Reference(found.host, found.port, found.scheme, found.form, key, node, node, part)
