"""Facts about image references: tags that move, digests, releases whose support has ended."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.products import parse_image
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, fact, value_of
from infra_audit.facts.services import image_of
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.tree import HOLE, Node

__all__: list[str] = []

_FLOATING = Pattern(
    r"latest\Z|latest[-_.]|.+[-_.]latest\Z|(?:main|master|edge|nightly|dev|develop|stable|snapshot)\Z",
    re.IGNORECASE,
    hints=("latest", "main", "master", "edge", "nightly", "dev", "stable", "snapshot"),
)


def _image(service: Subject) -> Node | None:
    """The image's node of a service that pulls it; None for one that is built here, by whatever service."""
    node = service.node.get("image")
    if node is None or not node.value or service.node.get("build") is not None:
        return None
    return None if _built_here(service, str(node.value)) else node


def _built_here(service: Subject, image: str) -> bool:
    cache = service.deployment.root.cache
    built: set[str] | None = cache.get("(built images)")
    if built is None:
        built = cache["(built images)"] = set(_built(service.deployment))
    return image.removesuffix(":latest") in built


def _built(deployment: Deployment) -> Iterator[str]:
    """Names of the images that the services build, without ``:latest``."""
    for service in deployment.subjects("service"):
        if service.node.get("build") is not None:
            named = service.node.get("image")
            name = str(named.value) if named is not None and named.value else f"{deployment.name}-{service.name}"
            yield name.removesuffix(":latest")


@fact("image.moving_tag", on="service")
def moving_tag(service: Subject) -> Fact[str | None]:
    """The tag that names another image tomorrow: "latest" (also where none is written), "main", …; None for others."""
    node = _image(service)
    parts = image_of(service)
    if node is None or parts is None:
        return Known(None, service.node.get("build") or service.node)
    if parts.digest:
        return Known(None, node)
    text = str(node.value)
    if HOLE in text and (HOLE in parts.tag or not parts.tag):
        return Unknown(node.why_unknown())
    tag = parts.tag or "latest"
    return Known(tag if _FLOATING.match(tag) else None, node)


@fact("image.is_tagged", on="service")
def is_tagged(service: Subject) -> Fact[bool]:
    """True where the image reference names a tag or a digest."""
    node = service.node.get("image")
    parts = image_of(service)
    return Known(parts is not None and bool(parts.tag or parts.digest), node or service.node)


@fact("image.is_pulled", on="service")
def is_pulled(service: Subject) -> Fact[bool]:
    """True where the image comes from a registry and is not built by this deployment."""
    return Known(_image(service) is not None, service.node.get("image") or service.node)


@fact("image.digest", on="service")
def digest(service: Subject) -> Fact[str | None]:
    """The digest that fixes the image's content; None without one."""
    node = service.node.get("image")
    if node is None or not node.value:
        return Known(None, service.node)
    parts = parse_image(str(node.known()))
    return Known(parts.digest or None, node)


# -- end of support ------------------------------------------------------------------------------


class _Line(NamedTuple):
    """A release line, and the day on which its makers' support ended."""

    version: tuple[int, ...]
    ended: str


def _lines(**ended: str) -> tuple[_Line, ...]:
    return tuple(_Line(tuple(map(int, name[1:].split("_"))), day) for name, day in ended.items())


_ENDED: dict[str, tuple[_Line, ...]] = {
    "postgres": _lines(v9="2021-11-11", v10="2022-11-10", v11="2023-11-09", v12="2024-11-21", v13="2025-11-13"),
    "redis": _lines(v3="2020-04-30", v4="2020-04-30", v5="2022-04-27", v6_0="2023-08-15"),
    "rabbitmq": _lines(
        v3_7="2020-09-30",
        v3_8="2022-07-31",
        v3_9="2023-01-31",
        v3_10="2023-07-31",
        v3_11="2023-12-31",
        v3_12="2024-06-01",
    ),
    "mysql": _lines(v5_5="2018-12-31", v5_6="2021-02-05", v5_7="2023-10-31"),
    "mariadb": _lines(
        v10_1="2020-10-17", v10_2="2022-05-23", v10_3="2023-05-25", v10_4="2024-06-18", v10_5="2025-06-24"
    ),
    "mongodb": _lines(
        v3="2021-04-30", v4_0="2022-04-30", v4_2="2023-04-30", v4_4="2024-02-29", v5="2024-10-31", v6="2025-07-31"
    ),
    "elasticsearch": _lines(v5="2019-03-11", v6="2022-02-10", v7="2026-01-15"),
    "kibana": _lines(v5="2019-03-11", v6="2022-02-10", v7="2026-01-15"),
    "nginx": _lines(v1_18="2021-04-20", v1_20="2022-05-24", v1_22="2023-04-11", v1_24="2024-04-23", v1_26="2025-04-23"),
    "traefik": _lines(v1="2021-12-31"),
    "grafana": _lines(v5="2019-06-25", v6="2020-05-18", v7="2021-06-08", v8="2022-06-14", v9="2023-10-24"),
    "prometheus": _lines(v1="2018-01-01", v2_37="2023-07-31", v2_45="2024-07-31", v2_53="2025-07-31"),
}
"""State: January 2026. Sources: each product's own release page, gathered by endoflife.date."""

_VERSION = Pattern(r"v?(\d+)(?:\.(\d+))?(?:\.\d+)*(?:[-_.]|\Z)")


@fact("image.support_ended", on="service")
def support_ended(service: Subject) -> Fact[str | None]:
    """The day on which support of the image's release ended; None for others, also where the tag names none."""
    node = service.node.get("image")
    parts = image_of(service)
    if node is None or parts is None:
        return Known(None, service.node)
    lines = _ENDED.get(value_of(service, "service.product") or "", ())
    if HOLE in parts.tag:
        return Unknown(node.why_unknown()) if lines else Known(None, node)
    match = _VERSION.match(parts.tag)
    if match is None or (not match[2] and parts.name.lower() not in _NAMED_BY_PRODUCT):
        return Known(None, node)
    version = (int(match[1]), int(match[2])) if match[2] else (int(match[1]),)
    for line in lines:
        if version[: len(line.version)] == line.version:
            return Known(line.ended, Evidence(node))
    return Known(None, node)


_NAMED_BY_PRODUCT = frozenset(("postgres", "redis", "rabbitmq", "mysql", "mariadb", "mongo", "nginx", "traefik"))
"""Images whose bare ``5`` is the product's own version 5."""
