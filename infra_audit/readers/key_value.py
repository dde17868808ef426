"""Settings files with a line each: postgresql.conf and rabbitmq.conf.

``name = value`` or ``name value``; "#" starts a comment outside of single quotes, a doubled quote is a
quote. Sources: postgresql.org/docs/current/config-setting.html, rabbitmq.com/docs/configure.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.located import Located
from infra_audit.source import Span

__all__ = ["Entry", "read_entries"]

_LINE = Pattern(
    r"(?m)^[ \t]*(?P<name>[A-Za-z_][\w.\-*$/@:]*)[ \t]*(?:=[ \t]*|[ \t]+)"
    r"(?P<value>'(?:[^'\n]|'')*'|[^#\s][^#\n]*?)[ \t\r]*(?:#.*)?$"
)


class Entry(NamedTuple):
    """One setting: name in lower case, value without quotes, and where the value is written."""

    name: str
    value: str
    span: Span


def read_entries(source: Located) -> Iterator[Entry]:
    """The settings of a file in its order; lines of another form are passed over."""
    for match in _LINE.finditer(source.text):
        value = match["value"]
        if value.startswith("'") and value.endswith("'") and len(value) > 1:
            value = value[1:-1].replace("''", "'")
        yield Entry(match["name"].lower(), value, source.span(*match.span("value")))
