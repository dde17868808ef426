"""Facts about what a service is: image, product, replicas, role; and its words and environment for other facts."""

from __future__ import annotations

from collections.abc import Collection

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import Undecidable
from infra_audit.facts.products import DATASTORES, ONE_SHOT_IMAGES, SHELL_IMAGES, Image, parse_image, product_of_image
from infra_audit.facts.registry import Evidence, Fact, Known, Unknown, evaluate, fact, value_of
from infra_audit.facts.shell import SHELLS, base_name, commands, is_script_option
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node, is_known

__all__ = [
    "Word",
    "command_words",
    "environment",
    "environment_items",
    "image_of",
    "is_kept_as_grafana",
    "is_profiled_apart",
    "may_run",
    "product_named",
    "profiles_of",
    "raw_words",
    "replicas_node",
    "simple_commands",
    "sub_span",
]


# -- helpers for the facts of other modules ------------------------------------------------------


class Word(NamedTuple):
    """A word of a command line. ``text`` may hold tree.HOLE; ``place`` is where it is written."""

    text: str
    place: Node | Span


def sub_span(node: Node, start: int, end: int) -> Node | Span:
    """The place of characters ``start`` to ``end`` of a text node, or the node where escapes hide it."""
    written = node.span.text
    value = str(node.value)
    offset = written.find(value)
    if offset >= 0:
        return node.span.part(offset + start, offset + end)
    part = value[start:end]
    if part and written.count(part) == 1:
        offset = written.index(part)
        return node.span.part(offset, offset + len(part))
    return node


def raw_words(service: Subject) -> list[Word]:
    """Entrypoint and command as Compose hands them to the engine."""
    words = []
    for key in ("entrypoint", "command"):
        node = service.node.get(key)
        words += [Word(str(entry.value), entry) for entry in (node.entries() if node else ()) if entry.is_scalar]
    return words


def simple_commands(service: Subject) -> list[list[Word]]:
    """The commands that entrypoint and command run: one, or each of a script given to a shell.

    ``sh -c "redis-server --maxmemory 2gb && echo done"`` gives two lists of words.
    """
    words = raw_words(service)
    for index, word in enumerate(words[:-1]):
        if is_script_option(word.text) and index and base_name(words[index - 1].text) in SHELLS:
            script = words[index + 1].place
            if isinstance(script, Node):
                return _script_words(script)
    return [words] if words else []


def _script_words(script: Node) -> list[list[Word]]:
    return [
        [Word(piece.text, sub_span(script, piece.start, piece.end)) for piece in command.arguments]
        for command in commands(str(script.value))
    ]


def command_words(service: Subject) -> list[Word]:
    """All words that entrypoint and command run, scripts of ``sh -c`` taken apart."""
    return [word for command in simple_commands(service) for word in command]


def environment(service: Subject, name: str) -> Node | None:
    """The node of an environment variable of a service, or None where the files do not set it."""
    return service.node.get("environment", name)


def environment_items(service: Subject) -> list[tuple[str, Node]]:
    """All environment variables that the files set."""
    node = service.node.get("environment")
    return list(node.items()) if node else []


def image_of(service: Subject) -> Image | None:
    """The parts of a service's image, or None for one that is only built; holes stay in the parts."""
    node = service.node.get("image")
    return parse_image(str(node.value)) if node is not None and node.value else None


def replicas_node(service: Subject) -> Node:
    """Where the number of replicas is written: deploy.replicas, else scale, else the service."""
    return service.node.get("deploy", "replicas") or service.node.get("scale") or service.node


def profiles_of(service: Subject) -> frozenset[str]:
    node = service.node.get("profiles")
    return frozenset(str(entry.known()) for entry in node.entries()) if node else frozenset()


def is_profiled_apart(one: Subject, other: Subject) -> bool:
    """True where two services have profiles and share none, so that nobody starts them together by one name."""
    first, second = profiles_of(one), profiles_of(other)
    return bool(first and second) and not first & second


# -- facts ---------------------------------------------------------------------------------------


@fact("service.image", on="service")
def image(service: Subject) -> Fact[str | None]:
    """The image as written, variables filled in; None for a service that is only built."""
    node = service.node.get("image")
    if node is None or node.value is None:
        return Known(None, service.node.get("build") or service.node)
    return Known(str(node.known()), node)


@fact("service.product", on="service")
def product(service: Subject) -> Fact[str | None]:
    """The product that the image is known to run (redis, postgres, nginx, …); None for others and for builds."""
    node = service.node.get("image")
    parts = image_of(service)
    if node is None or parts is None:
        return Known(None, service.node.get("build") or service.node)
    if HOLE in parts.name:
        return Unknown(f"the image rests on a variable: {node.why_unknown()}")
    return Known(product_of_image(parts), node)


def may_run(service: Subject, products: Collection[str]) -> bool:
    """False where a service is known to run none of these products. What it builds may be built on one."""
    known = evaluate(service, "service.product")
    if isinstance(known, Unknown) or service.node.get("build") is not None:
        return True
    if known.value is None:
        return "grafana" in products and is_kept_as_grafana(service)
    return known.value in products


def is_kept_as_grafana(service: Subject) -> bool:
    """True where the mounts or settings of a service are those of Grafana, whatever its image is called."""
    volumes = service.node.get("volumes")
    targets = [mount.get("target") for mount in (volumes.entries() if volumes else ())]
    return any(target is not None and str(target.value).startswith("/etc/grafana") for target in targets) or any(
        name.startswith(("GF_SECURITY_", "GF_PATHS_", "GF_SERVER_")) for name, _ in environment_items(service)
    )


def product_named(service: Subject, names: Collection[str]) -> str | None:
    """The service's product where it is one of some; None for others.

    Raises Undecidable where a variable chooses the image and the service is called after one of them.
    """
    known = evaluate(service, "service.product")
    if isinstance(known, Known):
        return known.value if known.value in names else None
    if any(name in service.name.lower() for name in names):
        raise Undecidable(known.why)
    return None


@fact("service.is_datastore", on="service")
def is_datastore(service: Subject) -> Fact[bool]:
    """True for databases, caches, queues and object stores, by the image's product."""
    return Known(value_of(service, "service.product") in DATASTORES, service.node.get("image") or service.node)


@fact("service.is_built", on="service")
def is_built(service: Subject) -> Fact[bool]:
    """True where the files build the service's image."""
    node = service.node.get("build")
    return Known(node is not None, node or service.node)


@fact("service.is_whole", on="service")
def is_whole(service: Subject) -> Fact[bool]:
    """True where the files say what the service runs; False for a part of one, which another file completes."""
    whole = any(service.node.get(key) is not None for key in ("image", "build", "provider"))
    return Known(whole, service.node)


@fact("service.replicas", on="service")
def replicas(service: Subject) -> Fact[int]:
    """Containers of the service: deploy.replicas, else scale, else 1."""
    node = replicas_node(service)
    if node is service.node or node.value is None:
        return Known(1, service.node)
    return Known(int(node.known()), node)


@fact("service.scale", on="service")
def scale(service: Subject) -> Fact[int | None]:
    """The key ``scale`` of the service; None where it is absent."""
    return _number_at(service, "scale")


@fact("service.deploy_replicas", on="service")
def deploy_replicas(service: Subject) -> Fact[int | None]:
    """The key ``deploy.replicas`` of the service; None where it is absent."""
    return _number_at(service, "deploy", "replicas")


def _number_at(service: Subject, *path: str) -> Fact[int | None]:
    node = service.node.get(*path)
    if node is None or node.value is None:
        return Known(None, service.node)
    return Known(int(node.known()), node)


@fact("service.container_name", on="service")
def container_name(service: Subject) -> Fact[str | None]:
    """The fixed name of the container; None where Compose makes one."""
    node = service.node.get("container_name")
    if node is None or node.value is None:
        return Known(None, service.node)
    return Known(str(node.known()), node)


@fact("service.role", on="service")
def role(service: Subject) -> Fact[str | None]:
    """The role of the plan that the service fills; None without a plan or a role."""
    plan = service.deployment.plan
    filled = plan.role(service) if plan else None
    return Known(filled.name if filled else None, service.node)


_RESTARTS_ALWAYS = frozenset(("always", "unless-stopped"))
_ONE_SHOT_NAME = Pattern(
    r"(?:\A|[-_.])(?:init|setup|migrate|migrations?|migrator|seed|seeder|bootstrap|installer?|provision|"
    r"create-?buckets?|createbuckets|mc|topics?-(?:init|setup)|init-topics)(?:\Z|[-_.])",
    hints=("init", "setup", "migrat", "seed", "bootstrap", "install", "provision", "bucket", "mc"),
)
_ENDING = Pattern(
    r"(?:aws|cat|chmod|chown|cp|createdb|curl|date|echo|env|exit|false|hostname|id|kafka-topics|ln|ls|mc|mkdir|mongo|"
    r"mongosh|mv|mysql|nslookup|ping|printenv|printf|psql|rabbitmqadmin|redis-cli|return|rm|swift|tar|touch|true|uname|"
    r"unzip|wget|whoami)\Z"
)
"""Programs that do one thing and end."""
_ENDING_COMMANDS = frozenset((("ollama", "pull"), ("kibana-encryption-keys", "generate")))
_LOOP = Pattern(r"\b(?:while|until)\b", hints=("while", "until"))


@fact("service.restart", on="service")
def restart(service: Subject) -> Fact[str | None]:
    """The restart policy: ``restart``, else deploy.restart_policy.condition ("any" reads "always"); None without."""
    node = service.node.get("restart")
    if node is not None and node.value is not None:
        return Known(str(node.known()), node)
    node = service.node.get("deploy", "restart_policy", "condition")
    if node is not None and node.value is not None:
        condition = str(node.known())
        return Known({"any": "always", "none": "no"}.get(condition, condition), node)
    return Known(None, service.node)


@fact("service.restarts_always", on="service")
def restarts_always(service: Subject) -> Fact[bool]:
    """True where the engine starts a container again that ended by itself with success."""
    written = value_of(service, "service.restart")
    node = service.node.get("restart") or service.node.get("deploy", "restart_policy") or service.node
    return Known(written in _RESTARTS_ALWAYS, node)


@fact("service.long_running", on="service")
def long_running(service: Subject) -> Fact[bool]:
    """False for a service that does one thing and ends: a migration, a bucket maker, a command-line tool.

    That is one that others wait for with service_completed_successfully, one with ``restart: "no"``,
    and, unless it restarts always, one whose name, image or command says so.
    """
    waiting = _waited_for_completion(service.deployment).get(service.name)
    if waiting is not None:
        return Known(False, Evidence(waiting, "waits for its completion"))
    known = evaluate(service, "service.restart")
    restarts = known.value if isinstance(known, Known) else None  # a variable chooses: the other signs decide
    node = service.node.get("restart") or service.node
    if restarts in _RESTARTS_ALWAYS:
        return Known(True, node)
    parts = image_of(service)
    tool = parts is not None and is_known(parts.repository) and parts.path in ONE_SHOT_IMAGES
    if restarts == "no" or tool or _ONE_SHOT_NAME.search(service.name) or _is_bare(service, parts):
        return Known(False, node)
    return Known(not _only_sleeps_or_ends(service), node)


def _only_sleeps_or_ends(service: Subject) -> bool:
    """True for a container that is there to be entered, or whose command says that it ends."""
    if _ends(service):
        return True
    words = [word.text for word in command_words(service)]
    if words[:1] == ["sleep"]:
        return len(words) == 2
    return words in (["tail", "-f", "/dev/null"], ["bash"], ["sh"], ["/bin/bash"], ["/bin/sh"])


def _ends(service: Subject) -> bool:
    """True where the last command of the start, which no loop repeats, is one that does one thing and ends."""
    run = [[word.text for word in command] for command in simple_commands(service) if command]
    if not run or any(_LOOP.search(word.text) for word in raw_words(service)):
        return False
    program = base_name(run[-1][0])
    return _ENDING.match(program) is not None or (program, *run[-1][1:2]) in _ENDING_COMMANDS


def _is_bare(service: Subject, image: Image | None) -> bool:
    """True for an image of which nothing but a shell starts, and a service that gives it nothing to do."""
    return (
        image is not None
        and image.path in SHELL_IMAGES
        and not raw_words(service)
        and service.node.get("build") is None
    )


_SWARM_KEYS = ("placement", "endpoint_mode", "mode")
"""Keys of ``deploy`` that mean nothing outside of Swarm."""


@fact("deployment.for_swarm", on="deployment")
def for_swarm(deployment: Subject) -> Fact[bool]:
    """True where the files use what only Swarm has: overlay networks, placement, endpoint or global mode."""
    for network in deployment.deployment.subjects("network"):
        driver = network.node.get("driver")
        if driver is not None and driver.value == "overlay":
            return Known(True, driver)
    for service in deployment.deployment.subjects("service"):
        for key in _SWARM_KEYS:
            node = service.node.get("deploy", key)
            if node is not None and node.value:
                return Known(True, node)
    return Known(False, deployment.node)


def _waited_for_completion(deployment: Deployment) -> dict[str, Node]:
    """Services that others wait to see completed, with the node of the first such condition; computed once."""
    known = deployment.root.cache.get("(waited for)")
    if isinstance(known, dict):
        return known
    waiting: dict[str, Node] = deployment.root.cache.setdefault("(waited for)", {})
    for dependency in deployment.subjects("dependency"):
        condition = dependency.node.get("condition")
        if condition is not None and condition.value == "service_completed_successfully":
            waiting.setdefault(dependency.name.rpartition("/")[2], condition)
    return waiting


def target_of(dependency: Subject) -> Subject:
    """The service that a dependency names; raises Undecidable where the deployment has none."""
    name = dependency.name.rpartition("/")[2]
    service = dependency.deployment.service(name)
    if service is None:
        raise Undecidable(f"there is no service {name}")
    return service
