"""Where a proxy sends requests: hosts in mounted nginx, HAProxy and Traefik configurations."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from infra_audit.deployment import Subject
from infra_audit.errors import ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.services import command_words, environment
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.located import Located
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source, Span
from infra_audit.tree import HOLE, Node

if TYPE_CHECKING:
    from infra_audit.readers.nginx import Directive

__all__ = ["Listen", "Upstream", "Upstreams", "upstreams_of"]


class Upstream(NamedTuple):
    """A host that a proxy sends requests to. ``why``: what is unknown of it, "" where it is known."""

    host: str
    port: int | None
    place: Node | Span
    what: str
    why: str = ""


class Listen(NamedTuple):
    """A port that the proxy's own files say it listens on."""

    port: int
    place: Node | Span


class Upstreams(NamedTuple):
    """All that was read. ``gaps``: files that could not be, and why. ``complete``: all listeners are in ``listens``."""

    upstreams: tuple[Upstream, ...] = ()
    listens: tuple[Listen, ...] = ()
    gaps: tuple[str, ...] = ()
    complete: bool = False


_NGINX_ROOTS = ("/etc/nginx/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf")
_NGINX_FOLDERS = ("/etc/nginx/conf.d", "/etc/nginx/templates")
_HAPROXY = ("/usr/local/etc/haproxy/haproxy.cfg", "/etc/haproxy/haproxy.cfg")
_TRAEFIK = ("/etc/traefik/traefik.yml", "/etc/traefik/traefik.yaml", "/traefik.yml", "/traefik.yaml")
_PASS = frozenset(("proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"))
_VARIABLE = Pattern(r"\$\{(\w+)\}")
_NGINX_VARIABLE = Pattern(r"\$(?:(\w+)|\{(\w+)\})")
_ADDRESS = Pattern(r"(?:[a-z]+://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\s\[\]]+)(?::(?P<port>[0-9]+))?(?:/.*)?\Z")


def upstreams_of(service: Subject) -> Upstreams:
    """What the proxy configurations that a service mounts say; computed once."""
    known = service.cache.get("(upstreams)")
    if not isinstance(known, Upstreams):
        known = service.cache["(upstreams)"] = _read(service)
    return known


_WAYS_IN = ("volumes", "configs", "secrets", "command", "entrypoint")
"""Keys of a service by which a configuration comes to a proxy."""


def _read(service: Subject) -> Upstreams:
    if not any(service.node.get(key) for key in _WAYS_IN):
        return Upstreams()
    files = ContainerFiles(service)
    if any(mount.target.startswith(("/etc/nginx", "/usr/local/openresty/nginx/conf")) for mount in files.mounts):
        return _Nginx(service, files).read()
    haproxy = next((path for path in _HAPROXY if files.mount(path)), None)
    if haproxy:
        return _read_haproxy(service, files, haproxy)
    return _read_traefik(service, files)


def _filled(service: Subject, text: str) -> tuple[str, str]:
    """A text with ``${NAME}`` of the service's environment filled in, and what is unknown of it."""
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        node = environment(service, match[1])
        if node is None or node.value is None or HOLE in str(node.value):
            missing.append(match[1])
            return match[0]
        return str(node.value)

    filled = _VARIABLE.sub(value, text)
    return filled, f"{', '.join(missing)} has no value in the files" if missing else ""


def _target(service: Subject, text: str, place: Node | Span, what: str) -> Upstream | None:
    """The host that an address names; None for sockets and what is no address."""
    filled, why = _filled(service, text)
    if why or "$" in filled or "{{" in filled:
        return Upstream("", None, place, what, why or f"{text} rests on a variable")
    if filled.startswith("unix:") or "://unix:" in filled:
        return None
    match = _ADDRESS.match(filled)
    if match is None:
        return None
    return Upstream(match["host"], int(match["port"]) if match["port"] else None, place, what)


# -- nginx --------------------------------------------------------------------------------------


class _Nginx:
    """nginx starts from nginx.conf and follows ``include``; without a mounted one from conf.d and templates."""

    def __init__(self, service: Subject, files: ContainerFiles) -> None:
        self.service = service
        self.files = files
        self.gaps: list[str] = []
        self.directives: list[Directive] = []
        self.seen: set[str] = set()

    def read(self) -> Upstreams:
        root = next((path for path in _NGINX_ROOTS if self._is_file(path)), None)
        if root is not None:
            self._file(root)
        else:
            for folder in _NGINX_FOLDERS:
                self._folder(folder)
        return self._result(complete=root is not None or self._replaces_the_default())

    def _replaces_the_default(self) -> bool:
        """True where the only server that nginx images bring, in conf.d/default.conf, gives way to a mounted one."""
        default = "/etc/nginx/conf.d/default.conf"
        return self.files.mount(default) is not None or "/etc/nginx/templates/default.conf.template" in self.seen

    def _is_file(self, path: str) -> bool:
        mount = self.files.mount(path)
        if mount is None:
            return False
        try:
            self.files.open(path)
        except ReadError:
            return mount.target == path
        except Undecidable:
            return True
        return True

    def _folder(self, folder: str) -> None:
        ending = ".template" if folder.endswith("/templates") else ".conf"
        try:
            names = self.files.listing(folder)
        except Undecidable as error:
            self.gaps.append(error.message)
            return
        for name in names:
            if name.endswith(ending):
                self._file(f"{folder}/{name}")

    def _file(self, path: str) -> None:
        if path in self.seen:
            return
        self.seen.add(path)
        from infra_audit.readers.nginx import read_nginx, walk  # few services have an nginx

        try:
            read = read_nginx(self.files.open(path))
        except Undecidable as error:
            self.gaps.append(error.message)
            return
        except ReadError as error:
            self.gaps.append(f"{path} cannot be read: {error}")
            return
        self.directives.extend(read)
        for directive in walk(read):
            if directive.name.text == "include" and directive.words:
                self._include(directive.words[0].text)

    def _include(self, pattern: str) -> None:
        pattern = posixpath.normpath(posixpath.join("/etc/nginx", pattern))
        if posixpath.dirname(pattern) == "/etc/nginx/conf.d":
            self._folder("/etc/nginx/templates")
        if not any(char in pattern for char in "*?["):
            if self.files.mount(pattern) is not None:
                self._file(pattern)
            return
        try:
            found = self.files.glob(pattern)
        except Undecidable as error:
            self.gaps.append(error.message)
            return
        for path in found:
            self._file(path)

    def _result(self, *, complete: bool) -> Upstreams:
        from infra_audit.readers.nginx import walk

        every = [directive for top in self.directives for directive in walk((top,))]
        groups = {directive.words[0].text for directive in every if _is_upstream(directive)}
        constants = _constants(every)
        found: list[Upstream] = []
        listens: list[Listen] = []
        for directive in every:
            name = directive.name.text
            if _is_upstream(directive):
                found += self._servers(directive)
            elif name in _PASS and directive.words:
                found += self._passed(directive, groups, constants)
            elif name == "listen" and directive.words:
                port = _listen_port(directive.words[0].text)
                if port is None:
                    complete = complete and directive.words[0].text.startswith("unix:")
                else:
                    listens.append(Listen(port, directive.words[0].span))
        return Upstreams(tuple(found), tuple(listens), tuple(self.gaps), complete and not self.gaps)

    def _servers(self, group: Directive) -> Iterator[Upstream]:
        for inner in group.block or ():
            if inner.name.text == "server" and inner.words:
                word = inner.words[0]
                target = _target(self.service, word.text, word.span, f"upstream {group.words[0].text}")
                if target is not None:
                    yield target

    def _passed(self, directive: Directive, groups: set[str], constants: Mapping[str, str]) -> Iterator[Upstream]:
        word = directive.words[0]
        text = _NGINX_VARIABLE.sub(lambda match: constants.get(match[1] or match[2], match[0]), word.text)
        target = _target(self.service, text, word.span, directive.name.text)
        if target is None or (target.host in groups and not target.why):
            return
        if not target.why and self.gaps and "." not in target.host:
            why = f"{target.host} may be an upstream of a file that is not known: {self.gaps[0]}"
            target = target._replace(why=why)
        yield target


def _constants(directives: Iterable[Directive]) -> dict[str, str]:
    """Variables to which ``set`` gives one and the same text wherever it stands.

    The usual way to make nginx resolve a host at each request: ``set $api http://api:8000;
    proxy_pass $api;``.
    """
    values: dict[str, set[str]] = {}
    for directive in directives:
        if directive.name.text == "set" and len(directive.words) == 2:
            name, value = (word.text for word in directive.words)
            values.setdefault(name.removeprefix("$"), set()).add(value)
    return {name: texts.pop() for name, texts in values.items() if len(texts) == 1}


def _is_upstream(directive: Directive) -> bool:
    return directive.name.text == "upstream" and directive.block is not None and len(directive.words) == 1


def _listen_port(text: str) -> int | None:
    """The port of ``listen 80``, ``[::]:80`` or ``127.0.0.1:80``; 80 where only an address stands."""
    if text.isdigit():
        return int(text)
    _, colon, port = text.rpartition(":")
    if colon and port.isdigit():
        return int(port)
    return None if text.startswith("unix:") or "$" in text else 80


# -- HAProxy ------------------------------------------------------------------------------------


def _read_haproxy(service: Subject, files: ContainerFiles, path: str) -> Upstreams:
    from infra_audit.readers.haproxy import read_haproxy  # few services have one

    try:
        source = files.open(path)
    except (Undecidable, ReadError) as error:
        return Upstreams(gaps=(f"{path}: {error.message}",))
    found: list[Upstream] = []
    listens: list[Listen] = []
    for line in read_haproxy(source):
        words = line.words
        kind = words[0].text
        at = {"server": 2, "server-template": 3, "bind": 1}.get(kind)
        if at is None or len(words) <= at:
            continue
        word = words[at]
        if kind == "bind":
            listens += [Listen(int(port), word.span) for port in re.findall(r":(\d+)(?=,|\Z)", word.text)]
            continue
        name = re.sub(r"\A(?:ipv4|ipv6)@", "", word.text)
        if line.section[0] not in ("backend", "listen", "defaults") or "@" in name:
            continue
        target = _target(service, name, word.span, f"{line.section[0]} {line.section[1]}")
        if target is not None:
            found.append(target)
    return Upstreams(tuple(found), tuple(listens), (), bool(listens))


# -- Traefik ------------------------------------------------------------------------------------


def _read_traefik(service: Subject, files: ContainerFiles) -> Upstreams:
    found: list[Upstream] = []
    gaps: list[str] = []
    for path in _traefik_files(service, files, gaps):
        if path.endswith(".toml"):
            gaps.append(f"{path} is TOML, which is not read")
            continue
        try:
            source = files.open(path)
            found += _traefik_servers(service, source)
        except Undecidable as error:
            gaps.append(error.message if path in error.message else f"{path}: {error.message}")
        except ReadError as error:
            gaps.append(f"{path} cannot be read: {error}")
    return Upstreams(tuple(found), (), tuple(gaps))


def _traefik_files(service: Subject, files: ContainerFiles, gaps: list[str]) -> list[str]:
    """Files of the file provider, named by options or by the static configuration."""
    places: list[str] = []
    for word in command_words(service):
        match = re.match(r"--providers\.file\.(?:filename|directory)=(.+)", word.text, re.IGNORECASE)
        if match and HOLE in match[1]:
            why = word.place.why_unknown() if isinstance(word.place, Node) else "a variable is not set"
            gaps.append(f"where Traefik's file provider reads is not known: {why}")
        elif match:
            places.append(match[1])
    static = next((path for path in _TRAEFIK if files.mount(path)), None)
    if static:
        try:
            source = files.open(static)
            for root in read_yaml(source) if isinstance(source, Source) else ():
                for key in ("filename", "directory"):
                    node = root.get("providers", "file", key)
                    places += [str(node.value)] if node is not None and node.value else []
        except Undecidable as error:
            gaps.append(error.message)
        except ReadError as error:
            gaps.append(f"{static} cannot be read: {error}")
    found: list[str] = []
    for place in places:
        if place.endswith((".yml", ".yaml", ".toml")):
            found.append(place)
            continue
        try:
            names = files.listing(place)
        except Undecidable as error:
            gaps.append(error.message)
            continue
        found += [f"{place.rstrip('/')}/{name}" for name in names if name.endswith((".yml", ".yaml", ".toml"))]
    return found


def _traefik_servers(service: Subject, source: Located) -> Iterator[Upstream]:
    if not isinstance(source, Source):
        raise Undecidable("it is written inside the Compose file")
    if "{{" in source.text:
        raise Undecidable("it is a template")
    for root in read_yaml(source):
        for protocol, key in (("http", "url"), ("tcp", "address"), ("udp", "address")):
            services = root.get(protocol, "services")
            for name, node in services.items() if services else ():
                servers = node.get("loadBalancer", "servers")
                for server in servers.entries() if servers else ():
                    address = server.get(key)
                    if address is None or not isinstance(address.value, str):
                        continue
                    target = _target(service, address.value, address, f"service {name}")
                    if target is not None:
                        yield target
