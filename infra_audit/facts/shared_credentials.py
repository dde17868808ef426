"""Facts about what clients and their datastores agree on: passwords, and the number of connections."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.clients import Account, Connection, accounts_of, clients_of, has_other_credentials, pool_names
from infra_audit.facts.postgres import connections_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact, value_of
from infra_audit.facts.services import environment, environment_items, replicas_node
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__: list[str] = []


def _product(service: Subject) -> str:
    known = evaluate(service, "service.product")
    return known.value if isinstance(known, Known) and known.value else ""


@fact("service.credential_mismatches", on="service")
def credential_mismatches(server: Subject) -> Fact[list[Item]]:
    """Clients of a datastore that are given another password than the datastore has for the same user."""
    items: list[Item] = []
    product = _product(server)
    connections = clients_of(server) if product else []
    accounts = {account.user: account for account in reversed(accounts_of(server, product))} if connections else {}
    for one in connections:
        account = accounts.get(one.user or ("default" if product in ("redis", "valkey") else ""))
        if account is None or one.password is None or one.secret is None:
            continue
        item = _compared(one, account)
        if item is not None:
            items.append(item)
    return Known(items, server.node)


def _compared(one: Connection, account: Account) -> Item | None:
    password = one.password or ""
    places = (Evidence(one.secret or one.place), Evidence(account.place, f"{one.server.name} has another one"))
    owner = ("service", one.client.name)
    if HOLE in password or HOLE in account.password:
        mine, theirs = _variables(one.client, one.secret), _variables(one.server, account.place)
        if mine == theirs or not mine or not theirs:
            return None
        text = f"{one.client.name} and {one.server.name} take the password of {account.user} from different variables"
        return Item(text, (), owner, unknown=True)
    if password == account.password:
        return None
    return Item(
        f"the password of {account.user} that {one.key} gives is not the one of {one.server.name}", places, owner
    )


_SHELL_VARIABLE = Pattern(r"\$\{?(\w+)")


def _variables(service: Subject, place: Node | Span | None) -> set[str]:
    """The variables that a value rests on; one of a shell stands for those of the service's environment."""
    if place is None:
        return set()
    nodes = [place] if isinstance(place, Node) else []
    text = (place.span if isinstance(place, Node) else place).text
    nodes += [node for name in _SHELL_VARIABLE.findall(text) if (node := environment(service, name)) is not None]
    return {
        hop.note.split(" ", 1)[0]
        for node in nodes
        for hop in node.hops
        if hop.kind in ("unset", "required", "variable")
    }


@fact("service.clients_without_credential", on="service")
def clients_without_credential(server: Subject) -> Fact[list[Item]]:
    """Clients that are given the datastore's host and no password, while it demands one."""
    items: list[Item] = []
    product = _product(server)
    connections = [one for one in clients_of(server) if one.password is None] if product else []
    demanded = _demands(server, product) if connections else None
    for one in connections if demanded is not None else ():
        if one.key == "command" or has_other_credentials(one.client):
            continue
        text = f"{one.key} names {server.name}, which demands a password, and gives none"
        owner = ("service", one.client.name)
        if one.form != "url":
            items.append(Item(f"{text}; the image may bring one", (), owner, unknown=True))
        elif demanded is not None:
            items.append(Item(text, (Evidence(one.place), Evidence(demanded, "the password is set here")), owner))
    return Known(items, server.node)


def _demands(server: Subject, product: str) -> Node | None:
    """Where a datastore is told to demand a password."""
    trust = environment(server, "POSTGRES_HOST_AUTH_METHOD")
    if trust is not None and trust.value == "trust":
        return None
    accounts = accounts_of(server, product)
    if accounts:
        place = accounts[0].place
        return place if isinstance(place, Node) else server.node
    return None


# -- connections ---------------------------------------------------------------------------------


def _names(server: Subject, kind: str) -> set[str]:
    """Variables of a kind: those that ship, and those that the plan adds under ``pools``."""
    plan = server.deployment.plan
    added = (plan.plan.values.get("pools") or {}).get(kind) if plan is not None else None
    return {*pool_names()[kind], *(added or ())}


def _pool(client: Subject, names: set[str]) -> tuple[int, Node] | None:
    for name, node in environment_items(client):
        if name.upper() in names and node.value is not None:
            text = str(node.known())
            if text.isdigit():
                return int(text), node
    return None


@fact("postgres.connections_wanted", on="service")
def connections_wanted(server: Subject) -> Fact[int | None]:
    """Σ (pool size + overflow) × replicas over the clients whose pools the files tell; None where they tell none."""
    if _product(server) != "postgres":
        return Known(None, server.node)
    total = 0
    evidence: list[Evidence] = []
    for client in {one.client.name: one.client for one in clients_of(server)}.values():
        size = _pool(client, _names(server, "size"))
        if size is None:
            continue
        overflow = _pool(client, _names(server, "overflow"))
        replicas = value_of(client, "service.replicas")
        each = size[0] + (overflow[0] if overflow else 0)
        total += each * replicas
        evidence.append(Evidence(size[1], f"{client.name}: {each} × {replicas} = {each * replicas}"))
        evidence.append(Evidence(replicas_node(client), f"{replicas} replicas"))
    if not evidence:
        return Known(None, server.node)
    limit = connections_of(server)
    return Known(total, *((limit[1],) if limit else ()), *evidence)


@fact("postgres.connections_offered", on="service")
def connections_offered(server: Subject) -> Fact[int | None]:
    """max_connections without those that are kept for superusers; None where the service is no PostgreSQL."""
    found = connections_of(server)
    if found is None:
        return Known(None, server.node)
    if found[0] <= 0:
        raise Undecidable("max_connections leaves none to applications")
    return Known(found[0], found[1])
