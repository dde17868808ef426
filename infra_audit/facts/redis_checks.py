"""What a Redis or Valkey server refuses in its settings, and which of them differ from the plan."""

from __future__ import annotations

from typing import Any

from infra_audit.deployment import Subject
from infra_audit.facts.redis import running_server, setting
from infra_audit.facts.redis_directives import (
    ACCUMULATING,
    canonical,
    complaint,
    is_known,
    is_newer,
    normal,
    normal_plan,
    similar,
    written_size,
)
from infra_audit.facts.redis_images import version_of
from infra_audit.facts.redis_start import Setting, Start
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact
from infra_audit.plan import MISSING, Bound
from infra_audit.tree import HOLE

__all__: list[str] = []


@fact("redis.setting_problems", on="service")
def setting_problems(service: Subject) -> Fact[list[Item]]:
    """What the server refuses in its settings, and directives that contradict themselves in one file."""
    start = running_server(service)
    if start is None:
        return Known([])
    items = [Item(trouble.message, (Evidence(trouble.place),)) for trouble in start.troubles]
    newer = is_newer(start.flavour.product if start.flavour else "", version_of(service))
    for line in start.settings:
        if line.name == "*" or HOLE in line.written:
            continue
        if not is_known(line.written):
            items += _unknown_directive(line, newer)
        elif not line.why:
            wrong = complaint(line.written, line.words)
            if wrong:
                items.append(Item(wrong, (Evidence(line.place),)))
    return Known(items + _contradictions(start))


def _unknown_directive(line: Setting, newer: bool) -> list[Item]:
    """A directive that no known version has: a finding, or undecided where a newer server may have it."""
    meant = similar(line.written)
    hint = f"; did you mean {meant}?" if meant else ""
    if newer and not meant:
        return [
            Item(
                f"{line.written} is not known up to Redis 7.4 and Valkey 8.0, the image may be newer", (), unknown=True
            )
        ]
    return [Item(f"there is no directive {line.written}{hint}", (Evidence(line.key or line.place),))]


def _contradictions(start: Start) -> list[Item]:
    items = []
    first: dict[tuple[str, str], Setting] = {}
    for line in start.settings:
        if line.name == "*" or line.why or line.name in ACCUMULATING or line.scope == "environment":
            continue
        earlier = first.setdefault((line.scope, line.name), line)
        old, new = normal(line.name, earlier.words), normal(line.name, line.words)
        if old != new:
            shown = (
                ""
                if line.name in ("requirepass", "masterauth")
                else f": {' '.join(earlier.words)}, then {' '.join(line.words)}"
            )
            places = (Evidence(line.place), Evidence(earlier.place, "first set here"))
            items.append(Item(f"{line.written} is set twice{shown}; the last one counts", places))
            first[line.scope, line.name] = line
    return items


@fact("redis.settings_off_plan", on="service")
def settings_off_plan(service: Subject) -> Fact[list[Item]]:
    """Each setting that differs from what the plan documents for the service's role."""
    plan = service.deployment.plan
    wanted = plan.lookup(service, "settings") if plan else MISSING
    if wanted is MISSING or not isinstance(wanted, dict):
        return Known([])
    start = running_server(service)
    if start is None:
        return Known([])
    items = [_off_plan(service, start, name, Bound.of(value).value) for name, value in wanted.items()]
    return Known([item for item in items if item is not None])


def _off_plan(service: Subject, start: Start, name: str, value: Any) -> Item | None:
    wanted = normal_plan(name, value)
    found = setting(service, canonical(name))
    if isinstance(found, Unknown):
        return Item(f"{name}: {found.why}", (), unknown=True)
    if found.value == wanted:
        return None
    line = start.last(canonical(name))
    given = "" if line is not None else ", the default"
    have = "not set" if found.value is None else _shown(name, found.value) + given
    place = line.place if line is not None else service.node
    return Item(f"{name} is {have}", (Evidence(place),), expected=_shown(name, wanted))


def _shown(name: str, value: str) -> str:
    if canonical(name) in ("requirepass", "masterauth"):
        return "***"
    sizes = ("maxmemory", "repl-backlog-size", "auto-aof-rewrite-min-size", "client-query-buffer-limit")
    return written_size(int(value)) if canonical(name) in sizes and value.isdigit() else value or '""'
