"""Facts about what a bind mount hands to the container: the engine's socket, folders of the host, propagation."""

from __future__ import annotations

import posixpath

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Fact, Known, fact
from infra_audit.tree import HOLE, Node

__all__: list[str] = []

_SOCKETS = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock")


def _bind_source(mount: Subject) -> tuple[str, Node] | None:
    """The host's path of a bind mount and its node; None for volumes and for paths that no variable gives."""
    kind, source = mount.node.get("type"), mount.node.get("source")
    if kind is None or kind.value != "bind" or source is None or source.value in (None, ""):
        return None
    text = str(source.value)
    return None if HOLE in text else (posixpath.normpath(text), source)


@fact("mount.is_engine_socket", on="mount")
def is_engine_socket(mount: Subject) -> Fact[bool]:
    """True for the socket of Docker or of another engine."""
    source = mount.node.get("source")
    target = mount.node.get("target")
    names = [str(node.value) for node in (source, target) if node is not None and node.value]
    found = any(posixpath.basename(name) in _SOCKETS for name in names)
    return Known(found, source or mount.node)


_SENSITIVE = frozenset(
    (
        "/",
        "/boot",
        "/dev",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/proc",
        "/root",
        "/run",
        "/sys",
        "/usr",
        "/var",
        "/var/lib",
        "/var/lib/docker",
        "/var/run",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/sudoers",
    )
)
"""Folders of the host that hold its system, its users or other containers (CIS 5.6 and what is like them)."""
_SENSITIVE_BELOW = ("/boot/", "/etc/ssh/", "/etc/sudoers.d/", "/etc/cron", "/root/.ssh", "/var/lib/docker/")
_OWN = ("/var/lib/docker/volumes/",)
"""Below a sensitive folder, and still data of one's own."""


@fact("mount.sensitive_source", on="mount")
def sensitive_source(mount: Subject) -> Fact[str | None]:
    """The host's folder that is mounted, where it holds the host's system, users or other containers."""
    found = _bind_source(mount)
    if found is None:
        return Known(None, mount.node)
    path, node = found
    below = path.startswith(_SENSITIVE_BELOW) and not path.startswith(_OWN)
    return Known(path if path in _SENSITIVE or below else None, node)


@fact("mount.read_only", on="mount")
def read_only(mount: Subject) -> Fact[bool]:
    """True where the container may not write to the mount."""
    node = mount.node.get("read_only")
    if node is None or node.value is None:
        return Known(False, mount.node)
    return Known(str(node.known()).lower() == "true", node)


@fact("mount.propagation", on="mount")
def propagation(mount: Subject) -> Fact[str | None]:
    """How mounts made below it spread between host and container; None for the default (rprivate)."""
    node = mount.node.get("bind", "propagation")
    if node is None or not node.value:
        return Known(None, mount.node)
    return Known(str(node.known()), node)
