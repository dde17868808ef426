"""A container as the service that Compose would have written for it.

Each value stands at the field of the API's answer that it was read from. What the image brings by itself (command,
environment, user, health check) is left out, as it is left out of a Compose file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from infra_audit.live.projects import COMPOSE
from infra_audit.tree import Node
from infra_audit.units import format_duration

__all__ = ["as_service"]

_DEFAULT_SHM = 64 * 1024 * 1024
_STATE_SHARED = ("host", "none")
_GENERATED_NAME = re.compile(r"(?:[0-9a-f]{12}_)?(.+)[-_]([0-9]+)")
"""Project, service and number; in front of them the id of a container that is about to be replaced."""
_HEALTH_DURATIONS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}


def as_service(
    container: Node, image: Mapping[str, Any], networks: Mapping[str, str], volumes: Mapping[str, str]
) -> Node:
    """The service of one container.

    ``image``: the image's own Config. ``networks`` and ``volumes``: the engine's name → the name in the Compose file.
    """
    fields: dict[str, Node] = {}
    for key, make in _FIELDS.items():
        node = make(container, image)
        if node is not None:
            fields[key] = node
    if (found := _networks(container, networks)) is not None:
        fields["networks"] = found
    if (mounts := _mounts(container, volumes)) is not None:
        fields["volumes"] = mounts
    return container.with_value(fields)


# -- helpers -------------------------------------------------------------------------------------


def _at(container: Node, *path: str) -> Node | None:
    """A field that says something: not null, and neither an empty text nor an empty collection."""
    node = container.get(*path)
    return None if node is None or node.value in (None, "", {}, []) else node


def _positive(container: Node, *path: str) -> Node | None:
    node = _at(container, *path)
    return node if node is not None and isinstance(node.value, int | float) and node.value > 0 else None


def _data(container: Node, *path: str) -> Any:
    node = container.get(*path)
    return None if node is None else node.data()


# -- one key each --------------------------------------------------------------------------------


def _own(*path: str, image_key: str = "") -> Callable[[Node, Mapping[str, Any]], Node | None]:
    """A field as it is, unless the image has the same."""

    def make(container: Node, image: Mapping[str, Any]) -> Node | None:
        node = _at(container, *path)
        return None if node is None or (image_key and image.get(image_key) == node.data()) else node

    return make


def _true(*path: str) -> Callable[[Node, Mapping[str, Any]], Node | None]:
    def make(container: Node, _: Mapping[str, Any]) -> Node | None:
        node = container.get(*path)
        return node if node is not None and node.value is True else None

    return make


def _command(container: Node, image: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Cmd")
    same_entry = (_data(container, "Config", "Entrypoint") or None) == (image.get("Entrypoint") or None)
    return None if node is None or (same_entry and node.data() == image.get("Cmd")) else node


def _environment(container: Node, image: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Env")
    brought = set(image.get("Env") or ())
    found: dict[str, Node] = {}
    for entry in node.entries() if node else ():
        text = str(entry.value)
        name, equals, value = text.partition("=")
        if text not in brought:
            span = entry.span
            key = span.part(0, len(name))
            whole = span.part(len(name) + 1, len(span.text)) if equals else span
            found[name] = Node(value if equals else None, whole, key)
    return node.with_value(found) if node is not None and found else None


def _health(container: Node, image: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Healthcheck")
    if node is None or node.data() == image.get("Healthcheck"):
        return None
    own = image.get("Healthcheck") or {}
    fields: dict[str, Node] = {}
    test = node.get("Test")
    if test is not None and test.value and test.data() != own.get("Test"):
        fields["test"] = test
        if test.data() == ["NONE"]:
            return node.with_value({"disable": test.with_value(True), "test": test})
    for key, name in _HEALTH_DURATIONS.items():
        child = node.get(name)
        if child is not None and child.value:
            fields[key] = child.with_value(format_duration(int(child.value)))
    retries = node.get("Retries")
    if retries is not None and retries.value:
        fields["retries"] = retries
    return node.with_value(fields)


def _restart(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "RestartPolicy", "Name")
    if node is None or node.value == "no":
        return None
    most = _data(container, "HostConfig", "RestartPolicy", "MaximumRetryCount")
    return node.with_value(f"{node.value}:{most}") if most and node.value == "on-failure" else node


def _deploy(container: Node, _: Mapping[str, Any]) -> Node | None:
    host = container.get("HostConfig")
    if host is None:
        return None
    limits: dict[str, Node] = {}
    reservations: dict[str, Node] = {}
    cpus = _positive(host, "NanoCpus")
    if cpus is not None:
        limits["cpus"] = cpus.with_value(round(cpus.value / 10**9, 9))
    for key, part, into in (("memory", "Memory", limits), ("memory", "MemoryReservation", reservations)):
        node = _positive(host, part)
        if node is not None:
            into[key] = node.with_value(str(node.value))
    pids = _positive(host, "PidsLimit")
    if pids is not None:
        limits["pids"] = pids
    parts = {
        name: host.with_value(found) for name, found in (("limits", limits), ("reservations", reservations)) if found
    }
    return host.with_value({"resources": host.with_value(parts)}) if parts else None


def _shared_namespace(field: str) -> Callable[[Node, Mapping[str, Any]], Node | None]:
    def make(container: Node, _: Mapping[str, Any]) -> Node | None:
        node = _at(container, "HostConfig", field)
        return None if node is None or node.value in ("private", "shareable", "default") else node

    return make


def _network_mode(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "NetworkMode")
    return node if node is not None and str(node.value).startswith((*_STATE_SHARED, "container:")) else None


def _ports(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "PortBindings")
    found: list[Node] = []
    for port, bindings in node.items() if node else ():
        number, _slash, protocol = port.partition("/")
        for binding in bindings.entries():
            place = bindings.key or bindings.span
            fields = {
                "mode": Node("ingress", place),
                "target": Node(int(number), place),
                "protocol": Node(protocol or "tcp", place),
            }
            outer = binding.get("HostPort")
            if outer is not None and outer.value:
                fields["published"] = outer
            address = binding.get("HostIp")
            if address is not None and address.value:
                fields["host_ip"] = address
            found.append(Node(fields, binding.span))
    return node.with_value(found) if node is not None and found else None


def _expose(container: Node, image: Mapping[str, Any]) -> Node | None:
    """What is exposed and neither published nor exposed by the image."""
    node = _at(container, "Config", "ExposedPorts")
    known = {**(image.get("ExposedPorts") or {}), **(_data(container, "HostConfig", "PortBindings") or {})}
    own = [(port, child) for port, child in (node.items() if node else ()) if port not in known]
    ports = [Node(port.removesuffix("/tcp"), child.key or child.span) for port, child in own]
    return node.with_value(ports) if node is not None and ports else None


def _ulimits(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "Ulimits")
    found = {}
    for entry in node.entries() if node else ():
        name, soft, hard = (entry.get(key) for key in ("Name", "Soft", "Hard"))
        if name is not None and soft is not None and hard is not None:
            found[str(name.value)] = entry.with_value({"soft": soft, "hard": hard})
    return node.with_value(found) if node is not None and found else None


def _logging(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "LogConfig")
    kind = node.get("Type") if node else None
    if node is None or kind is None:
        return None
    options = _at(node, "Config")
    return node.with_value({"driver": kind, **({"options": options} if options else {})})


def _shm(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _positive(container, "HostConfig", "ShmSize")
    return None if node is None or node.value == _DEFAULT_SHM else node.with_value(str(node.value))


def _container_name(container: Node, _: Mapping[str, Any]) -> Node | None:
    name = container.get("Name")
    labels = _data(container, "Config", "Labels") or {}
    if name is None or not name.value:
        return None
    text = str(name.value).lstrip("/")
    project, service, number = (labels.get(COMPOSE + key, "") for key in ("project", "service", "container-number"))
    parts = _GENERATED_NAME.fullmatch(text)
    generated = parts and parts[1] in (f"{project}-{service}", f"{project}_{service}") and number in ("", parts[2])
    if generated or "com.docker.swarm.task.name" in labels:
        return None
    return name.with_value(text)


def _hostname(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Hostname")
    identity = str(_data(container, "Id") or "")
    return None if node is None or identity.startswith(str(node.value)) else node


def _labels(container: Node, image: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Labels")
    brought = (image.get("Labels") or {}).items()
    found = {
        key: child
        for key, child in (node.items() if node else ())
        if not key.startswith(("com.docker.compose.", "com.docker.swarm.", "com.docker.stack."))
        and (key, child.value) not in brought
    }
    return node.with_value(found) if node is not None and found else None


def _depends_on(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "Config", "Labels", COMPOSE + "depends_on")
    found = {}
    for part in str(node.value).split(",") if node else ():
        name, _colon, rest = part.partition(":")
        condition, _colon, restart = rest.partition(":")
        if name and node is not None:
            fields: dict[str, Any] = {"condition": condition or "service_started", "required": True}
            if restart == "true":
                fields["restart"] = True
            found[name] = node.with_value({key: node.with_value(value) for key, value in fields.items()})
    return node.with_value(found) if node is not None and found else None


def _stop_grace(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _positive(container, "Config", "StopTimeout")
    return None if node is None else node.with_value(format_duration(int(node.value) * 10**9))


def _tmpfs(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "Tmpfs")
    if node is None:
        return None
    return node.with_value(
        [child.with_value(f"{path}:{child.value}" if child.value else path) for path, child in node.items()]
    )


def _devices(container: Node, _: Mapping[str, Any]) -> Node | None:
    node = _at(container, "HostConfig", "Devices")
    names = (("source", "PathOnHost"), ("target", "PathInContainer"), ("permissions", "CgroupPermissions"))
    if node is None:
        return None
    return node.with_value(
        [
            entry.with_value({key: child for key, name in names if (child := entry.get(name)) is not None})
            for entry in node.entries()
        ]
    )


_FIELDS: Mapping[str, Callable[[Node, Mapping[str, Any]], Node | None]] = {
    "image": _own("Config", "Image"),
    "container_name": _container_name,
    "command": _command,
    "entrypoint": _own("Config", "Entrypoint", image_key="Entrypoint"),
    "environment": _environment,
    "user": _own("Config", "User", image_key="User"),
    "working_dir": _own("Config", "WorkingDir", image_key="WorkingDir"),
    "hostname": _hostname,
    "healthcheck": _health,
    "restart": _restart,
    "deploy": _deploy,
    "cpu_quota": lambda container, _: _positive(container, "HostConfig", "CpuQuota"),
    "cpu_period": lambda container, _: _positive(container, "HostConfig", "CpuPeriod"),
    "privileged": _true("HostConfig", "Privileged"),
    "read_only": _true("HostConfig", "ReadonlyRootfs"),
    "init": _true("HostConfig", "Init"),
    "oom_kill_disable": _true("HostConfig", "OomKillDisable"),
    "cap_add": _own("HostConfig", "CapAdd"),
    "cap_drop": _own("HostConfig", "CapDrop"),
    "security_opt": _own("HostConfig", "SecurityOpt"),
    "group_add": _own("HostConfig", "GroupAdd"),
    "extra_hosts": _own("HostConfig", "ExtraHosts"),
    "dns": _own("HostConfig", "Dns"),
    "sysctls": _own("HostConfig", "Sysctls"),
    "devices": _devices,
    "tmpfs": _tmpfs,
    "pid": _shared_namespace("PidMode"),
    "ipc": _shared_namespace("IpcMode"),
    "uts": _shared_namespace("UTSMode"),
    "userns_mode": _shared_namespace("UsernsMode"),
    "network_mode": _network_mode,
    "ports": _ports,
    "expose": _expose,
    "ulimits": _ulimits,
    "logging": _logging,
    "shm_size": _shm,
    "labels": _labels,
    "depends_on": _depends_on,
    "stop_grace_period": _stop_grace,
    "stop_signal": _own("Config", "StopSignal", image_key="StopSignal"),
}
"""Key of the Compose file → how it is read from a container and its image's own settings."""


# -- networks and mounts -------------------------------------------------------------------------


def _networks(container: Node, names: Mapping[str, str]) -> Node | None:
    attached = _at(container, "NetworkSettings", "Networks")
    if attached is None or _network_mode(container, {}) is not None:
        return None
    identity = str(_data(container, "Id") or "")
    own = {identity[:12], str(_data(container, "Name") or "").lstrip("/")}
    labels = _data(container, "Config", "Labels") or {}
    own.add(str(labels.get(COMPOSE + "service", "")))
    found: dict[str, Node] = {}
    for name, node in attached.items():
        fields: dict[str, Node] = {}
        aliases = [entry for entry in (_at(node, "Aliases") or node).entries() if entry.value not in own]
        if aliases:
            fields["aliases"] = node.with_value(aliases)
        for key, part in (("ipv4_address", "IPv4Address"), ("ipv6_address", "IPv6Address")):
            fixed = _at(node, "IPAMConfig", part)
            if fixed is not None:
                fields[key] = fixed
        found[names.get(name, name)] = node.with_value(fields or None)
    return attached.with_value(found)


def _mounts(container: Node, names: Mapping[str, str]) -> Node | None:
    """Long-form mounts. An unnamed volume that the image asks for is the image's own."""
    mounts = _at(container, "Mounts")
    found: list[Node] = []
    image_volumes = set(_data(container, "Config", "Volumes") or {})
    for entry in mounts.entries() if mounts else ():
        kind, target = entry.get("Type"), entry.get("Destination")
        if kind is None or target is None:
            continue
        fields: dict[str, Node] = {"type": kind, "target": target}
        source = entry.get("Name") if kind.value == "volume" else entry.get("Source")
        if kind.value == "volume" and source is not None:
            if str(source.value) in names:
                source = source.with_value(names[str(source.value)])
            elif re.fullmatch("[0-9a-f]{64}", str(source.value)):
                if target.value in image_volumes:
                    continue
                source = None
        if source is not None and source.value:
            fields["source"] = source
        writable = entry.get("RW")
        if writable is not None and writable.value is False:
            fields["read_only"] = writable.with_value(True)
        propagation = _at(entry, "Propagation")
        if kind.value == "bind" and propagation is not None and propagation.value not in ("rprivate", ""):
            fields["bind"] = entry.with_value({"propagation": propagation})
        found.append(entry.with_value(fields))
    found.sort(key=lambda mount: str(mount.value["target"].value))
    return mounts.with_value(found) if mounts is not None and found else None
