"""What a Grafana service loads, and the subjects dashboard, panel and datasource.

Grafana is found by its image. Its provisioning files are those that the container sees: through binds, named
folders and Compose's configs; a provider's folder is resolved in the same view.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError, ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.registry import Known, evaluate
from infra_audit.facts.services import environment, image_of, is_kept_as_grafana
from infra_audit.monitoring.grafana.dashboards import Dashboard, Panel, is_dashboard, read_dashboard, text_of
from infra_audit.monitoring.grafana.provisioning import Datasource, Provider, read_datasources, read_providers
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.json import read_json
from infra_audit.readers.located import Located
from infra_audit.readers.yaml import read_inline_yaml
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = [
    "Grafana",
    "Loaded",
    "dashboard_of",
    "datasource_of",
    "find_dashboards",
    "find_datasources",
    "find_panels",
    "grafana_for",
    "grafana_of",
    "grafanas",
    "is_grafana",
    "panel_of",
]

PROVISIONING = "/etc/grafana/provisioning"
_VERSION = Pattern(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?![\d.])")


class Loaded(NamedTuple):
    """A dashboard file. ``provider``: what loads it, or None. ``error``: why it is no JSON, "" where it is.

    ``node``: the whole text, or where it breaks off. ``alone``: nobody mounts it; it was named to be judged.
    """

    file: str
    location: str
    node: Node
    dashboard: Dashboard | None
    provider: Provider | None
    error: str = ""
    alone: bool = False


class Grafana(NamedTuple):
    """A Grafana service. ``version``: as far as its image's tag says, () where it does not.

    ``gaps``: what could not be read of datasources and of dashboards, and why.
    """

    service: Subject
    version: tuple[int, ...]
    datasources: tuple[Datasource, ...]
    providers: tuple[Provider, ...]
    files: tuple[Loaded, ...]
    datasource_gaps: tuple[str, ...]
    dashboard_gaps: tuple[str, ...]

    def datasource(self, name: str) -> Datasource | None:
        """The datasource that answers to a name or uid."""
        return next((one for one in self.datasources if name in one.names), None)

    def default(self, organisation: str = "1") -> Datasource | None:
        fitting = [one for one in self.datasources if one.organisation == organisation]
        return next((one for one in fitting if one.is_default is not None), None)


def grafanas(deployment: Deployment) -> list[Grafana]:
    """Every Grafana service of a deployment, as ``grafana_of`` reads it."""
    return [grafana_of(service) for service in deployment.subjects("service") if is_grafana(service)]


def is_grafana(service: Subject) -> bool:
    """True for Grafana's image, and for an image of one's own that is set or mounted as Grafana is."""
    known = evaluate(service, "service.product")
    if isinstance(known, Known) and known.value is not None:
        return bool(known.value == "grafana")
    return is_kept_as_grafana(service)


def grafana_of(service: Subject) -> Grafana:
    """What a Grafana service is provisioned with; read once."""
    known = service.cache.get("(grafana)")
    if not isinstance(known, Grafana):
        known = service.cache["(grafana)"] = _Reading(service).read()
    return known


def version_of(service: Subject) -> tuple[int, ...]:
    """The version that the image's tag names, such as (10, 4, 2) or (11,); () for latest, none, and variables."""
    image = image_of(service)
    match = _VERSION.match(image.tag) if image is not None and HOLE not in image.tag else None
    return tuple(int(part) for part in match.groups() if part is not None) if match else ()


class _Reading:
    def __init__(self, service: Subject) -> None:
        self.service = service
        self.files = ContainerFiles(service)
        self.gaps: dict[str, list[str]] = {"datasources": [], "dashboards": []}

    def read(self) -> Grafana:
        top = self._provisioning()
        datasources = [one for root in self._roots(top, "datasources") for one in read_datasources(root, self._lookup)]
        providers = [one for root in self._roots(top, "dashboards") for one in read_providers(root, self._lookup)]
        loaded = list(self._loaded(providers))
        return Grafana(
            self.service,
            version_of(self.service),
            tuple(datasources),
            tuple(providers),
            tuple(loaded),
            tuple(self.gaps["datasources"]),
            tuple(self.gaps["dashboards"]),
        )

    def _lookup(self, name: str) -> Node | None:
        return environment(self.service, name)

    def _provisioning(self) -> str:
        """The provisioning folder: the default, or what GF_PATHS_PROVISIONING says."""
        node = environment(self.service, "GF_PATHS_PROVISIONING")
        if node is None or not node.value:
            return PROVISIONING
        path = str(node.value)
        if HOLE in path:
            for gaps in self.gaps.values():
                gaps.append(f"GF_PATHS_PROVISIONING: {node.why_unknown()}")
            return PROVISIONING
        return posixpath.join("/usr/share/grafana", path)

    def _roots(self, top: str, kind: str) -> Iterator[Node]:
        """The documents of the provisioning files of a kind; what cannot be read becomes a gap."""
        folder = posixpath.join(top, kind)
        gaps = self.gaps[kind]
        if self.service.node.get("build") is not None and not self.files.is_folder(folder):
            gaps.append(f"{folder} is not mounted, and the image is built here")
        try:
            names = self.files.listing(folder)
        except Undecidable as error:
            gaps.append(error.message)
            return
        for name in names:
            if not name.endswith((".yaml", ".yml")):
                continue
            path = posixpath.join(folder, name)
            try:
                yield from read_inline_yaml(self.files.open(path))
            except InfraAuditError as error:
                gaps.append(f"{path} cannot be read: {error}")

    def _loaded(self, providers: list[Provider]) -> Iterator[Loaded]:
        """Files that providers load, then dashboards in mounted folders that none does."""
        seen: set[str] = set()
        for provider in providers:
            for path in self._below(provider):
                source = self._open(path)
                if source is not None and source.location not in seen:
                    seen.add(source.location)
                    yield load(source, provider)
        for path in self._mounted():
            source = self._open(path)
            if source is None or source.location in seen:
                continue
            seen.add(source.location)
            stray = load(source, None)
            if stray.dashboard is not None and is_dashboard(stray.node):
                yield stray

    def _below(self, provider: Provider) -> list[str]:
        if provider.path is None or provider.kind != "file":
            return []
        try:
            return list(self.files.walk(str(provider.path.known()), ".json"))
        except Undecidable as error:
            self.gaps["dashboards"].append(error.message)
            return []

    def _open(self, path: str) -> Located | None:
        try:
            return self.files.open(path)
        except InfraAuditError as error:
            self.gaps["dashboards"].append(f"{path} cannot be read: {error}")
            return None

    def _mounted(self) -> Iterator[str]:
        """JSON files in the folders that are mounted, plugins and Grafana's own data left out."""
        for mount in self.files.mounts:
            if mount.host is None or HOLE in mount.host:
                continue
            try:
                if not self.files.is_folder(mount.target):
                    if mount.target.endswith(".json"):
                        yield mount.target
                    continue
                for path in self.files.walk(mount.target, ".json"):
                    if "/plugins/" not in path:
                        yield path
            except Undecidable:
                continue


def load(source: Located, provider: Provider | None) -> Loaded:
    """A dashboard file as it is read; one that is no JSON has an ``error``."""
    try:
        root = read_json(source)
    except ReadError as error:
        at = Span(source.span(0, 0).source, error.line, error.column, error.line, error.column)
        return Loaded(source.path, source.location, Node(None, at), None, provider, error.message)
    return Loaded(source.path, source.location, root, read_dashboard(root), provider)


# -- subjects -----------------------------------------------------------------------------------


def find_datasources(deployment: Deployment) -> Iterator[Subject]:
    """Every provisioned datasource; its parent is the Grafana service."""
    names = _Names()
    for grafana in grafanas(deployment):
        for datasource in grafana.datasources:
            name = names.of(text_of(datasource.name))
            subject = Subject("datasource", name, datasource.node, deployment, grafana.service)
            subject.cache["(datasource)"] = datasource
            yield subject


def find_dashboards(deployment: Deployment) -> Iterator[Subject]:
    """Every dashboard file that is mounted into Grafana, then those that are judged on their own."""
    names = _Names()
    seen: set[str] = set()
    every = grafanas(deployment)
    for grafana in every:
        for loaded in grafana.files:
            seen.add(loaded.location)
            yield _dashboard(deployment, grafana.service, loaded, names)
    for path in deployment.loose:
        if path in seen or not path.endswith(".json"):
            continue
        loaded = load(deployment.reader.read(path), None)._replace(alone=True)
        if loaded.dashboard is None or is_dashboard(loaded.node):
            yield _dashboard(deployment, every[0].service if len(every) == 1 else None, loaded, names)


def _dashboard(deployment: Deployment, service: Subject | None, loaded: Loaded, names: _Names) -> Subject:
    title = text_of(loaded.dashboard.title) if loaded.dashboard else ""
    name = names.of(title or os.path.basename(loaded.file))
    subject = Subject("dashboard", name, loaded.node, deployment, service)
    subject.cache["(dashboard)"] = loaded
    return subject


def find_panels(deployment: Deployment) -> Iterator[Subject]:
    """Every panel of every dashboard; its parent is the dashboard."""
    for dashboard in deployment.subjects("dashboard"):
        loaded = dashboard_of(dashboard)
        names = _Names()
        for panel in loaded.dashboard.panels if loaded.dashboard else ():
            name = names.of(f"{dashboard.name}/{text_of(panel.title).strip() or panel.kind or 'panel'}")
            subject = Subject("panel", name, panel.node, deployment, dashboard)
            subject.cache["(panel)"] = panel
            yield subject


class _Names:
    """Makes names unique: the second "CPU" is called "CPU #2"."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def of(self, name: str) -> str:
        count = self._seen[name] = self._seen.get(name, 0) + 1
        return name if count == 1 else f"{name} #{count}"


def datasource_of(subject: Subject) -> Datasource:
    """What a datasource subject holds."""
    found: Datasource = subject.cache["(datasource)"]
    return found


def dashboard_of(subject: Subject) -> Loaded:
    """What a dashboard subject, or the dashboard of a panel subject, holds."""
    owner = subject if subject.kind == "dashboard" or subject.parent is None else subject.parent
    found: Loaded = owner.cache["(dashboard)"]
    return found


def panel_of(subject: Subject) -> Panel:
    """What a panel subject holds."""
    found: Panel = subject.cache["(panel)"]
    return found


def grafana_for(subject: Subject) -> Grafana | None:
    """The Grafana that a dashboard, panel or datasource belongs to; None for a file that is judged on its own."""
    owner: Subject | None = subject
    while owner is not None and owner.kind != "service":
        owner = owner.parent
    return None if owner is None else grafana_of(owner)
