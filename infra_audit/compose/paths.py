"""Relative paths of a document made absolute, from the folder that they are relative to."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable

from infra_audit.patterns import Pattern
from infra_audit.source import Hop
from infra_audit.tree import HOLE, Node

__all__ = ["absolute", "relative_files", "resolve_merged", "resolve_paths", "resolve_service"]

_REMOTE_CONTEXT = Pattern(r"https?://|git://|ssh://|github\.com/|git@", hints=("://", "github.com/", "git@"))
_WINDOWS = Pattern(r"[a-zA-Z]:[\\/]|\\\\", hints=(":", "\\\\"))


def absolute(path: str, folder: str) -> str:
    """A path of the host made absolute; ``~`` is the home directory."""
    if HOLE in path:
        return path
    if path.startswith("~"):
        path = posixpath.normpath(posixpath.join(os.path.expanduser("~"), path[1:].lstrip("/")))
    if _is_absolute(path):
        return path
    return posixpath.normpath(posixpath.join(folder, path))


def _is_absolute(path: str) -> bool:
    return HOLE in path or path.startswith(("/", "~")) or bool(_WINDOWS.match(path))


def _context(path: str, folder: str) -> str:
    if not path or "://" in path or _REMOTE_CONTEXT.match(path) or path.startswith("service:"):
        return path
    return absolute(path, folder)


def resolve_paths(root: Node, folder: str) -> Node:
    """The canonical tree with the paths in it made absolute."""
    children = dict(root.value)
    services = root.get("services")
    if services is not None and services.is_mapping:
        children["services"] = services.with_value(
            {name: resolve_service(service, folder) for name, service in services.value.items()}
        )
    for section in ("configs", "secrets"):
        top = root.get(section)
        if top is not None and top.is_mapping:
            children[section] = top.with_value(
                {name: _at(entry, ("file",), absolute, folder) for name, entry in top.value.items()}
            )
    volumes = root.get("volumes")
    if volumes is not None and volumes.is_mapping:
        children["volumes"] = volumes.with_value(
            {name: _volume(entry, folder) for name, entry in volumes.value.items()}
        )
    return root.with_value(children)


def resolve_merged(root: Node, folder: str) -> Node:
    """The merged tree with the paths made absolute that Compose compares as they are written when it merges,
    and with the folder as the context of each build that names none."""
    services = root.get("services")
    if services is None or not services.is_mapping:
        return root
    changed: dict[str, Node] = {}
    for name, service in services.items():
        resolved = _named_files(service, folder, absolute)
        build = service.get("build")
        if build is not None and build.is_mapping and "context" not in build.value:
            resolved = resolved.with_value(resolved.value | {"build": _with_context(build, folder)})
        if resolved is not service:
            changed[name] = resolved
    if not changed:
        return root
    return root.with_value(root.value | {"services": services.with_value(services.value | changed)})


def relative_files(service: Node, folder: str, top: str) -> Node:
    """An extended service of another folder: its env and label files named from the folder ``top``."""
    way = os.path.relpath(folder, top)
    return _named_files(
        service, way, lambda path, way: path if _is_absolute(path) else posixpath.normpath(posixpath.join(way, path))
    )


def _named_files(service: Node, folder: str, resolver: Callable[[str, str], str]) -> Node:
    if not service.is_mapping:
        return service
    for path in (("env_file", "*", "path"), ("label_file", "*")):
        if path[0] in service.value:
            service = _at(service, path, resolver, folder)
    return service


def _with_context(build: Node, folder: str) -> Node:
    context = Node(folder, build.place, None, (Hop("implied", "the project's folder", build.place),))
    return build.with_value({"context": context, **build.value})


_SERVICE_PATHS: tuple[tuple[tuple[str, ...], Callable[[str, str], str]], ...] = (
    (("build", "context"), _context),
    (("build", "additional_contexts", "*"), _context),
    (("develop", "watch", "*", "path"), absolute),
)


def resolve_service(service: Node, folder: str) -> Node:
    """The canonical service with the paths in it made absolute."""
    if not service.is_mapping:
        return service
    for path, resolver in _SERVICE_PATHS:
        if path[0] in service.value:
            service = _at(service, path, resolver, folder)
    volumes = service.get("volumes")
    if volumes is None or not volumes.is_list:
        return service
    return service.with_value(
        service.value | {"volumes": volumes.with_value([_mount(item, folder) for item in volumes.value])}
    )


def _at(node: Node, path: tuple[str, ...], resolver: Callable[[str, str], str], folder: str) -> Node:
    """The tree with the text at a path (``*``: every entry) resolved."""
    if not path:
        if type(node.value) is not str:
            return node
        resolved = resolver(node.value, folder)
        return node if resolved == node.value else node.with_value(resolved)
    step, rest = path[0], path[1:]
    if node.is_list:
        return node.with_value([_at(child, rest, resolver, folder) for child in node.value])
    if not node.is_mapping:
        return node
    keys = list(node.value) if step == "*" else [step] if step in node.value else []
    if not keys:
        return node
    return node.with_value(node.value | {key: _at(node.value[key], rest, resolver, folder) for key in keys})


def _mount(mount: Node, folder: str) -> Node:
    kind = mount.get("type")
    return _at(mount, ("source",), absolute, folder) if kind is not None and kind.value == "bind" else mount


def _volume(volume: Node, folder: str) -> Node:
    driver, option = volume.get("driver"), volume.get("driver_opts", "o")
    if driver is None or driver.value != "local" or option is None or option.value != "bind":
        return volume
    return _at(volume, ("driver_opts", "device"), absolute, folder)
