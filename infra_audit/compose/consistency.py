"""What Compose refuses only after all files are merged: names that lead nowhere, values that clash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from infra_audit.compose.problems import Path, Problems
from infra_audit.finding import Related
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__ = ["check_consistency"]


def check_consistency(tree: Node, every: frozenset[str], problems: Problems) -> None:
    """Tell ``problems`` everything in the canonical tree that Compose does not accept.

    ``every``: the names of all services, also of those whose profile is not active.
    Where a part of the deployment could not be read, a name that is missing proves nothing.
    """
    sections = {key: _section(tree, key) for key in _SECTIONS}
    services = sections["services"]
    gaps = [problem.subject.name for problem in problems.found() if problem.kind == "gap"]
    for name, service in services.items():
        if service.is_mapping:
            _Service(name, service, sections, every, problems).check(whole="" not in gaps, own=name not in gaps)
    _container_names(services, problems)
    _cycles(services, problems)
    _resources(tree, problems)


_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def _section(tree: Node, key: str) -> dict[str, Node]:
    node = tree.get(key)
    return node.value if node is not None and node.is_mapping else {}


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) and HOLE not in node.value else ""


def _number(node: Node | None) -> float:
    if node is None or node.value is None or (isinstance(node.value, str) and HOLE in node.value):
        return 0.0
    return float(node.value)


class _Service:
    """The checks of one service."""

    def __init__(
        self,
        name: str,
        service: Node,
        sections: Mapping[str, Mapping[str, Node]],
        every: frozenset[str],
        problems: Problems,
    ) -> None:
        self.name = name
        self.every = every
        self.service = service
        self.sections = sections
        self.services = sections["services"]
        self.problems = problems
        self.path: Path = ("services", name)

    def refuse(self, place: Node | Span, message: str, *related: Related) -> None:
        self.problems.refuse(place, self.path, f"service {self.name} {message}", *related)

    def check(self, *, whole: bool, own: bool) -> None:
        """``whole``: the whole deployment was read; ``own``: all that makes up this service was."""
        fields = self.service.value
        image = fields.get("image")
        if own and (image is None or image.value == "") and "build" not in fields and "provider" not in fields:
            self.refuse(self.service, "has neither an image nor a build context")
        for keys, needs_whole, check in _CHECKS:
            if (whole or not needs_whole) and not keys.isdisjoint(fields):
                check(self)

    def _mapping(self, *path: str) -> Iterator[tuple[str, Node]]:
        node = self.service.get(*path)
        return node.items() if node is not None else iter(())

    def _entries(self, *path: str) -> list[Node]:
        node = self.service.get(*path)
        return node.entries() if node is not None else []

    def _build(self) -> None:
        get = self.service.get
        inline, dockerfile = get("build", "dockerfile_inline"), get("build", "dockerfile")
        if inline is not None and dockerfile is not None and inline.value and dockerfile.value:
            self.refuse(dockerfile, "gives both dockerfile and dockerfile_inline")
        platform, platforms = get("platform"), [entry.value for entry in self._entries("build", "platforms")]
        if platform is not None and _text(platform) and platforms and platform.value not in platforms:
            self.refuse(platform, f"has the platform {platform.value}, which is not one of build.platforms")

    def _dependencies(self) -> None:
        for dependency, node in self._mapping("depends_on"):
            required = node.get("required")
            optional = required is not None and required.value is False
            if dependency not in (self.every if optional else self.services):
                self.refuse(node.key or node, f"depends on {dependency}, which is no service")

    def _shared(self) -> None:
        for key in _SHARED:
            mode = self.service.get(key)
            shared = _text(mode)
            if mode and shared.startswith("service:") and shared.removeprefix("service:") not in self.services:
                self.refuse(mode, f"has {key} {shared}, which is no service")

    def _networks(self) -> None:
        mode = self.service.get("network_mode")
        networks = list(self._mapping("networks"))
        if mode is not None and mode.value and networks:
            related = Related((networks[0][1].key or networks[0][1].span), "networks are given here")
            self.refuse(mode.key or mode, "has both network_mode and networks", related)

    def _healthcheck(self) -> None:
        test = self._entries("healthcheck", "test")
        if test and _text(test[0]) and test[0].value not in ("CMD", "CMD-SHELL", "NONE"):
            self.refuse(
                test[0], f"has a healthcheck.test that starts with {test[0].value}; it must be CMD, CMD-SHELL or NONE"
            )

    def _known_networks(self) -> None:
        networks = self.sections["networks"]
        for network, node in self._mapping("networks"):
            if network not in networks:
                self.refuse(node.key or node, f"is on the network {network}, which is not defined")

    def _known_volumes(self) -> None:
        volumes = self.sections["volumes"]
        for mount in self._entries("volumes"):
            kind, source = _text(mount.get("type")), mount.get("source")
            if kind == "volume" and source is not None and _text(source) and source.value not in volumes:
                hint = f"; a path is written ./{source.value}" if "/" in _text(source) else ""
                self.refuse(source, f"mounts the volume {source.value}, which is not defined{hint}")
            if kind == "bind" and (source is None or source.value == ""):
                self.refuse(mount, "has a bind mount without a source")

    def _known_files(self) -> None:
        self._defined(self._entries("secrets"), "secrets")
        self._defined(self._entries("configs"), "configs")
        self._defined(self._entries("build", "secrets"), "secrets")

    def _known_models(self) -> None:
        models = self.sections["models"]
        for model, node in self._mapping("models"):
            if model not in models:
                self.refuse(node.key or node, f"uses the model {model}, which is not defined")

    def _contexts(self) -> None:
        for name, node in self._mapping("build", "additional_contexts"):
            target = _text(node)
            if target.startswith("service:") and target.removeprefix("service:") not in self.services:
                self.refuse(node, f"builds with {name} from {target}, which is no service")

    def _defined(self, entries: list[Node], section: str) -> None:
        declared = self.sections[section]
        for entry in entries:
            source = entry.get("source")
            name = "" if source is None else source.value
            if isinstance(name, str) and HOLE not in name and name not in declared:
                self.refuse(source or entry, f"uses the {section[:-1]} {name or repr(name)}, which is not defined")

    def _twice(self) -> None:
        """Settings that can be given in two places must agree."""
        get = self.service.get
        scale, replicas = get("scale"), get("deploy", "replicas")
        if (
            scale is not None
            and replicas is not None
            and _number(scale) != _number(replicas)
            and _known(scale, replicas)
        ):
            self.refuse(
                scale,
                f"has scale {scale.value} and deploy.replicas {replicas.value}",
                Related(replicas.place, "replicas"),
            )
        for old, section, key in _TWICE:
            first, limits = get(old), get("deploy", "resources", section)
            if first is None or not _number(first) or limits is None or limits.value is None:
                continue
            second = limits.get(key)
            if _number(first) != _number(second) and _known(first, second):
                shown = "none" if second is None else second.span.text
                place = second.place if second is not None else limits.place
                self.refuse(
                    first,
                    f"has {old} {first.span.text} and deploy.resources.{section}.{key} {shown}",
                    Related(place, "the other value"),
                )
        container = get("container_name")
        count = replicas if replicas is not None else scale
        if container is not None and container.value and count is not None and _number(count) > 1:
            self.refuse(
                container,
                f"has a container_name and {int(_number(count))} replicas",
                Related(count.place, "the replicas"),
            )

    def _mounts(self) -> None:
        places: dict[str, Node] = {}
        for node in [*self._entries("tmpfs"), *self._entries("volumes")]:
            target = _text(node).split(":")[0] if node.is_scalar else _text(node.get("target"))
            if not target:
                if node.is_mapping and node.get("target") is None:
                    self.refuse(node, "has a volume without a target")
                continue
            if target in places:
                self.refuse(node, f"mounts {target} twice", Related(places[target].place, "first mounted here"))
            places.setdefault(target, node)

    def _ports(self) -> None:
        for port in self._entries("ports"):
            if port.is_mapping and port.get("target") is None:
                self.refuse(port, "has a port without a target")

    def _devices(self) -> None:
        for mapped in self._entries("devices"):
            if mapped.is_mapping and "target" not in mapped.value:
                self.refuse(mapped, "has a device without a target")

    def _device_requests(self) -> None:
        for device in [*self._entries("gpus"), *self._entries("deploy", "resources", "reservations", "devices")]:
            count, ids = device.get("count"), device.get("device_ids")
            if count is not None and ids is not None:
                self.refuse(count, "asks for devices by count and by device_ids")

    def _watches(self) -> None:
        for watch in self._entries("develop", "watch"):
            action, target = watch.get("action"), watch.get("target")
            if action is not None and action.value in _COPIES and (target is None or target.value == ""):
                self.refuse(watch, f"watches with the action {action.value} and names no target")

    def _hosts(self) -> None:
        for host in [*self._entries("extra_hosts"), *self._entries("build", "extra_hosts")]:
            name, separator, _ = str(host.value).partition("=")
            if HOLE in str(host.value):
                continue
            if not separator:
                self.refuse(host, f"has the extra host {name!r} without an address")
            elif not name or ":" in name:
                self.refuse(host, f"has an extra host with the name {name!r}, which is none")


_SHARED = ("network_mode", "ipc", "pid", "uts")
_COPIES = ("sync", "sync+restart", "sync+exec")
_TWICE = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("pids_limit", "limits", "pids"),
    ("mem_reservation", "reservations", "memory"),
)
_CHECKS: tuple[tuple[frozenset[str], bool, Callable[[_Service], None]], ...] = (
    (frozenset({"build"}), False, _Service._build),
    (frozenset({"depends_on"}), True, _Service._dependencies),
    (frozenset(_SHARED), True, _Service._shared),
    (frozenset({"networks"}), True, _Service._known_networks),
    (frozenset({"volumes"}), True, _Service._known_volumes),
    (frozenset({"secrets", "configs", "build"}), True, _Service._known_files),
    (frozenset({"models"}), True, _Service._known_models),
    (frozenset({"build"}), True, _Service._contexts),
    (frozenset({"network_mode"}), False, _Service._networks),
    (frozenset({"healthcheck"}), False, _Service._healthcheck),
    (frozenset({"scale", "container_name", *(key for key, _, _ in _TWICE)}), False, _Service._twice),
    (frozenset({"tmpfs", "volumes"}), False, _Service._mounts),
    (frozenset({"ports"}), False, _Service._ports),
    (frozenset({"devices"}), False, _Service._devices),
    (frozenset({"gpus", "deploy"}), False, _Service._device_requests),
    (frozenset({"develop"}), False, _Service._watches),
    (frozenset({"extra_hosts", "build"}), False, _Service._hosts),
)
"""Keys of which a service must have one, whether the whole deployment must have been read, and what is checked then."""


def _known(*nodes: Node | None) -> bool:
    return all(node is None or not (isinstance(node.value, str) and HOLE in node.value) for node in nodes)


def _profiles(service: Node) -> set[str]:
    profiles = service.get("profiles")
    return {str(node.value) for node in profiles.entries()} if profiles is not None else set()


def together(first: Node, second: Node) -> bool:
    """True where two services can be active at once without asking for two profiles."""
    ours, theirs = _profiles(first), _profiles(second)
    return not ours or not theirs or bool(ours & theirs)


def _container_names(services: Mapping[str, Node], problems: Problems) -> None:
    owners: dict[str, tuple[str, Node]] = {}
    for name, service in services.items():
        node = service.get("container_name")
        text = _text(node)
        if node is None or not text:
            continue
        if text in owners and together(services[owners[text][0]], service):
            other, first = owners[text]
            message = f"service {name} has the container_name {text}, which service {other} has too"
            problems.refuse(node, ("services", name), message, Related(first.place, "the other service"))
        owners.setdefault(text, (name, node))


def _cycles(services: Mapping[str, Node], problems: Problems) -> None:
    """Circles in depends_on, each told once."""
    state: dict[str, int] = {}
    for start in services:
        if start in state:
            continue
        way = [start]
        stack = [iter(_dependencies(services[start]))]
        state[start] = 1
        while stack:
            following = next(stack[-1], None)
            if following is None:
                state[way.pop()] = 2
                stack.pop()
                continue
            name, node = following
            if state.get(name) == 1:
                circle = " → ".join([*way[way.index(name) :], name])
                problems.refuse(node.key or node, ("services", way[-1]), f"dependencies run in a circle: {circle}")
            elif name in services and name not in state:
                state[name] = 1
                way.append(name)
                stack.append(iter(_dependencies(services[name])))


def _dependencies(service: Node) -> list[tuple[str, Node]]:
    node = service.get("depends_on")
    return list(node.items()) if node is not None else []


_ONE_OF = {"secrets": ("file", "environment"), "configs": ("file", "environment", "content")}


def _resources(tree: Node, problems: Problems) -> None:
    for name, volume in _section(tree, "volumes").items():
        external = volume.get("external")
        if external is None or external.value is not True:
            continue
        for key in volume.value:
            if key not in ("name", "external") and not key.startswith("x-"):
                place = volume.value[key]
                problems.refuse(
                    place.key or place,
                    ("volumes", name),
                    f"volume {name} is external and has the key {key}",
                    Related(external.place, "external here"),
                )
    for section, keys in _ONE_OF.items():
        for name, resource in _section(tree, section).items():
            if not resource.is_mapping:
                continue
            given = [key for key in keys if key in resource.value]
            if len(given) > 1:
                message = f"{section[:-1]} {name} has {' and '.join(given)}; only one of them is allowed"
                problems.refuse(resource.value[given[1]], (section, name), message)
            elif not _has_content(section, resource, given):
                message = f"{section[:-1]} {name} must have one of {', '.join(keys)}"
                problems.refuse(resource, (section, name), message)


def _has_content(section: str, resource: Node, given: list[str]) -> bool:
    """A secret needs a text that is not empty unless it is external; a config just one of the keys."""
    external = resource.get("external")
    if section == "configs":
        return bool(given) or external is not None
    return any(resource.value[key].value != "" for key in given) or (external is not None and external.value is True)
