"""Facts about what runs beside what its files say: every difference, at the container, with both places."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.containers import service_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, Unknown, evaluate, fact
from infra_audit.tree import Node
from infra_audit.units import format_bytes, format_duration, parse_duration

__all__: list[str] = []

_RUNNING = ("running", "restarting")
_TOKEN = "***"


def _declared(container: Subject) -> Subject | None:
    """The container's service in the files; None without files, or where no file declares it."""
    declared = container.deployment.declared
    name = container.node.get("ServiceName")
    if declared is None or name is None or name.value is None:
        return None
    return declared.service(str(name.value))


def _items(container: Subject, differences: Iterator[Item]) -> Fact[list[Item]]:
    return Known(list(differences), container.node)


def _differs(mine: Subject, theirs: Subject, name: str, label: str, show: Callable[[Any], str]) -> Iterator[Item]:
    """One fact of both sides; an unknown side is a gap."""
    have, want = evaluate(mine, name), evaluate(theirs, name)
    if isinstance(have, Unknown) or isinstance(want, Unknown):
        why = next(one.why for one in (have, want) if isinstance(one, Unknown))
        yield Item(f"{label}: {why}", (), unknown=True)
    elif have.value != want.value:
        text = f"{label} is {show(have.value)}"
        places = (*have.because[:1], *(Evidence(one.place, "declared here") for one in want.because[:1]))
        yield Item(text, places, expected=show(want.value))


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _size(value: Any) -> str:
    return "none" if value is None else format_bytes(value)


def _cpus(value: Any) -> str:
    return "none" if value is None else f"{value:g}"


_LIMITS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("service.cpu_limit", "CPU limit", _cpus),
    ("service.memory_limit", "memory limit", _size),
    ("service.memory_reservation", "memory reservation", _size),
    ("service.pids_limit", "process limit", _shown),
    ("service.nofile_limit", "limit of open files", _shown),
)


@fact("container.drift_limits", on="container")
def limits(container: Subject) -> Fact[list[Item]]:
    """Limits of the container that are other than those of its files."""
    theirs = _declared(container)
    if theirs is None:
        return Known([], container.node)
    mine = service_of(container)
    return _items(container, (item for row in _LIMITS for item in _differs(mine, theirs, *row)))


@fact("container.drift_image", on="container")
def image(container: Subject) -> Fact[list[Item]]:
    """The image's name where the files name another one; not for a service that is built without a name."""
    theirs = _declared(container)
    if theirs is None or theirs.node.get("image") is None:
        return Known([], container.node)
    return _items(container, _differs(service_of(container), theirs, "service.image", "image", _shown))


# -- environment ---------------------------------------------------------------------------------


@fact("container.drift_environment", on="container")
def environment(container: Subject) -> Fact[list[Item]]:
    """Environment variables that the container has otherwise than its files say; names only, never values."""
    theirs = _declared(container)
    if theirs is None:
        return Known([], container.node)
    return _items(container, _variables(container, service_of(container).node, theirs.node))


def _variables(container: Subject, mine: Node, theirs: Node) -> Iterator[Item]:
    have = dict((mine.get("environment") or mine.with_value({})).items())
    want = dict((theirs.get("environment") or theirs.with_value({})).items())
    full = dict(_all_variables(container))
    mask = container.deployment.mask
    for name, node in want.items():
        if node.value is None:
            continue
        try:
            wanted = str(node.known())
        except Undecidable as error:
            yield Item(f"{name}: {error.message}", (), unknown=True)
            continue
        running = full.get(name)
        if running is None:
            yield Item(f"{name} is not set", (Evidence(container.node), Evidence(node, "declared here")))
            continue
        text = str(running.value)
        if mask is not None:
            wanted = mask([f"{name}={wanted}"])[0].partition("=")[2]
        elif _TOKEN in text:
            yield Item(f"{name} is a secret, which a saved snapshot does not hold", (), unknown=True)
            continue
        if text != wanted:
            yield Item(f"{name} has another value", (Evidence(running), Evidence(node, "declared here")))
    for name, node in have.items():
        if name not in want:
            yield Item(f"{name} is set and not declared", (Evidence(node),))


def _all_variables(container: Subject) -> Iterator[tuple[str, Node]]:
    """Every variable of the container, those of its image too."""
    env = container.node.get("Config", "Env")
    for entry in env.entries() if env is not None else ():
        name, equals, value = str(entry.value).partition("=")
        if equals:
            yield name, entry.with_value(value)


# -- networks, ports, mounts ---------------------------------------------------------------------


def _sets(container: Subject, parts: Callable[[Node], dict[Any, Node]], label: str) -> Iterator[Item]:
    """What one side has and the other has not, of things that are equal by their key."""
    theirs = _declared(container)
    if theirs is None:
        return
    mine = parts(service_of(container).node)
    want = parts(theirs.node)
    for key, node in mine.items():
        if key not in want:
            yield Item(f"{label} {key} is not declared", (Evidence(node),))
    for key, node in want.items():
        if key not in mine:
            yield Item(f"{label} {key} is missing", (Evidence(container.node), Evidence(node, "declared here")))


def _network_names(service: Node) -> dict[str, Node]:
    return dict((service.get("networks") or service.with_value({})).items())


@fact("container.drift_networks", on="container")
def networks(container: Subject) -> Fact[list[Item]]:
    """Networks that the container is on and its files do not give it, and the other way round."""
    state = container.node.get("State", "Status")
    if state is not None and state.value not in _RUNNING and container.node.get("Service", "networks") is None:
        return Known([], container.node)
    return _items(container, _sets(container, _network_names, "network"))


def _port_texts(service: Node) -> dict[str, Node]:
    found = {}
    for entry in (service.get("ports") or service.with_value([])).entries():
        target, published, protocol, host = (
            str(node.known()) if (node := entry.get(key)) is not None and node.value is not None else ""
            for key in ("target", "published", "protocol", "host_ip")
        )
        if "-" in published:  # the engine chooses one of a range
            published = ""
        found[f"{host + ':' if host else ''}{published + ':' if published else ''}{target}/{protocol or 'tcp'}"] = entry
    return found


@fact("container.drift_ports", on="container")
def ports(container: Subject) -> Fact[list[Item]]:
    """Published ports that the container has and its files do not, and the other way round."""
    return _items(container, _sets(container, _port_texts, "published port"))


def _mount_texts(service: Node, moved: tuple[str, str] | None = None) -> dict[str, Node]:
    """Mounts by ``source:target``. ``moved``: a folder of the files, and where the engine's host has it."""
    found = {}
    for entry in (service.get("volumes") or service.with_value([])).entries():
        kind, source, target = (entry.get(key) for key in ("type", "source", "target"))
        if target is None or kind is None or kind.value == "tmpfs":
            continue
        read_only = entry.get("read_only")
        suffix = ":ro" if read_only is not None and read_only.known() is True else ""
        origin = str(source.known()) if source is not None and source.value else ""
        if moved is not None and f"{origin}/".startswith(f"{moved[0]}/"):
            origin = moved[1] + origin.removeprefix(moved[0])
        found[f"{origin}{':' if origin else ''}{str(target.known()).rstrip('/') or '/'}{suffix}"] = entry
    return found


def _grants(service: Subject) -> set[str]:
    """Where Compose mounts the service's secrets and configs."""
    found = set()
    for section, folder in (("secrets", "/run/secrets/"), ("configs", "/")):
        for entry in (service.node.get(section) or service.node.with_value([])).entries():
            name, target = entry.get("source"), entry.get("target")
            text = str((target if target is not None and target.value else name or entry).value)
            found.add(text if text.startswith("/") else folder + text)
    return found


@fact("container.drift_mounts", on="container")
def mounts(container: Subject) -> Fact[list[Item]]:
    """Mounts that the container has and its files do not, and the other way round."""
    theirs = _declared(container)
    if theirs is None:
        return Known([], container.node)
    granted = _grants(theirs)
    folders = (theirs.deployment.folder.rstrip("/"), container.deployment.folder.rstrip("/"))
    moved = folders if all(folders) else None

    def parts(service: Node) -> dict[str, Node]:
        texts = _mount_texts(service, moved if service is theirs.node else None).items()
        return {key: node for key, node in texts if str(node.value["target"].value) not in granted}

    return _items(container, _sets(container, parts, "mount"))


# -- health check and command --------------------------------------------------------------------

_HEALTH = ("interval", "timeout", "start_period", "retries")


@fact("container.drift_healthcheck", on="container")
def healthcheck(container: Subject) -> Fact[list[Item]]:
    """Parts of the health check that are other than in the files."""
    theirs = _declared(container)
    want = theirs.node.get("healthcheck") if theirs is not None else None
    if want is None or want.value is None:
        return Known([], container.node)
    return _items(container, _health_parts(container, container.node.get("Config", "Healthcheck"), want))


def _health_parts(container: Subject, have: Node | None, want: Node) -> Iterator[Item]:
    test = want.get("test")
    disabled = (off := want.get("disable")) is not None and off.known() is True
    running = have.get("Test") if have is not None else None
    words = ["NONE"] if disabled else (test.known() if test is not None and test.value else None)
    mask = container.deployment.mask
    if isinstance(words, str):
        words = ["CMD-SHELL", words]
    if words is not None and (running is None or running.data() != (mask(words) if mask else words)):
        yield Item(
            "the test is another", (Evidence(running or container.node), Evidence(test or want, "declared here"))
        )
    for key in _HEALTH:
        node = want.get(key)
        if node is None or node.value is None:
            continue
        wanted = node.known() if key == "retries" else parse_duration(str(node.known()))
        mine = have.get("".join(part.capitalize() for part in key.split("_"))) if have is not None else None
        if (mine.value if mine is not None else None) != wanted:
            shown = "not set" if mine is None else mine.value if key == "retries" else format_duration(int(mine.value))
            places = (Evidence(mine or have or container.node), Evidence(node, "declared here"))
            yield Item(f"{key} is {shown}", places, expected=node.data())


@fact("container.drift_command", on="container")
def command(container: Subject) -> Fact[list[Item]]:
    """Command and entrypoint where the files give others; words with secrets are compared and not shown."""
    theirs = _declared(container)
    if theirs is None:
        return Known([], container.node)
    return _items(container, _words(container, theirs.node))


def _words(container: Subject, theirs: Node) -> Iterator[Item]:
    mask = container.deployment.mask
    for key, field in (("command", "Cmd"), ("entrypoint", "Entrypoint")):
        want = theirs.get(key)
        if want is None or not want.value:
            continue
        try:
            words = want.known()
        except Undecidable as error:
            yield Item(f"{key}: {error.message}", (), unknown=True)
            continue
        mine = container.node.get("Config", field)
        have = mine.data() if mine is not None else None
        if mask is None and any(_TOKEN in str(word) for word in have or ()):
            yield Item(f"the {key} holds a secret, which a saved snapshot does not", (), unknown=True)
        elif have != (mask(words) if mask else words):
            yield Item(f"the {key} is another", (Evidence(mine or container.node), Evidence(want, "declared here")))


# -- the project as a whole ----------------------------------------------------------------------


@fact("deployment.drift_replicas", on="deployment")
def replicas(deployment: Subject) -> Fact[list[Item]]:
    """Services of which other numbers of containers run than the files declare."""
    whole = deployment.deployment
    if whole.declared is None:
        return Known([], deployment.node)
    return Known(list(_replicas(whole, whole.declared)), deployment.node)


def _replicas(whole: Deployment, declared: Deployment) -> Iterator[Item]:
    found: dict[str, list[Subject]] = {}
    for container in whole.subjects("container"):
        name = container.node.get("ServiceName")
        if (
            name is not None
            and name.value is not None
            and evaluate_known(container, "container.expected_to_run") is True
        ):
            found.setdefault(str(name.value), []).append(container)
    unread = {problem.subject.name for problem in whole.problems if problem.kind == "gap"}
    for service in declared.subjects("service"):
        wanted = evaluate(service, "service.replicas")
        mine = found.get(service.name, [])
        if not mine and (service.node.get("profiles") or evaluate_known(service, "service.long_running") is False):
            continue  # not started, or started and over
        ref = ("service", service.name)
        if isinstance(wanted, Unknown):
            yield Item(wanted.why, (), ref, unknown=True)
            continue
        if any(f"-{service.name}-" in name for name in unread):
            yield Item("some of its containers were not read", (), ref, unknown=True)
            continue
        running = [one for one in mine if (state := one.node.get("State", "Status")) and state.value in _RUNNING]
        if len(running) != wanted.value:
            stopped = [one for one in mine if one not in running]
            first = (stopped or mine or [whole.root])[0]
            places = (Evidence(first.node), *(Evidence(one.place, "declared here") for one in wanted.because[:1]))
            yield Item(f"{len(running)} of {wanted.value} replicas run", places, ref, expected=wanted.value)


def evaluate_known(subject: Subject, name: str) -> Any:
    """The value of a fact, None where it is unknown."""
    result = evaluate(subject, name)
    return result.value if isinstance(result, Known) else None


@fact("deployment.drift_orphans", on="deployment")
def orphans(deployment: Subject) -> Fact[list[Item]]:
    """Containers of the project whose service no file declares."""
    whole = deployment.deployment
    items = []
    for container in whole.subjects("container") if whole.declared is not None else ():
        name = container.node.get("ServiceName")
        if whole.declared is not None and name is not None and whole.declared.service(str(name.value)) is None:
            items.append(Item(str(name.value), (Evidence(container.node),), ("container", container.name)))
    return Known(items, deployment.node)


@fact("network.drift", on="network")
def network(network: Subject) -> Fact[list[Item]]:
    """What the running network has otherwise than its files: driver, subnets, MTU, internal."""
    declared = network.deployment.declared
    theirs = declared.subject("network", network.name) if declared is not None else None
    if theirs is None or ((external := theirs.node.get("external")) is not None and external.value is True):
        return Known([], network.node)
    return Known(list(_network_parts(network.node, theirs.node)), network.node)


def _network_parts(mine: Node, theirs: Node) -> Iterator[Item]:
    paths = (
        ("MTU", ("driver_opts", "com.docker.network.driver.mtu")),
        ("subnet", ("ipam", "config", 0, "subnet")),
        ("driver", ("driver",)),
        ("internal", ("internal",)),
    )
    for label, path in paths:
        want, have = theirs.get(*path), mine.get(*path)
        if want is None or want.value is None:
            continue
        wanted, running = str(want.known()), str(have.value) if have is not None else "not set"
        if label == "internal":
            running = running.replace("not set", "False")
        if wanted != running:
            yield Item(
                f"{label} is {running}", (Evidence(have or mine), Evidence(want, "declared here")), expected=wanted
            )
