"""How a PostgreSQL server is started, and every setting that it is given on the way.

The ways: ``-c name=value``, ``--name=value`` and short options of the command (also in ``sh -c``), a
configuration file that ``config_file`` names or that is mounted where the image reads it, with
``include``, ``include_if_exists`` and ``include_dir``, and the variables of Bitnami's image. The
command wins over the file. Source: postgresql.org/docs/current/app-postgres.html.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.services import Word, command_words, environment, sub_span
from infra_audit.named import NamedTuple
from infra_audit.readers.key_value import read_entries
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["Given", "Server", "server_of"]


class Given(NamedTuple):
    """A setting that the files give; ``why`` is set where its value is not known."""

    name: str
    value: str
    place: Node | Span
    via: str
    why: str = ""


class Server(NamedTuple):
    """The settings of a server by name, the last one that counts; ``gap``: why others may be set elsewhere, or ""."""

    settings: dict[str, Given]
    gap: str


_SHORT = {"-B": "shared_buffers", "-N": "max_connections", "-p": "port", "-S": "work_mem"}
_FILES = (
    "/var/lib/postgresql/data/postgresql.conf",
    "/var/lib/postgresql/data/pgdata/postgresql.conf",
    "/opt/bitnami/postgresql/conf/postgresql.conf",
    "/bitnami/postgresql/conf/postgresql.conf",
)
_FOLDERS = ("/opt/bitnami/postgresql/conf/conf.d", "/bitnami/postgresql/conf/conf.d")
_BITNAMI = {
    "POSTGRESQL_MAX_CONNECTIONS": "max_connections",
    "POSTGRESQL_SHARED_PRELOAD_LIBRARIES": "shared_preload_libraries",
    "POSTGRESQL_PORT_NUMBER": "port",
}


def server_of(service: Subject) -> Server | None:
    """The settings of the service's server, read once; None where its image is not known to run PostgreSQL."""
    product = evaluate(service, "service.product")
    if not isinstance(product, Known) or product.value != "postgres":
        return None
    known = service.cache.get("(postgres start)")
    if not isinstance(known, Server):
        known = service.cache["(postgres start)"] = _read(service)
    return known


def _read(service: Subject) -> Server:
    command = list(_of_command(service))
    named = next((one for one in reversed(command) if one.name == "config_file"), None)
    files = ContainerFiles(service)
    settings: dict[str, Given] = {}
    gap = ""
    paths = [named.value] if named is not None else [path for path in _FILES if files.mount(path) is not None][:1]
    for path in paths:
        if HOLE in path:
            gap = "its configuration file's path rests on a variable"
            continue
        try:
            _file(files, path, settings, ())
        except InfraAuditError as error:
            if named is not None:
                gap = f"its configuration: {error}"
    for folder in _FOLDERS:
        if files.mount(folder) is not None:
            _folder(files, folder, settings, ())
    for variable, name in _BITNAMI.items():
        node = environment(service, variable)
        if node is not None and node.value:
            settings[name] = _given(name, str(node.value), node, variable)
    for one in command:
        settings[one.name] = one
    return Server(settings, gap)


def _file(files: ContainerFiles, path: str, settings: dict[str, Given], chain: tuple[str, ...]) -> None:
    if path in chain:
        return
    folder = posixpath.dirname(path)
    for entry in read_entries(files.open(path)):
        target = posixpath.normpath(posixpath.join(folder, entry.value))
        try:
            if entry.name in ("include", "include_if_exists"):
                _file(files, target, settings, (*chain, path))
                continue
            if entry.name == "include_dir":
                _folder(files, target, settings, (*chain, path))
                continue
        except InfraAuditError:
            continue
        settings[entry.name] = Given(entry.name, entry.value, entry.span, posixpath.basename(path))


def _folder(files: ContainerFiles, folder: str, settings: dict[str, Given], chain: tuple[str, ...]) -> None:
    try:
        for name in files.listing(folder):
            if name.endswith(".conf") and not name.startswith("."):
                _file(files, posixpath.join(folder, name), settings, chain)
    except InfraAuditError:
        return


def _given(name: str, value: str, place: Node | Span, via: str) -> Given:
    why = ""
    if HOLE in value:
        why = place.why_unknown() if isinstance(place, Node) else "a variable has no value in the files"
    return Given(name, value, place, via, why)


def _of_command(service: Subject) -> Iterator[Given]:
    words = command_words(service)
    index = 0
    while index < len(words):
        word = words[index]
        following = words[index + 1] if index + 1 < len(words) else None
        index += 1
        if word.text in ("-c", "--c") and following is not None:
            index += 1
            yield from _assignment(following, 0)
        elif word.text in _SHORT and following is not None:
            index += 1
            yield _given(_SHORT[word.text], following.text, following.place, "the command")
        elif word.text.startswith("-c") and "=" in word.text:
            yield from _assignment(word, 2)
        elif word.text.startswith("--") and "=" in word.text:
            yield from _assignment(word, 2)


def _assignment(word: Word, start: int) -> Iterator[Given]:
    name, equals, value = word.text[start:].partition("=")
    if not equals:
        return
    place = word.place
    if isinstance(place, Node) and HOLE not in word.text:
        place = sub_span(place, len(word.text) - len(value), len(word.text))
    yield _given(name.strip().lower().replace("-", "_"), value.strip().strip("'"), place, "the command")
