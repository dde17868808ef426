"""Facts about a Grafana service: its dashboard providers, its first password, who may look without one."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from fnmatch import fnmatchcase

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.grafana import PROVISIONING, dashboard_of, grafana_of, is_grafana, panel_of, version_of
from infra_audit.facts.panels import queries_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, fact, value_of
from infra_audit.facts.services import environment
from infra_audit.monitoring.grafana.dashboards import text_of
from infra_audit.monitoring.grafana.provisioning import Provider
from infra_audit.patterns import Pattern
from infra_audit.secrets import MASK
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["find_missing_panels"]


@fact("grafana.version", on="service")
def version(service: Subject) -> Fact[str | None]:
    """The version that a Grafana image's tag names; None for another service, unknown for tags such as latest."""
    if not is_grafana(service):
        return Known(None, service.node)
    found = version_of(service)
    image = service.node.get("image") or service.node
    return Known(".".join(map(str, found)), image) if found else Unknown("the image's tag does not say the version")


# -- providers ----------------------------------------------------------------------------------


def _providers(service: Subject) -> tuple[Provider, ...]:
    if not is_grafana(service):
        return ()
    return grafana_of(service).providers


@fact("grafana.repeated_provider_paths", on="service")
def repeated_provider_paths(service: Subject) -> Fact[list[Item]]:
    """Providers that load a folder which another provider of the organisation loads as well, or one inside it."""
    items: list[Item] = []
    seen: list[tuple[str, Provider]] = []
    for provider in _providers(service):
        if provider.path is None or HOLE in str(provider.path.value) or provider.kind != "file":
            continue
        path = posixpath.normpath(str(provider.path.value))
        for known, other in seen:
            if other.organisation == provider.organisation and (
                f"{path}/".startswith(f"{known}/") or f"{known}/".startswith(f"{path}/")
            ):
                assert other.path is not None
                how = "the same folder" if path == known else f"folders inside each other, {path} and {known},"
                text = f"the providers {other.name or '(no name)'} and {provider.name or '(no name)'} load {how}"
                items.append(Item(text, (Evidence(provider.path), Evidence(other.path, f"loads {known}"))))
                break
        seen.append((path, provider))
    return Known(items)


@fact("grafana.unmounted_provider_paths", on="service")
def unmounted_provider_paths(service: Subject) -> Fact[list[Item]]:
    """Folders of providers that nothing is mounted on, so that they are empty or not there."""
    files = ContainerFiles(service)
    items: list[Item] = []
    for provider in _providers(service):
        if provider.path is None or provider.kind != "file":
            continue
        try:
            path = str(provider.path.known())
        except Undecidable as error:
            items.append(Item(f"the folder of {provider.name}: {error.message}", (), unknown=True))
            continue
        if files.mount(path) is not None or files.is_folder(path) or path.startswith(PROVISIONING):
            continue
        if service.node.get("build") is not None:
            items.append(Item(f"the image is built here and may hold {path}", (), unknown=True))
        else:
            items.append(Item(f"nothing is mounted on {path}", (Evidence(provider.path),)))
    return Known(items)


# -- access -------------------------------------------------------------------------------------

_SETTINGS = ("/etc/grafana/grafana.ini", "/usr/share/grafana/conf/custom.ini")
_LINE = Pattern(r"[ \t]*(?:\[(?P<section>[^\]\n]*)\]|(?P<key>[\w.]+)[ \t]*=[ \t]*(?P<value>[^\n]*?))[ \t]*\r?\Z")
_TRUE = frozenset(("true", "1", "yes", "on", "t"))


class _Setting:
    """A setting of Grafana's: from GF_SECTION_KEY, else from the mounted grafana.ini."""

    def __init__(self, service: Subject, section: str, key: str) -> None:
        self.place: Node | Span | None = None
        self.value = ""
        self.is_set = False
        name = f"GF_{section}_{key}".upper().replace(".", "_")
        node = environment(service, name)
        if node is not None and node.value not in (None, ""):
            self.value, self.place, self.is_set = str(node.known()), node, True
            return
        self._from_file(service, section, key)

    def _from_file(self, service: Subject, section: str, key: str) -> None:
        files = ContainerFiles(service)
        node = environment(service, "GF_PATHS_CONFIG")
        paths = [str(node.known())] if node is not None and node.value else list(_SETTINGS)
        for path in paths:
            if files.mount(path) is None:
                continue
            try:
                source = files.open(path)
            except InfraAuditError as error:
                raise Undecidable(f"{path} cannot be read: {error}") from None
            here, at = "", 0
            for line in source.text.split("\n"):
                match = _LINE.match(line)
                if match is not None and match["section"] is not None:
                    here = match["section"].strip()
                elif match is not None and here == section and match["key"] == key and match["value"]:
                    self.value = match["value"].strip("\"'")
                    self.place = source.span(at + match.start("value"), at + match.end("value"))
                    self.is_set = True
                at += len(line) + 1


_GUESSABLE = frozenset(
    ("admin", "password", "grafana", "secret", "changeme", "change-me", "change_me", "123456", "test")
)


@fact("grafana.weak_password", on="service")
def weak_password(service: Subject) -> Fact[str | None]:
    """Why the first administrator's password is known to everybody; None where it is not, or nobody logs in by one.

    Without a setting it is "admin". A password in a file is not looked at.
    """
    if not is_grafana(service):
        return Known(None, service.node)
    for name in ("GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_SECURITY_ADMIN_PASSWORD_FILE"):
        node = environment(service, name)
        if node is not None:
            return Known(None, node)
    off = (("security", "disable_initial_admin_creation"), ("auth", "disable_login_form"), ("auth.proxy", "enabled"))
    for section, key in off:
        switch = _Setting(service, section, key)
        if switch.value.lower() in _TRUE and switch.place is not None:
            return Known(None, switch.place)
    node = environment(service, "GF_SECURITY_ADMIN_PASSWORD")
    if node is not None and any(hop.kind == "required" for hop in node.hops):
        return Known(None, node)  # Compose does not start without a value
    password = _Setting(service, "security", "admin_password")
    if not password.is_set:
        if service.node.get("build") is not None or value_of(service, "service.product") != "grafana":
            return Unknown("the image is not Grafana's own and may set the password")
        return Known("it is not set, which makes it admin", service.node.get("environment") or service.node)
    assert password.place is not None
    value = password.value
    if value.startswith("$__"):
        return Known(None, password.place)
    weak = _is_guessable(service, value)
    return Known("it is one that everybody tries first" if weak else None, password.place)


def _is_guessable(service: Subject, password: str) -> bool:
    """Also of what runs, where the password is a token; raises Undecidable where that cannot be made again."""
    if not password.startswith(MASK):
        return password.lower() in _GUESSABLE
    mask = service.deployment.mask
    if mask is None:
        raise Undecidable("the password is a secret, which is not kept")
    return any(mask({"password": word})["password"] == password for word in _GUESSABLE)


@fact("grafana.anonymous", on="service")
def anonymous(service: Subject) -> Fact[bool]:
    """True where Grafana lets people in without a login."""
    if not is_grafana(service):
        return Known(False, service.node)
    setting = _Setting(service, "auth.anonymous", "enabled")
    return Known(setting.value.lower() in _TRUE, setting.place or service.node)


@fact("grafana.anonymous_role", on="service")
def anonymous_role(service: Subject) -> Fact[str]:
    """What somebody without a login may do: Viewer unless it is said, Editor, Admin."""
    setting = _Setting(service, "auth.anonymous", "org_role")
    return Known(setting.value or "Viewer", setting.place or service.node)


# -- documented panels --------------------------------------------------------------------------


def find_missing_panels(deployment: Subject, wanted: Mapping[str, tuple[str, ...]]) -> Fact[list[Item]]:
    """Which of these panels (title → metrics, as ``Plan.panels`` has them) no provisioned dashboard has."""
    services = [one for one in deployment.deployment.subjects("service") if is_grafana(one)]
    for service in services:
        if grafana_of(service).dashboard_gaps:
            return Unknown(grafana_of(service).dashboard_gaps[0])
    items = []
    for title, metrics in wanted.items():
        named = [panel for panel in deployment.deployment.subjects("panel") if _is_called(panel, title)]
        if any(_shows(panel, metrics) for panel in named):
            continue
        place = services[0].node if services else deployment.node
        if named:
            text = f"the panel {title} asks none of {', '.join(metrics)}"
            items.append(Item(text, (Evidence(panel_of(named[0]).place),)))
        else:
            items.append(Item(f"no provisioned dashboard has the panel {title}", (Evidence(place),)))
    return Known(items)


def _is_called(panel: Subject, title: str) -> bool:
    provisioned = dashboard_of(panel).provider is not None
    return provisioned and fnmatchcase(text_of(panel_of(panel).title).strip().lower(), title.lower())


def _shows(panel: Subject, metrics: tuple[str, ...]) -> bool:
    if not metrics:
        return True
    asked = [selector.metric for asks in queries_of(panel) for selector in asks.query.selectors]
    return any(fnmatchcase(metric, pattern) for metric in asked for pattern in metrics)
