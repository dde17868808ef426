"""Which parts of the engine's answers are kept: what policies speak about, and nothing that is only bulk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CONTAINER", "IMAGE", "INFO", "NETWORK", "SERVICE", "SUMMARY", "TASK", "VOLUME", "trim"]

Keep = Mapping[str, Any]
"""Keys to keep: True for all that is below, a mapping for parts of it. ``*`` stands for every key of a mapping."""


def _all(keys: str) -> dict[str, Any]:
    return dict.fromkeys(keys.split(), True)


CONTAINER: Keep = {
    **_all("Id Name Created Image RestartCount LogPath Platform"),
    "State": True,
    "Config": _all(
        "Hostname User Env Cmd Entrypoint Image Labels Healthcheck ExposedPorts Volumes WorkingDir StopSignal"
        " StopTimeout Tty OpenStdin Domainname"
    ),
    "HostConfig": _all(
        "Binds NetworkMode PortBindings RestartPolicy AutoRemove CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts"
        " GroupAdd IpcMode PidMode UTSMode UsernsMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt Tmpfs"
        " ShmSize Sysctls Runtime Memory MemoryReservation MemorySwap NanoCpus CpuQuota CpuPeriod CpuShares"
        " CpusetCpus Devices OomKillDisable OomScoreAdj PidsLimit Ulimits Init LogConfig Mounts CgroupParent"
    ),
    "Mounts": True,
    "NetworkSettings": {
        "Ports": True,
        "Networks": {"*": _all("IPAMConfig Links Aliases NetworkID IPAddress GlobalIPv6Address")},
    },
}
IMAGE: Keep = {
    **_all("Id RepoTags RepoDigests"),
    "Config": _all("Env Cmd Entrypoint User Healthcheck ExposedPorts Volumes WorkingDir StopSignal Labels"),
}
INFO: Keep = {
    **_all("Name ServerVersion NCPU MemTotal CgroupVersion CgroupDriver Driver LoggingDriver OperatingSystem OSType"),
    **_all("Architecture KernelVersion SecurityOptions Warnings"),
    "Swarm": _all("NodeID LocalNodeState ControlAvailable"),
}
NETWORK: Keep = _all("Id Name Driver Scope EnableIPv6 IPAM Internal Attachable Ingress Options Labels Containers")
VOLUME: Keep = _all("Name Driver Mountpoint Options Labels Scope")
SUMMARY: Keep = _all("Id Names Image State Status Labels Ports")
SERVICE: Keep = {
    "ID": True,
    "Spec": {**_all("Name Labels Mode"), "TaskTemplate": {"ContainerSpec": _all("Image")}},
}
TASK: Keep = {
    **_all("ID ServiceID Slot DesiredState NodeID"),
    "Status": _all("State Message Err Timestamp"),
}


def trim(data: Any, keep: Any) -> Any:
    """The parts of the data that are to be kept."""
    if keep is True or not isinstance(data, Mapping):
        return data
    every = keep.get("*")
    return {key: trim(child, keep.get(key, every)) for key, child in data.items() if key in keep or every is not None}
