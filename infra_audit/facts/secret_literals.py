"""Facts about credentials that stand in the files themselves. No fact's text holds a credential's value."""

from __future__ import annotations

from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.credentials import (
    is_credential_name,
    is_placeholder,
    is_written_out,
    looks_real,
    url_passwords,
)
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.services import environment_items, raw_words, sub_span
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.env import read_env
from infra_audit.source import Span
from infra_audit.tree import Node

__all__: list[str] = []


class _Found(NamedTuple):
    """A credential that is written in the files: what it is, its text, and where it stands."""

    what: str
    text: str
    place: Node | Span


_CHOSEN = ("variable", "default", "unset", "required")


def _is_plain(node: Node) -> bool:
    """True where no variable of Compose has a part in the value."""
    return not node.hops or not any(hop.kind in _CHOSEN for hop in node.hops)


def _from_env_file(node: Node) -> bool:
    return bool(node.hops) and any(hop.kind == "env_file" for hop in node.hops)


def _written(service: Subject) -> Iterator[_Found]:
    """Credentials of a service's environment, build arguments and command, as far as no variable gives them."""
    arguments = service.node.get("build", "args")
    pairs = [*environment_items(service), *(arguments.items() if arguments is not None else ())]
    for name, node in pairs:
        if node.value is None or not node.is_scalar or _from_env_file(node):
            continue
        text = str(node.value)
        if is_credential_name(name):
            if _is_plain(node):
                yield _Found(name, text, node)
        elif _is_plain(node):
            for part in url_passwords(text):
                yield _Found(f"the password in {name}", part.text, sub_span(node, part.start, part.end))
        else:
            yield from _beside_variables(name, node)
    yield from _in_words(service)


def _beside_variables(name: str, node: Node) -> Iterator[_Found]:
    """A literal password in a URL whose other parts are variables."""
    written = node.span.text
    for part in url_passwords(written):
        if "$" not in part.text:
            yield _Found(f"the password in {name}", part.text, node.span.part(part.start, part.end))


_OPTION = Pattern(
    r"--?(?:requirepass|masterauth|[\w.\-]*(?:password|passwd|secret|token|api-?key))(?P<equals>=(?P<value>.*))?\Z"
)


def _in_words(service: Subject) -> Iterator[_Found]:
    words = raw_words(service)
    for index, word in enumerate(words):
        node = word.place if isinstance(word.place, Node) else None
        if node is None or not _is_plain(node):
            continue
        option = _OPTION.match(word.text)
        if option is not None and option["equals"]:
            yield _Found(f"the value of {word.text.partition('=')[0]}", option["value"], node)
        elif option is not None and index + 1 < len(words) and not words[index + 1].text.startswith("-"):
            value = words[index + 1]
            if isinstance(value.place, Node) and _is_plain(value.place):
                yield _Found(f"the value of {word.text}", value.text, value.place)
        for part in url_passwords(word.text):
            yield _Found("the password in the command", part.text, sub_span(node, part.start, part.end))


@fact("deployment.literal_secrets", on="deployment")
def literal_secrets(deployment: Subject) -> Fact[list[Item]]:
    """Credentials written out in environment, build arguments and commands, and defaults that are no common word."""
    items: list[Item] = []
    for service in deployment.deployment.subjects("service"):
        owner = ("service", service.name)
        written = [(one.what, one.place) for one in _written(service) if is_written_out(one.text)]
        written += [
            (f"the default of {one.what}", one.place) for one in _defaults(service) if not is_placeholder(one.text)
        ]
        items += [Item(what, (Evidence(place),), owner) for what, place in written]
    return Known(items, deployment.node)


# -- defaults ------------------------------------------------------------------------------------

_DEFAULT = Pattern(r"\$\{(?P<name>\w+):?-(?P<default>[^{}]*)\}")


def _defaults(service: Subject) -> list[_Found]:
    """Defaults that stand beside variables of credentials: ``${DB_PASSWORD:-postgres}``; read once."""
    known = service.cache.get("(defaults)")
    if not isinstance(known, list):
        known = service.cache["(defaults)"] = list(_find_defaults(service))
    return known


def _find_defaults(service: Subject) -> Iterator[_Found]:
    arguments = service.node.get("build", "args")
    named = [*environment_items(service), *(arguments.items() if arguments is not None else ())]
    nodes = [*named, *(("", word.place) for word in raw_words(service) if isinstance(word.place, Node))]
    told: set[tuple[int, int]] = set()
    for name, node in nodes:
        if _is_plain(node) or _from_env_file(node):
            continue
        written = node.span.text
        for match in _DEFAULT.finditer(written):
            alone = match.end() - match.start() >= len(written.strip("\"' ").partition("=")[2] or written.strip("\"' "))
            named_so = is_credential_name(match["name"]) or (alone and is_credential_name(name))
            if not named_so or not is_written_out(match["default"]):
                continue
            place = node.span.part(match.start("default"), match.end("default"))
            if place[1:3] not in told:
                told.add(place[1:3])
                yield _Found(match["name"], match["default"], place)


@fact("service.weak_defaults", on="service")
def weak_defaults(service: Subject) -> Fact[list[Item]]:
    """Variables of credentials with a default that anybody guesses."""
    items = [Item(found.what, (Evidence(found.place),)) for found in _defaults(service) if is_placeholder(found.text)]
    return Known(items, service.node)


# -- env files -----------------------------------------------------------------------------------


def _env_files(deployment: Subject) -> list[str]:
    """The env files that the deployment reads: for variables, and as the environment of services."""
    whole = deployment.deployment
    paths = [*whole.env_files]
    for service in whole.subjects("service"):
        files = service.node.get("env_file")
        for entry in files.entries() if files is not None else ():
            path = entry.get("path") or entry
            if isinstance(path.value, str):
                paths.append(path.value)
    return list(dict.fromkeys(paths))


@fact("deployment.tracked_secrets", on="deployment")
def tracked_secrets(deployment: Subject) -> Fact[list[Item]]:
    """Credentials in env files that the deployment reads and that are under version control."""
    reader = deployment.deployment.reader
    items: list[Item] = []
    for path in _env_files(deployment):
        try:
            entries = read_env(reader.read(path)) if reader.exists(path) else []
        except InfraAuditError:
            continue
        found = [entry for entry in entries if entry.value and _is_secret(entry.key, entry.value)]
        if not found:
            continue
        tracked = reader.is_tracked(path)
        if tracked is None:
            shown = found[0].span.source.path
            items.append(Item(f"{shown} holds credentials; no repository says whether it is shared", (), unknown=True))
        elif tracked:
            items += [Item(entry.key, (Evidence(entry.span),)) for entry in found]
    return Known(items, deployment.node)


def _is_secret(key: str, value: str) -> bool:
    if is_credential_name(key):
        return not is_placeholder(value)
    passwords = (part.text for part in url_passwords(value))
    return looks_real(key, value) or any("$" not in text and not is_placeholder(text) for text in passwords)
