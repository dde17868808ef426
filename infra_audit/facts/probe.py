"""A service's health check command, read as the engine and the shell would read it."""

from __future__ import annotations

from typing import Literal

from infra_audit.deployment import Subject
from infra_audit.facts.services import Word
from infra_audit.facts.shell import SHELLS, Piece, base_name, commands, is_script_option
from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__ = ["Probe", "Step", "probe_of"]

Form = Literal["exec", "shell", "off", "wrong"]


class Step(NamedTuple):
    """One program that a probe runs.

    ``shell``: the shell that reads it, "" where the engine runs it directly. ``before``: the
    operator in front. ``redirected``: files that it reads or writes.
    """

    words: tuple[str, ...]
    before: str
    shell: str
    redirected: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        return base_name(self.words[0]) if self.words else ""


class Probe(NamedTuple):
    """A health check's test. ``node``: the whole; ``words``: what follows CMD or CMD-SHELL; ``steps``: what runs.

    ``form``: exec (CMD), shell (CMD-SHELL or a string), off (NONE), wrong (none of them).
    """

    form: Form
    node: Node
    words: tuple[Word, ...]
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


_FORMS: dict[str, Form] = {"CMD": "exec", "CMD-SHELL": "shell", "NONE": "off"}


def probe_of(service: Subject) -> Probe | None:
    """The test that the files give a service, or None where they give none; read once."""
    if "(probe)" not in service.cache:
        service.cache["(probe)"] = _read(service.node.get("healthcheck", "test"))
    known: Probe | None = service.cache["(probe)"]
    return known


def _read(node: Node | None) -> Probe | None:
    if node is None or not node.entries():
        return None
    words = tuple(Word(str(entry.value), entry) for entry in node.entries())
    form = _FORMS.get(words[0].text, "wrong")
    rest = words if form == "wrong" else words[1:]
    if form == "shell":
        steps = _script_steps(rest[0].text, "sh") if rest else []
    else:
        steps = _unwrapped([word.text for word in rest], "", "")
    return Probe(form, node, rest, tuple(steps))


def _script_steps(script: str, shell: str) -> list[Step]:
    steps: list[Step] = []
    for command in commands(script):
        redirected = tuple(piece.text for piece in command.redirected)
        steps += _unwrapped(_texts(command.arguments), command.before, shell, redirected)
    return steps


def _unwrapped(words: list[str], before: str, shell: str, redirected: tuple[str, ...] = ()) -> list[Step]:
    """The step, or the steps of the script where it is ``sh -c SCRIPT``."""
    if words and base_name(words[0]) in SHELLS:
        for index, word in enumerate(words[1:-1], 1):
            if is_script_option(word):
                inner = _script_steps(words[index + 1], base_name(words[0]))
                return [step._replace(before=before) if not number else step for number, step in enumerate(inner)]
    return [Step(tuple(words), before, shell, redirected)]


def _texts(pieces: tuple[Piece, ...]) -> list[str]:
    return [piece.text for piece in pieces]
