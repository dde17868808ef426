"""Facts about what a health check's command does: can it work, can it fail, what does it ask, with which program."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.dockerfile import Built, built_image
from infra_audit.facts.image_tools import SHELL_TOOLS, lacking
from infra_audit.facts.probe import Probe, Step, probe_of
from infra_audit.facts.products import parse_image
from infra_audit.facts.registry import Evidence, Fact, Item, Known, evaluate, fact
from infra_audit.facts.services import Word, environment, image_of
from infra_audit.facts.shell import OPERATORS, base_name, is_script_option
from infra_audit.patterns import Pattern
from infra_audit.tree import HOLE, is_known
from infra_audit.units import parse_duration

__all__: list[str] = []


# -- can it ever work ----------------------------------------------------------------------------

_FETCHERS = frozenset(("curl", "wget"))
_NEED_ARGUMENTS = frozenset(("curl", "wget", "nc", "test", "[", "grep"))
_DURATIONS = ("interval", "timeout", "start_period", "start_interval")
_HTTP = Pattern(r"(?:https?://)?[\w.\[\]-]+(?::\d+)?(?:/\S*)?\s", re.ASCII, hints=(" ", "\t", "\n"))
_VARIABLE_PORT = Pattern(r"https?://[^/\s]*\$", hints=("$",))
_DASH_OR_ASH = (
    "alpine",
    "slim",
    "bookworm",
    "bullseye",
    "buster",
    "trixie",
    "jammy",
    "noble",
    "focal",
    "debian",
    "ubuntu",
)
"""Pieces of the tags of images whose /bin/sh is one of these shells."""


@fact("health.faults", on="service")
def faults(service: Subject) -> Fact[list[Item]]:
    """Why the health check can never succeed as it is written."""
    health = service.node.get("healthcheck")
    if health is None or health.value is None:
        return Known([], service.node)
    probe = probe_of(service)
    items = list(_of_form(probe)) if probe else []
    if probe is not None and not items:
        items = [*_of_steps(probe), *_of_shell(service, probe), *_of_password(service, probe)]
    for key in _DURATIONS:
        node = health.get(key)
        if node is not None and node.value is not None and is_known(node.value) and not _is_duration(node.value):
            items.append(Item(f"{key}: {node.value} has no unit", (Evidence(node),)))
    return Known(items, health)


def _is_duration(value: object) -> bool:
    return isinstance(value, str) and parse_duration(value) is not None


def _item(text: str, probe: Probe, word: Word | None = None) -> Item:
    return Item(text, (Evidence(word.place if word else probe.node),))


def _of_form(probe: Probe) -> Iterator[Item]:
    """Faults of how the test is written."""
    words = probe.words
    first = words[0].text if words else ""
    if probe.form == "wrong":
        yield _item(f"the list starts with {first!r}, not with CMD, CMD-SHELL or NONE", probe, words[0])
    elif not words and probe.form != "off":
        yield _item("there is nothing to run", probe)
    elif probe.form == "shell" and first.strip() in ("NONE", "none"):
        yield _item('it runs a program called NONE; only the list ["NONE"] switches it off', probe, words[0])
    elif probe.form == "shell" and first.lstrip().startswith(("CMD ", "CMD-SHELL ")):
        name = first.split()[0]
        yield _item(f"it runs a program called {name}; a text is a shell command already", probe, words[0])
    elif probe.form == "exec" and any(char.isspace() for char in first.strip()):
        yield _item(f"CMD runs one program, and none is called {first!r}", probe, words[0])
    elif probe.form == "exec":
        operator = _stray_operator(words)
        if operator is not None:
            yield _item(f"CMD runs no shell, so {first} is given {operator.text!r} as an argument", probe, operator)
    elif probe.form == "shell" and len(words) > 1 and first in _NEED_ARGUMENTS:
        yield _item(f"CMD-SHELL runs only its first text, so {first} gets no arguments", probe, words[0])


def _stray_operator(words: tuple[Word, ...]) -> Word | None:
    """A shell operator that stands as an argument of its own, unless a script was handed over with -c before."""
    for word in words[1:]:
        if is_script_option(word.text):
            return None
        if word.text in OPERATORS:
            return word
    return None


def _of_steps(probe: Probe) -> Iterator[Item]:
    """URLs that no program can fetch."""
    if probe.form != "exec":
        return
    for word in probe.words[1:]:
        if base_name(probe.words[0].text) not in _FETCHERS or word.text.startswith("-"):
            continue
        if _HTTP.match(word.text) and "://" in word.text:
            yield _item(f"{word.text!r} is one argument, and no URL has a space", probe, word)
        elif _VARIABLE_PORT.match(word.text):
            yield _item(f"CMD runs no shell, so nothing replaces the variable in {word.text}", probe, word)


def _of_shell(service: Subject, probe: Probe) -> Iterator[Item]:
    """/dev/tcp, which only bash knows, where /bin/sh is known to be another shell."""
    image = image_of(service)
    if image is None or service.node.get("build") or not is_known(image.tag):
        return
    if not any(piece in image.tag for piece in _DASH_OR_ASH):
        return
    for step in probe.steps:
        targets = (*step.redirected, *step.words)
        if step.shell in ("sh", "ash", "dash") and any(target.startswith("/dev/tcp/") for target in targets):
            yield _item("/dev/tcp works in bash alone, and /bin/sh is no bash in this image", probe, probe.words[0])
            return


def _of_password(service: Subject, probe: Probe) -> Iterator[Item]:
    """PONG expected of a server that answers NOAUTH."""
    if any("PONG" in word for step in probe.steps for word in step.words) and _pings_without_password(service, probe):
        yield _item("redis-cli gives no password, so the server answers NOAUTH and never PONG", probe, probe.words[0])


# -- can it ever fail ----------------------------------------------------------------------------

_ALWAYS_SUCCEED = frozenset(("true", ":", "echo", "printf", "pwd", "date", "whoami", "hostname", "sleep", "ls"))
_END_OF_PIPE = frozenset(("cat", "tee", "head", "tail"))
_READ_STANDARD_INPUT = frozenset(("redis-cli", "python", "python3", "node", "bash", "sh", "mysql"))
_CONTROL = Pattern(
    r"(?:\A|[\s;])(?:if|while|until|for|case)\s|\bset\s+-[a-z]*e",
    hints=("if", "while", "until", "for", "case", "set"),
)


@fact("health.cannot_fail", on="service")
def cannot_fail(service: Subject) -> Fact[str | None]:
    """Why the health check succeeds whatever the service does; None where it can fail."""
    probe = probe_of(service)
    if probe is None or probe.form in ("off", "wrong") or not probe.steps:
        return Known(None, service.node.get("healthcheck") or service.node)
    return Known(_reason(service, probe), probe.words[0].place if probe.words else probe.node)


def _reason(service: Subject, probe: Probe) -> str | None:
    first = probe.words[0].text if probe.words else ""
    if probe.form == "shell" and len(probe.words) > 1 and first in _READ_STANDARD_INPUT:
        return f"CMD-SHELL runs only its first text, and {first} ends well when it is given nothing"
    if _pings_without_password(service, probe) and len(probe.steps) - _exits(probe) == 1:
        return "redis-cli ping gives no password; the server answers NOAUTH, and redis-cli still exits with 0"
    if _CONTROL.search(probe.text) or any(_fails(step) for step in probe.steps[:-1]):
        return None
    last = probe.steps[-1]
    if not _succeeds(last) or last.before == "&&" or (last.before == "|" and last.program not in _END_OF_PIPE):
        return None
    shown = " ".join(last.words)
    return f"`{last.before} {shown}` ends it with success" if last.before else f"`{shown}` always succeeds"


def _exits(probe: Probe) -> int:
    """How many steps only turn a failure into exit 1."""
    return sum(1 for step in probe.steps if step.before == "||" and _fails(step))


def _succeeds(step: Step) -> bool:
    if step.program == "exit":
        return len(step.words) > 1 and step.words[1] == "0"
    if step.before == "|":
        return step.program in _END_OF_PIPE
    plain = not any(word.startswith(("/", "$")) for word in step.words[1:])
    return step.program in _ALWAYS_SUCCEED and (plain or step.program in ("echo", "printf"))


def _fails(step: Step) -> bool:
    return step.program == "false" or (step.program == "exit" and step.words[1:] != ("0",))


_GIVES_PASSWORD = Pattern(r"(?:\A|\s)(?:-a|-u|--(?:pass|askpass|user)\b)|(?:REDIS|VALKEY)CLI_AUTH|\b(?:AUTH|auth)\b")


def _pings_without_password(service: Subject, probe: Probe) -> bool:
    """True for a redis-cli (or valkey-cli) without a password against this service's server, which demands one."""
    clients = [step for step in probe.steps if step.program in ("redis-cli", "valkey-cli", "keydb-cli")]
    if not clients or _GIVES_PASSWORD.search(probe.text):
        return False
    if environment(service, "REDISCLI_AUTH") is not None or environment(service, "VALKEYCLI_AUTH") is not None:
        return False
    password = evaluate(service, "redis.password")
    return isinstance(password, Known) and password.value is True


# -- with which program --------------------------------------------------------------------------

_GIVE_UP = frozenset(("exit", "false", "true", "echo", ":"))
_GUARDED = Pattern(r"command -v|\bwhich\b|\btype\b")


@fact("health.missing_tools", on="service")
def missing_tools(service: Subject) -> Fact[list[Item]]:
    """Programs that the probe cannot do without and that its image is known to lack."""
    probe = probe_of(service)
    if probe is None or probe.form in ("off", "wrong"):
        return Known([], service.node)
    programs, where, evidence = _absent(service)
    if not programs or _GUARDED.search(probe.text):
        return Known([], probe.node)
    place = Evidence(probe.words[0].place if probe.words else probe.node)
    if "sh" in programs and any(step.shell in ("sh", "bash") for step in probe.steps):
        return Known([Item(f"a shell, and {where} has none", (place, *evidence))], probe.node)
    broken = [_first_missing(group, programs) for group in _alternatives(probe.steps)]
    if not broken or not all(broken):
        return Known([], probe.node)
    names = " and ".join(dict.fromkeys(broken))
    return Known([Item(f"{names}, which {where} does not have", (place, *evidence))], probe.node)


def _alternatives(steps: tuple[Step, ...]) -> list[list[Step]]:
    """The steps between ``||``, without those that only say how it ends."""
    groups: list[list[Step]] = []
    for step in steps:
        if step.before == "||" or not groups:
            groups.append([])
        groups[-1].append(step)
    return [group for group in groups if group[0].program not in _GIVE_UP]


def _first_missing(group: list[Step], programs: frozenset[str]) -> str:
    return next((step.program for step in group if step.program in programs), "")


def _absent(service: Subject) -> tuple[frozenset[str], str, tuple[Evidence, ...]]:
    """Programs that the service's image lacks, the image as the message names it, and what says so."""
    build = service.node.get("build")
    if build is not None:
        try:
            built = built_image(service)
        except InfraAuditError:
            return frozenset(), "", ()
        if built is None or HOLE in built.base:
            return frozenset(), "", ()
        programs = lacking(parse_image(built.base)) - _brought(built)
        return programs, f"the image that is built here on {built.base}", (Evidence(build, "its build"),)
    image, node = image_of(service), service.node.get("image")
    if image is None or node is None or not is_known(node.value):
        return frozenset(), "", ()
    return lacking(image) - _mounted(service), f"the image {node.value}", (Evidence(node, "the image"),)


_OPAQUE = Pattern(r"\.sh\b|\binstall-deps\b|--with-deps|\bansible|\bmake\b|\bbusybox\b|\bcp\b|\bmv\b|\bln\b")
_WHOLE_SYSTEM = Pattern(r"\s(?:/|/bin/?|/usr/?|/usr/bin/?|/usr/local/bin/?|/usr/local/?)\Z")


def _brought(built: Built) -> frozenset[str]:
    """Programs that the Dockerfile's own instructions may bring; every program where they cannot be seen through."""
    brought: set[str] = set()
    for instruction in built.instructions:
        text = instruction.text
        if instruction.name == "RUN" and _OPAQUE.search(text):
            return SHELL_TOOLS
        if instruction.name in ("ADD", "COPY") and _WHOLE_SYSTEM.search(text):
            return SHELL_TOOLS
        if instruction.name in ("RUN", "ADD", "COPY"):
            brought |= {tool for tool in SHELL_TOOLS if re.search(rf"(?<![\w-]){tool}(?![\w-])", text)}
    return frozenset(brought)


def _mounted(service: Subject) -> frozenset[str]:
    """Programs that a mount puts into the container."""
    volumes = service.node.get("volumes")
    targets = [entry.get("target") for entry in (volumes.entries() if volumes else ())]
    return frozenset(base_name(str(target.value)) for target in targets if target is not None)
