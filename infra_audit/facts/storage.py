"""Facts about where datastores keep their data, and whether a volume is there."""

from __future__ import annotations

import posixpath
import re

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.products import parse_image
from infra_audit.facts.registry import Evidence, Fact, Known, evaluate, fact, value_of
from infra_audit.facts.services import environment, image_of, product_named
from infra_audit.patterns import Pattern
from infra_audit.tree import HOLE, Node

__all__: list[str] = []

_DATA: dict[str, tuple[str, ...]] = {
    "postgres": ("/var/lib/postgresql/data", "/var/lib/postgresql"),
    "mysql": ("/var/lib/mysql",),
    "mariadb": ("/var/lib/mysql",),
    "mongodb": ("/data/db",),
    "rabbitmq": ("/var/lib/rabbitmq",),
    "elasticsearch": ("/usr/share/elasticsearch/data",),
    "opensearch": ("/usr/share/opensearch/data",),
    "clickhouse": ("/var/lib/clickhouse",),
    "influxdb": ("/var/lib/influxdb", "/var/lib/influxdb2"),
    "neo4j": ("/data",),
    "couchdb": ("/opt/couchdb/data",),
    "cassandra": ("/var/lib/cassandra",),
    "scylla": ("/var/lib/scylla",),
    "mssql": ("/var/opt/mssql",),
    "qdrant": ("/qdrant/storage",),
}
"""Data folders of the products' official images. Sources: their pages on hub.docker.com."""
_OTHER_IMAGES = Pattern(
    r"(?:.*/)?(?:bitnami\w*|spilo|crunchy-postgres|timescaledb-ha|postgresql|mongodb|percona-server-mongodb)(?:/|\Z)",
    hints=("bitnami", "spilo", "crunchy-postgres", "timescaledb-ha", "postgresql", "mongodb"),
)
"""Images that keep their data elsewhere: a mount at a folder of theirs is taken for it."""
_VARIABLES = {"postgres": "PGDATA"}
_FOR_TESTS = Pattern(
    r"(?:\A|.*[._/\-])(?:tests?|ci|e2e|testing|integration|fixtures?)(?:[._/\-]|\Z)",
    re.IGNORECASE,
    hints=("test", "ci", "e2e", "integration", "fixture"),
)


def _folders(service: Subject, product: str) -> tuple[str, ...]:
    """The folders of which one must be on a volume; empty where the image keeps its data somewhere else."""
    image = image_of(service)
    if image is None or _OTHER_IMAGES.match(
        parse_image(str((service.node.get("image") or service.node).value)).repository
    ):
        return ()
    given = environment(service, _VARIABLES.get(product, ""))
    if given is not None and given.value:
        text = str(given.known())
        return (text, posixpath.dirname(text), *_DATA[product])
    return _DATA.get(product, ())


class _Mounts:
    """What is mounted into a container, by target."""

    def __init__(self, service: Subject) -> None:
        self.nodes: dict[str, Node] = {}
        self.temporary: dict[str, Node] = {}
        for node in (service.node.get("volumes") or service.node).entries():
            target, kind = node.get("target"), node.get("type")
            if target is None or not isinstance(target.value, str):
                continue
            path = posixpath.normpath(target.value)
            (self.temporary if kind is not None and kind.value == "tmpfs" else self.nodes)[path] = node
        for node in (service.node.get("tmpfs") or service.node).entries():
            self.temporary[posixpath.normpath(str(node.value).partition(":")[0])] = node

    def holding(self, folders: tuple[str, ...]) -> Node | None:
        """A mount that a folder, or something that it holds, is kept on."""
        for path, node in self.nodes.items():
            if HOLE in path:
                return node
            for folder in folders:
                if path == folder or folder.startswith(path.rstrip("/") + "/") or path.startswith(folder + "/"):
                    return node
        return None


def _needs_volume(service: Subject) -> tuple[str, tuple[str, ...]] | None:
    """The product and its data folders, where the service keeps data that should stay; None for others."""
    product = product_named(service, (*_DATA, "redis", "valkey"))
    if product in ("redis", "valkey"):
        wanted = evaluate(service, "redis.log_asked_for")
        kept = isinstance(wanted, Known) and wanted.value
        return (product, ("/data", "/bitnami")) if kept and not _is_bitnami(service) else None
    if product is None or not value_of(service, "service.long_running"):
        return None
    folders = _folders(service, product)
    return (product, folders) if folders else None


def _is_bitnami(service: Subject) -> bool:
    return "bitnami" in str((service.node.get("image") or service.node).value)


@fact("datastore.has_volume", on="service")
def has_volume(service: Subject) -> Fact[bool | None]:
    """False where nothing at all is mounted that a datastore's data could be on; None for what keeps none."""
    wanted = _needs_volume(service)
    if wanted is None or _is_for_tests(service):
        return Known(None, service.node)
    mounts = _Mounts(service)
    if mounts.temporary and any(path in mounts.temporary for path in wanted[1]):
        return Known(None, service.node)  # datastore.lost_on says it
    volumes = [node for node in mounts.nodes.values() if _is_for_data(service, node)]
    return Known(bool(volumes) or mounts.holding(wanted[1]) is not None, service.node.get("image") or service.node)


def _is_for_data(service: Subject, node: Node) -> bool:
    """True for a volume, and for a folder of the host that is no settings or scripts."""
    read_only, target = node.get("read_only"), str((node.get("target") or node).value)
    if (read_only is not None and read_only.value is True) or "initdb" in target or target.startswith(("/etc", "/run")):
        return False
    kind, source = node.get("type"), node.get("source")
    if kind is not None and kind.value == "volume":
        return True
    path = str(source.value) if source is not None else ""
    last = posixpath.basename(target)
    try:
        return "." not in last and (
            service.deployment.reader.is_folder(path) or not service.deployment.reader.exists(path)
        )
    except (InfraAuditError, ValueError):
        return False


def _is_for_tests(service: Subject) -> bool:
    return any(_FOR_TESTS.match(posixpath.basename(name)) for name in service.deployment.files)


@fact("datastore.lost_on", on="service")
def lost_on(service: Subject) -> Fact[str | None]:
    """The mount that was meant for a datastore's data and does not keep it: a tmpfs, or another folder; else None."""
    wanted = _needs_volume(service)
    if wanted is None or _is_for_tests(service):
        return Known(None, service.node)
    mounts = _Mounts(service)
    for path in wanted[1]:
        if path in mounts.temporary:
            return Known(f"{path} is a tmpfs", mounts.temporary[path])
    above = mounts.nodes.get("/var/lib/postgresql")
    if above is not None and wanted[0] == "postgres" and _hides_parent(service, mounts):
        text = "the volume is on /var/lib/postgresql, and the image lays its own on /var/lib/postgresql/data"
        return Known(text, above.get("target") or above)
    if mounts.holding(wanted[1]) is not None:
        return Known(None, service.node)
    for path, node in mounts.nodes.items():
        source = node.get("source")
        named = str(source.value).lower() if source is not None else ""
        if _is_for_data(service, node) and ("data" in path or "data" in named or "/var/lib" in path):
            return Known(f"the volume is on {path}", node.get("target") or node, Evidence(node))
    return Known(None, service.node)


def _hides_parent(service: Subject, mounts: _Mounts) -> bool:
    """True for PostgreSQL's images before 18, which declare a volume on the data folder itself."""
    from infra_audit.facts.redis_images import version_of  # only where there is a Redis

    version = version_of(service)
    inner = any(path.startswith("/var/lib/postgresql/") for path in mounts.nodes)
    return version is not None and version[0] < _ONE_VOLUME and not inner and environment(service, "PGDATA") is None


_ONE_VOLUME = 18


@fact("datastore.data_folder", on="service")
def data_folder(service: Subject) -> Fact[str | None]:
    """Where the datastore's image keeps its data; None for what keeps none."""
    wanted = _needs_volume(service)
    return Known(wanted[1][0] if wanted else None, service.node.get("image") or service.node)
