"""Who talks to which datastore, with which user and password, and with how many connections.

A client names the datastore in a URL or connection string of its environment or command, or by a host
variable beside which the user and the password have variables of their own (DB_HOST, DB_PASSWORD).
"""

from __future__ import annotations

import json
import os
import re
from functools import cache

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.credentials import is_credential_name
from infra_audit.facts.references import DEFAULT_SCHEME_PORTS, Reference, references_of
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.services import environment, environment_items
from infra_audit.facts.topology import topology_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["Account", "Connection", "accounts_of", "clients_of", "has_other_credentials", "pool_names"]

_SCHEMES = {
    "postgres": ("postgres", "postgresql", "pgsql", "postgis"),
    "mysql": ("mysql", "mysql2", "mariadb"),
    "mariadb": ("mysql", "mysql2", "mariadb"),
    "mongodb": ("mongodb",),
    "rabbitmq": ("amqp", "amqps", "pyamqp", "rabbitmq"),
    "redis": ("redis", "rediss"),
    "valkey": ("redis", "rediss", "valkey"),
}
"""Schemes of the URLs by which clients of a product name it."""


class Connection(NamedTuple):
    """A client that names a datastore. ``user`` and ``password`` are None where the client is given none.

    ``form``: url, dsn, address or host. ``place``: where the host is written; ``secret``: where the password is.
    """

    client: Subject
    server: Subject
    product: str
    form: str
    key: str
    user: str | None
    password: str | None
    place: Node | Span
    secret: Node | Span | None


class Account(NamedTuple):
    """A user of a datastore and its password, as the datastore's own service sets them."""

    user: str
    password: str
    place: Node | Span


_URL_LOGIN = Pattern(r"://(?P<user>[^\s/:@\"']*)(?::(?P<password>[^\s@/\"']*))?@")
_DSN_USER = Pattern(r"(?:\A|[\s;])(?:user|username|user id|uid)\s*=\s*(?P<user>[^\s;]+)", re.IGNORECASE)
_DSN_PASSWORD = Pattern(r"(?:\A|[\s;])(?:password|pwd)\s*=\s*(?P<password>[^\s;]+)", re.IGNORECASE)
_USER_ENDINGS = ("USER", "USERNAME")
_PASSWORD_ENDINGS = ("PASSWORD", "PASS", "PWD", "PASSWD")
_LOGIN_ENDINGS = (*_USER_ENDINGS, *_PASSWORD_ENDINGS)
_HOST_ENDINGS = ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR", "URL", "URI", "ENDPOINT")


def clients_of(server: Subject) -> list[Connection]:
    """Every connection of the deployment's services to a datastore, one per client and key; read once."""
    return [one for one in _connections(server.deployment) if one.server is server]


def _connections(deployment: Deployment) -> list[Connection]:
    known = deployment.root.cache.get("(connections)")
    if not isinstance(known, list):
        known = deployment.root.cache["(connections)"] = _find(deployment)
    return known


def _find(deployment: Deployment) -> list[Connection]:
    topology = topology_of(deployment)
    stores = {}
    for service in deployment.subjects("service"):
        product = evaluate(service, "service.product")
        if isinstance(product, Known) and product.value in _SCHEMES:
            stores[service.name] = product.value
    found: dict[tuple[str, str, str], Connection] = {}
    for client in deployment.subjects("service") if stores else ():
        for reference in references_of(client):
            names = [name for name in topology.named(reference.host) if name in stores and name != client.name]
            server = deployment.service(names[0]) if len(names) == 1 else None
            if server is None or not topology.resolves(client, reference.host):
                continue
            if _speaks(reference, stores[server.name]):
                key = (client.name, server.name, reference.key)
                found.setdefault(key, _connection(client, server, stores[server.name], reference))
    return list(found.values())


def _speaks(reference: Reference, product: str) -> bool:
    """True where a reference is to the datastore's own protocol and not to a page or an exporter beside it."""
    if reference.scheme:
        return reference.scheme in _SCHEMES[product]
    usual = {DEFAULT_SCHEME_PORTS.get(scheme) for scheme in _SCHEMES[product]}
    return reference.port is None or reference.port in usual


def _connection(client: Subject, server: Subject, product: str, reference: Reference) -> Connection:
    text = str(reference.node.value) if reference.key != "command" else ""
    user: str | None = None
    password: str | None = None
    secret: Node | Span | None = None
    if reference.form == "url":
        login = _URL_LOGIN.search(text)
        if login is not None:
            user = _decoded(login["user"]) or None
            password = _decoded(login["password"] or "") or None
        secret = reference.node if password else None
    elif reference.form == "dsn":
        named, given = _DSN_USER.search(text), _DSN_PASSWORD.search(text)
        user, password = (named["user"] if named else None), (given["password"] if given else None)
        secret = reference.node if password else None
    if password is None and reference.key != "command":
        user_beside, password, secret = _beside(client, reference.key.removeprefix("environment "), product)
        user = user or user_beside
    return Connection(client, server, product, reference.form, reference.key, user, password, reference.place, secret)


def _decoded(text: str) -> str:
    """A part of a URL without its escapes."""
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _beside(client: Subject, key: str, product: str) -> tuple[str | None, str | None, Node | None]:
    """User and password that stand in variables of the same prefix, or of the product's own names."""
    variables = {name: node for name, node in environment_items(client) if name.endswith(_LOGIN_ENDINGS)}
    if not variables:
        return None, None, None
    ending = next((one for one in _HOST_ENDINGS if key.upper().endswith(one)), "")
    prefix = key[: len(key) - len(ending)]
    prefixes = list(dict.fromkeys((prefix, *_PREFIXES.get(product, ()))))
    user = next(
        (
            str(variables[name].value)
            for one in prefixes
            for name in (one + last for last in _USER_ENDINGS)
            if name in variables and variables[name].value
        ),
        None,
    )
    for one in prefixes:
        for last in _PASSWORD_ENDINGS:
            node = variables.get(one + last)
            if node is not None and node.value:
                return user, str(node.value), node
    return user, None, None


_PREFIXES = {
    "postgres": ("POSTGRES_", "PG", "POSTGRESQL_", "DB_"),
    "mysql": ("MYSQL_", "DB_"),
    "mariadb": ("MARIADB_", "MYSQL_", "DB_"),
    "mongodb": ("MONGO_", "MONGODB_", "DB_"),
    "rabbitmq": ("RABBITMQ_", "RABBITMQ_DEFAULT_", "AMQP_", "RABBIT_"),
    "redis": ("REDIS_",),
    "valkey": ("VALKEY_", "REDIS_"),
}


# -- accounts ------------------------------------------------------------------------------------

_ACCOUNTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "postgres": (
        ("POSTGRES_USER", "postgres", "POSTGRES_PASSWORD"),
        ("POSTGRESQL_USERNAME", "postgres", "POSTGRESQL_PASSWORD"),
    ),
    "mysql": (("MYSQL_USER", "", "MYSQL_PASSWORD"), ("", "root", "MYSQL_ROOT_PASSWORD")),
    "mariadb": (
        ("MARIADB_USER", "", "MARIADB_PASSWORD"),
        ("MYSQL_USER", "", "MYSQL_PASSWORD"),
        ("", "root", "MARIADB_ROOT_PASSWORD"),
        ("", "root", "MYSQL_ROOT_PASSWORD"),
    ),
    "mongodb": (("MONGO_INITDB_ROOT_USERNAME", "", "MONGO_INITDB_ROOT_PASSWORD"),),
    "rabbitmq": (
        ("RABBITMQ_DEFAULT_USER", "guest", "RABBITMQ_DEFAULT_PASS"),
        ("RABBITMQ_USERNAME", "user", "RABBITMQ_PASSWORD"),
    ),
}
"""Product → (variable of the user, the user without it, variable of the password) of its images."""


def accounts_of(server: Subject, product: str) -> list[Account]:
    """The users that the datastore's own environment or command makes, with their passwords."""
    found = []
    for user_variable, default, password_variable in _ACCOUNTS.get(product, ()):
        user_node = environment(server, user_variable) if user_variable else None
        user = str(user_node.value) if user_node is not None and user_node.value else default
        node = environment(server, password_variable)
        if node is not None and node.value and user:
            found.append(Account(user, str(node.value), node))
    if product in ("redis", "valkey"):
        from infra_audit.facts.redis_start import started  # only where there is one

        setting = started(server).last("requirepass")
        words = setting.words if setting is not None and setting.name == "requirepass" else ()
        if setting is not None and words and words[0] and (not setting.why or HOLE in words[0]):
            found.append(Account("default", words[0], setting.place))
    return found


def has_other_credentials(client: Subject) -> bool:
    """True where a client may get a password in a way that its environment does not show whole."""
    named = any(
        is_credential_name(name.removesuffix("_FILE")) and (node.value or node.value is None)
        for name, node in environment_items(client)
    )
    return named or any(client.node.get(key) is not None for key in ("secrets", "configs", "env_file"))


# -- pools ---------------------------------------------------------------------------------------


@cache
def pool_names() -> dict[str, tuple[str, ...]]:
    """Variables of pool sizes and overflows that ship with the tool."""
    with open(os.path.join(os.path.dirname(__file__), "pool_names.json"), encoding="utf-8") as stream:
        data = json.load(stream)
    return {kind: tuple(data[kind]) for kind in ("size", "overflow")}
