"""Facts about who may use a Redis or Valkey server: passwords, ACL users, loopback."""

from __future__ import annotations

from collections.abc import Sequence

from infra_audit.deployment import Subject
from infra_audit.errors import ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.redis import running_server, setting
from infra_audit.facts.redis_start import Setting, Start
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, fact
from infra_audit.tree import HOLE, Node

__all__: list[str] = []


@fact("redis.password", on="service")
def password(service: Subject) -> Fact[bool | None]:
    """True where clients must name a password: requirepass, or a default user that has one or is off.

    None without a server, and where the server listens on loopback or on a socket alone.
    """
    start = running_server(service)
    if start is None or _is_private(service):
        return Known(None, service.node)
    found = start.last("requirepass")
    if found is not None and found.name == "requirepass" and _certainly_filled(found):
        return Known(True, found.place)
    user = _default_user(service, start)
    if user is not None:
        return user
    if found is not None and found.why:
        return Unknown(found.why if found.name == "*" else f"requirepass: {found.why}")
    if found is not None and found.words and found.words[0]:
        return Known(True, found.place)
    unread = _unread_password(service, start)
    where = found.place if found is not None else (service.node.get("image") or service.node)
    return Known(False, *((Evidence(unread, "set, and this image does not read it"),) if unread else ()), where)


def _certainly_filled(found: Setting) -> bool:
    """True where something of the value is there whatever a variable adds, or where Compose insists on the variable."""
    return bool(found.words) and (bool(found.words[0].replace(HOLE, "")) or found.insisted)


def _is_private(service: Subject) -> bool:
    """True where no other container can connect: bound to loopback, or no port at all."""
    bind, port = setting(service, "bind"), setting(service, "port")
    if isinstance(port, Known) and port.value == "0":
        tls = setting(service, "tls-port")
        return isinstance(tls, Known) and tls.value in (None, "0")
    if not isinstance(bind, Known) or not bind.value:
        return False
    return all(address.lstrip("-") in ("127.0.0.1", "::1", "localhost") for address in str(bind.value).split())


def _default_user(service: Subject, start: Start) -> Fact[bool | None] | None:
    """What ACL rules say of the user that clients are before they log in; None where there are none."""
    for line in reversed(start.all("user")):
        if line.name == "user" and line.words[:1] == ("default",):
            return Known(_is_protected(line.words[1:]), line.place)
    acl = start.last("aclfile")
    if acl is None or acl.name != "aclfile" or not acl.words:
        return None
    if acl.why:
        return Unknown(f"aclfile: {acl.why}")
    try:
        source = ContainerFiles(service).open(acl.words[0])
    except (Undecidable, ReadError) as error:
        return Unknown(f"the ACL file {acl.words[0]}: {error.message}")
    for text in reversed(source.text.splitlines()):
        words = text.split()
        if words[:2] == ["user", "default"]:
            return Known(_is_protected(words[2:]), acl.place)
    return None


def _is_protected(rules: Sequence[str]) -> bool:
    state = False
    for rule in rules:
        if rule in ("nopass", "reset"):
            state = False
        elif rule == "off" or rule.startswith((">", "#")):
            state = True
    return state


def _unread_password(service: Subject, start: Start) -> Node | None:
    """A password in the environment of an image that does not look at it."""
    if start.flavour is None or start.flavour.prefix:
        return None
    for name in ("REDIS_PASSWORD", "VALKEY_PASSWORD", "REDIS_PASS", "REDIS_REQUIREPASS"):
        node = service.node.get("environment", name)
        if node is not None and node.value:
            return node
    return None


@fact("redis.password_unread", on="service")
def password_unread(service: Subject) -> Fact[str | None]:
    """The environment variable that sets a password which nothing reads; None where there is none."""
    start = running_server(service)
    node = _unread_password(service, start) if start else None
    if node is None:
        return Known(None, service.node)
    names = [name for name, child in (service.node.get("environment") or node).items() if child is node]
    return Known(names[0] if names else None, node)
