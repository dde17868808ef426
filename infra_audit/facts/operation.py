"""Facts about how a service is kept running: logs, restarts, rolling updates, the time to stop in."""

from __future__ import annotations

from infra_audit.deployment import Subject
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact, value_of
from infra_audit.units import parse_duration

__all__: list[str] = []


@fact("logging.driver", on="service")
def logging_driver(service: Subject) -> Fact[str]:
    """The logging driver; json-file where the files name none, which is the engine's own default."""
    node = service.node.get("logging", "driver")
    if node is None or not node.value:
        return Known("json-file", service.node.get("logging") or service.node)
    return Known(str(node.known()), node)


@fact("logging.is_bounded", on="service")
def logging_is_bounded(service: Subject) -> Fact[bool]:
    """True where the logs of the container cannot fill the disk: another driver, or json-file with max-size."""
    driver = value_of(service, "logging.driver")
    size = service.node.get("logging", "options", "max-size")
    where = service.node.get("logging") or service.node
    if size is not None and size.value not in (None, "", "-1"):
        return Known(True, size)
    return Known(driver != "json-file", where)


@fact("service.restart_conflict", on="service")
def restart_conflict(service: Subject) -> Fact[str | None]:
    """What deploy.restart_policy asks for where ``restart`` asks for something else; None where they agree."""
    plain = service.node.get("restart")
    deployed = service.node.get("deploy", "restart_policy", "condition")
    if plain is None or plain.value is None or deployed is None or deployed.value is None:
        return Known(None, plain or service.node)
    one = str(plain.known()).partition(":")[0]
    other = str(deployed.known())
    agrees = _SAME.get(other, (other,))
    return Known(None if one in agrees else other, plain, Evidence(deployed, "the other policy is here"))


_SAME = {"any": ("always", "unless-stopped"), "none": ("no",), "on-failure": ("on-failure",)}
"""deploy.restart_policy.condition → what ``restart`` calls it."""


@fact("service.update_order", on="service")
def update_order(service: Subject) -> Fact[str]:
    """In which order a rolling update replaces containers: stop-first (the default) or start-first."""
    node = service.node.get("deploy", "update_config", "order")
    if node is None or not node.value:
        return Known("stop-first", service.node.get("deploy", "update_config") or service.node)
    return Known(str(node.known()), node)


@fact("service.update_failure_action", on="service")
def update_failure_action(service: Subject) -> Fact[str]:
    """What happens when a rolling update fails: pause (the default), continue or rollback."""
    node = service.node.get("deploy", "update_config", "failure_action")
    if node is None or not node.value:
        return Known("pause", service.node.get("deploy", "update_config") or service.node)
    return Known(str(node.known()), node)


@fact("service.stop_grace_period", on="service", unit="duration")
def stop_grace_period(service: Subject) -> Fact[int | None]:
    """How long a container has to end by itself before it is killed, in nanoseconds; the engine's default is 10 s."""
    node = service.node.get("stop_grace_period")
    if node is None or not node.value:
        return Known(_STOP_GRACE_PERIOD, service.node)
    return Known(parse_duration(str(node.known())), node)


_STOP_GRACE_PERIOD = 10 * 10**9
"""Source: docs.docker.com/reference/cli/docker/container/stop."""


# -- Swarm ---------------------------------------------------------------------------------------

_IGNORED = (
    "build",
    "cgroup_parent",
    "container_name",
    "depends_on",
    "devices",
    "external_links",
    "links",
    "network_mode",
    "privileged",
    "restart",
    "security_opt",
    "userns_mode",
    "mem_limit",
    "cpus",
    "scale",
)
"""Keys that ``docker stack deploy`` passes over; source: docs.docker.com/reference/compose-file/legacy-versions."""


@fact("deployment.swarm_ignored", on="deployment")
def swarm_ignored(deployment: Subject) -> Fact[list[Item]]:
    """Keys of services that ``docker stack deploy`` passes over, in a deployment that is meant for Swarm."""
    items: list[Item] = []
    if not value_of(deployment, "deployment.for_swarm"):
        return Known(items, deployment.node)
    for service in deployment.deployment.subjects("service"):
        for key in _IGNORED:
            node = service.node.get(key)
            if node is not None and node.value not in (None, False, "", {}, []):
                items.append(Item(key, (Evidence(node.key or node),), ("service", service.name)))
    return Known(items, deployment.node)


@fact("deployment.swarm_bridges", on="deployment")
def swarm_bridges(deployment: Subject) -> Fact[list[Item]]:
    """Networks of one host alone that services use in a deployment that is meant for Swarm."""
    items: list[Item] = []
    if not value_of(deployment, "deployment.for_swarm"):
        return Known(items, deployment.node)
    for network in deployment.deployment.subjects("network"):
        driver = network.node.get("driver")
        if driver is not None and driver.value in ("bridge", "macvlan", "ipvlan"):
            text = f"the driver {driver.value} makes a network of one host"
            items.append(Item(text, (Evidence(driver),), ("network", network.name)))
    return Known(items, deployment.node)
