"""What images of Redis and Valkey read besides the command: environment variables and fixed files.

Official images read no environment for settings (Valkey's takes VALKEY_EXTRA_FLAGS); Bitnami's take
many REDIS_* or VALKEY_* variables; Redis Stack takes REDIS_ARGS. State: August 2024. Sources: the
images' entrypoint scripts and their pages on hub.docker.com.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.registry import Unknown, evaluate
from infra_audit.facts.services import environment, image_of, raw_words
from infra_audit.named import NamedTuple
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node, holes_as_text

__all__ = ["OUTPUT", "Flavour", "environment_settings", "flavour_of", "version_of"]

OUTPUT = "\ue001"
"""Stands in a word for what a file holds, or another program prints, when the container starts."""


class Flavour(NamedTuple):
    """How one family of images is configured.

    ``prefix``: of the environment variables that it reads ("" for none). ``conf_files``: read where
    mounted, first match. ``overrides``: read after them. ``flags``: variables that hold options.
    ``official``: its entrypoint puts the server before options or a ``.conf`` path.
    ``start_script``: a command that still reads the environment. ``defaults``: settings that the image
    changes. ``why_unknown``: why settings that nobody gives are not known, "" where they are the server's defaults.
    """

    product: str
    official: bool = False
    sentinel: bool = False
    prefix: str = ""
    conf_files: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    start_script: str = ""
    defaults: tuple[tuple[str, str], ...] = ()
    folder: str = "/data"
    why_unknown: str = ""


_OFFICIAL_REDIS = Flavour("redis", official=True)
_OFFICIAL_VALKEY = Flavour("valkey", official=True, flags=("VALKEY_EXTRA_FLAGS",))
_STACK = Flavour("redis", conf_files=("/redis-stack.conf",), flags=("REDIS_ARGS",), start_script="/entrypoint.sh")


def _bitnami(product: str) -> Flavour:
    base = f"/opt/bitnami/{product}"
    return Flavour(
        product,
        prefix=f"{product.upper()}_",
        conf_files=(f"{base}/mounted-etc/{product}.conf", f"{base}/etc/{product}.conf"),
        overrides=(f"{base}/mounted-etc/overrides.conf",),
        flags=(f"{product.upper()}_EXTRA_FLAGS",),
        start_script=f"/scripts/{product}/run.sh",
        defaults=(("appendonly", "yes"),),
        folder=f"{base}/etc",
    )


_BITNAMI = {product: _bitnami(product) for product in ("redis", "valkey")}
_BITNAMI_OWNERS = frozenset(("bitnami", "bitnamilegacy", "bitnamisecure"))
_PLAIN_OWNERS = frozenset(("", "library", "docker/library", "valkey", "valkey-io", "amd64", "arm64v8", "arm32v7"))


def flavour_of(service: Subject) -> Flavour | None:
    """How a service's image is configured; None for what is no Redis or Valkey.

    Raises Undecidable where the image is not known and something else about the service says Redis or Valkey.
    """
    known = evaluate(service, "service.product")
    image = image_of(service)
    if isinstance(known, Unknown):
        if _looks_like_one(service):
            raise Undecidable(known.why)
        return None
    product = known.value
    if image is None or product not in ("redis", "valkey"):
        return None
    owner, _, name = image.repository.lower().rpartition("/")
    if owner.rpartition("/")[2] in _BITNAMI_OWNERS:
        return _BITNAMI[product] if name == product else Flavour(product, why_unknown=_brings_its_own(name))
    if name in ("redis-stack", "redis-stack-server"):
        return _STACK
    if name in (product, "valkey-bundle") and owner in _PLAIN_OWNERS:
        return _OFFICIAL_REDIS if product == "redis" else _OFFICIAL_VALKEY
    return Flavour(product, why_unknown=_brings_its_own(image.repository))


def _looks_like_one(service: Subject) -> bool:
    """True where the service's names, the words that it runs or the image's variables say Redis or Valkey."""
    names = [service.name, *(word.text for word in raw_words(service))]
    for key in ("container_name", "hostname", "image"):
        node = service.node.get(key)
        names.append(holes_as_text(str(node.value), node.hops) if node is not None else "")
    return any(product in name.lower() for name in names for product in ("redis", "valkey"))


def _brings_its_own(image: str) -> str:
    return f"the image {image} may bring its own configuration"


def version_of(service: Subject) -> tuple[int, ...] | None:
    """The version that an image's tag names (7.2-alpine → 7, 2), or None; a bare ``7`` counts as the newest 7."""
    image = image_of(service)
    match = re.match(r"v?(\d+)(?:\.(\d+))?", image.tag) if image and HOLE not in image.tag else None
    if match is None:
        return None
    return (int(match[1]), int(match[2])) if match[2] else (int(match[1]),)


_Given = tuple[str, tuple[str, ...], Node | Span, str, str]

_TRUE = frozenset(("yes", "true", "1"))
_DIRECT = {
    "PASSWORD": "requirepass",
    "PORT_NUMBER": "port",
    "AOF_ENABLED": "appendonly",
    "ACLFILE": "aclfile",
    "IO_THREADS": "io-threads",
    "IO_THREADS_DO_READS": "io-threads-do-reads",
    "MASTER_PASSWORD": "masterauth",
    "PRIMARY_PASSWORD": "masterauth",
    "TLS_PORT_NUMBER": "tls-port",
}
"""Variables of Bitnami's images, without their prefix, that become one directive."""


def environment_settings(service: Subject, flavour: Flavour, *, whole: bool) -> Iterator[_Given]:
    """Settings that an image makes from its environment: name, words, place, via, scope.

    ``whole`` is false where a mounted configuration replaces the one that the image would make.
    """
    if not flavour.prefix or not whole:
        return
    for suffix, name in _DIRECT.items():
        node = environment(service, flavour.prefix + suffix)
        if node is None or node.value is None:
            continue
        text = str(node.value)
        if name in ("appendonly", "io-threads-do-reads") and HOLE not in text:
            text = "yes" if text.lower() in _TRUE else "no"
        if text:
            yield _given(name, (text,), node, flavour.prefix + suffix)
    yield from _password_file(service, flavour)
    yield from _save(service, flavour)
    node = environment(service, flavour.prefix + "DISABLE_COMMANDS")
    if node is not None and node.value:
        for command in str(node.value).split(","):
            yield _given("rename-command", (command.strip(), ""), node, flavour.prefix + "DISABLE_COMMANDS")


def _password_file(service: Subject, flavour: Flavour) -> Iterator[_Given]:
    variable = flavour.prefix + "PASSWORD_FILE"
    node = environment(service, variable)
    if node is not None and node.value:
        yield _given("requirepass", (OUTPUT,), node, variable)


def _save(service: Subject, flavour: Flavour) -> Iterator[_Given]:
    """``REDIS_RDB_POLICY="900#1 600#5"`` and ``REDIS_RDB_POLICY_DISABLED=yes``."""
    disabled = environment(service, flavour.prefix + "RDB_POLICY_DISABLED")
    if disabled is not None and str(disabled.value).lower() in _TRUE:
        yield _given("save", ("",), disabled, flavour.prefix + "RDB_POLICY_DISABLED")
        return
    node = environment(service, flavour.prefix + "RDB_POLICY")
    if node is not None and node.value:
        words = tuple(str(node.value).replace("#", " ").split())
        yield _given("save", words, node, flavour.prefix + "RDB_POLICY")


def _given(name: str, words: tuple[str, ...], node: Node, variable: str) -> _Given:
    return name, words, node, f"the environment variable {variable}", "environment"
