"""Facts about how far a container is kept apart from its host: privileges, namespaces, profiles, devices, user."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.dockerfile import built_image
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.patterns import Pattern
from infra_audit.tree import HOLE, Node

__all__: list[str] = []


def _entries(service: Subject, key: str) -> list[Node]:
    node = service.node.get(key)
    return node.entries() if node is not None else []


def _flag(service: Subject, key: str) -> Fact[bool]:
    """A typed boolean of the service; false where it is absent."""
    node = service.node.get(key)
    if node is None or node.value is None:
        return Known(False, service.node)
    return Known(str(node.known()).lower() == "true", node)


@fact("service.privileged", on="service")
def privileged(service: Subject) -> Fact[bool]:
    """True where the container gets every capability and device of the host."""
    return _flag(service, "privileged")


@fact("service.read_only_root", on="service")
def read_only_root(service: Subject) -> Fact[bool]:
    """True where the container cannot write to its own root file system."""
    return _flag(service, "read_only")


_HOST_NAMESPACES = {
    "network_mode": "network",
    "pid": "process",
    "ipc": "IPC",
    "uts": "UTS (host name)",
    "userns_mode": "user",
}


@fact("service.host_namespaces", on="service")
def host_namespaces(service: Subject) -> Fact[list[Item]]:
    """Namespaces that the container shares with its host."""
    items = []
    for key, name in _HOST_NAMESPACES.items():
        node = service.node.get(key)
        if node is None or node.value is None:
            continue
        if HOLE in str(node.value):
            items.append(Item(f"{key}: {node.why_unknown()}", (Evidence(node),), unknown=True))
        elif node.value == "host":
            items.append(Item(f"{name} namespace", (Evidence(node),)))
    return Known(items, service.node)


# -- capabilities --------------------------------------------------------------------------------

_ROOT_CAPABILITIES = {
    "ALL": "every right of the host's root",
    "SYS_ADMIN": "mounts, namespaces and most of what root may do",
    "SYS_MODULE": "loads code into the kernel",
    "SYS_RAWIO": "reads and writes the host's memory and devices",
    "DAC_READ_SEARCH": "opens any file of the host by its handle",
    "BPF": "loads programs into the kernel",
    "SYS_PTRACE": "reads and changes other processes",
    "SYS_BOOT": "restarts the host",
}
"""Capabilities that lead out of the container; source: man 7 capabilities."""
_HOST_CAPABILITIES = {
    "NET_ADMIN": "changes interfaces, routes and firewall rules of its network namespace",
    "SYS_TIME": "sets the host's clock",
    "MAC_ADMIN": "changes the host's access rules",
    "MAC_OVERRIDE": "passes over the host's access rules",
    "PERFMON": "watches the whole host",
    "SYSLOG": "reads the kernel's log",
}


def _capabilities(service: Subject, dangerous: dict[str, str]) -> Fact[list[Item]]:
    items = []
    for node in _entries(service, "cap_add"):
        name = str(node.known()).upper().removeprefix("CAP_")
        if name in dangerous:
            items.append(Item(f"{name}: {dangerous[name]}", (Evidence(node),)))
    return Known(items, service.node)


@fact("service.root_capabilities", on="service")
def root_capabilities(service: Subject) -> Fact[list[Item]]:
    """Added capabilities that lead out of the container."""
    return _capabilities(service, _ROOT_CAPABILITIES)


@fact("service.host_capabilities", on="service")
def host_capabilities(service: Subject) -> Fact[list[Item]]:
    """Added capabilities that change something of the host without leading out of the container by themselves."""
    return _capabilities(service, _HOST_CAPABILITIES)


_DEFAULT_CAPABILITIES = frozenset(
    (
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    )
)
"""What the engine gives every container."""


@fact("service.kept_capabilities", on="service")
def kept_capabilities(service: Subject) -> Fact[int]:
    """How many of the 14 capabilities that the engine gives every container cap_drop leaves."""
    dropped = {str(node.known()).upper().removeprefix("CAP_") for node in _entries(service, "cap_drop")}
    kept = frozenset() if "ALL" in dropped else _DEFAULT_CAPABILITIES - dropped
    return Known(len(kept), service.node.get("cap_drop") or service.node)


# -- security options ----------------------------------------------------------------------------

_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
_OFF = {
    "seccomp": "seccomp is off: every system call is open",
    "apparmor": "AppArmor is off",
    "systempaths": "the kernel's masked paths in /proc and /sys are open",
}


@fact("service.no_new_privileges", on="service")
def no_new_privileges(service: Subject) -> Fact[bool]:
    """True where no process of the container may gain rights by a setuid program."""
    for node in _entries(service, "security_opt"):
        if str(node.known()).replace(" ", "").lower() in _NO_NEW_PRIVILEGES:
            return Known(True, node)
    return Known(False, service.node.get("security_opt") or service.node)


@fact("service.profiles_off", on="service")
def profiles_off(service: Subject) -> Fact[list[Item]]:
    """Security profiles of the engine that security_opt switches off."""
    items = []
    for node in _entries(service, "security_opt"):
        text = str(node.known()).lower()
        name, _, value = text.partition("=" if "=" in text else ":")
        if value == "unconfined" and name in _OFF:
            items.append(Item(_OFF[name], (Evidence(node),)))
        elif (name, value) == ("label", "disable"):
            items.append(Item("SELinux labels are off", (Evidence(node),)))
    return Known(items, service.node)


# -- devices -------------------------------------------------------------------------------------

_RAW_DEVICE = Pattern(
    r"/dev/(?:sd[a-z]|hd[a-z]|vd[a-z]|xvd[a-z]|nvme\d|mmcblk\d|mapper|md\d|dm-|disk|loop|mem|kmem|port|kmsg)|/dev/?\Z"
)


def _devices(service: Subject, *, raw: bool) -> Fact[list[Item]]:
    items = []
    for node in _entries(service, "devices"):
        source = node.get("source") or node
        name = str(source.known())
        if name.startswith("/dev") and (_RAW_DEVICE.match(name) is not None) is raw:
            items.append(Item(name, (Evidence(source),)))
    return Known(items, service.node)


@fact("service.raw_devices", on="service")
def raw_devices(service: Subject) -> Fact[list[Item]]:
    """Disks and memory of the host that the container is given."""
    return _devices(service, raw=True)


@fact("service.other_devices", on="service")
def other_devices(service: Subject) -> Fact[list[Item]]:
    """Devices of the host, neither disks nor memory, that the container is given."""
    return _devices(service, raw=False)


# -- user ----------------------------------------------------------------------------------------

_ROOT = ("root", "0")


def _user(service: Subject) -> Node | Evidence | None:
    """Where the files say as whom the container runs; None where only the image knows."""
    node = service.node.get("user")
    if node is not None and node.value not in (None, ""):
        return node
    try:
        built = built_image(service)
    except InfraAuditError:
        return None
    users = built.all("USER") if built else []
    return Evidence(users[-1].span, "the Dockerfile's USER") if users else None


@fact("deployment.root_users", on="deployment")
def root_users(deployment: Subject) -> Fact[list[Item]]:
    """Services that the files run as root; one undecided entry for all whose user only the image knows."""
    items = []
    unknown = []
    for service in deployment.deployment.subjects("service"):
        found = _user(service)
        if found is None:
            unknown.append(service.name)
            continue
        evidence = found if isinstance(found, Evidence) else Evidence(found)
        text = str(found.value) if isinstance(found, Node) else evidence.span.text.split(None, 1)[-1]
        if HOLE in text or "$" in text:
            unknown.append(service.name)
        elif text.partition(":")[0].strip("\"' ") in _ROOT:
            items.append(Item("runs as root", (evidence,), ("service", service.name)))
    if unknown:
        names = ", ".join(unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else "")
        items.append(Item(f"the files do not say as whom {names} run: the image decides", (), unknown=True))
    return Known(items, deployment.node)


_SHOWN = 4
