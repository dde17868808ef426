"""What a service's own Dockerfile says about the image that it builds: base, instructions, health check."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from infra_audit.deployment import Subject
from infra_audit.errors import Undecidable
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Source, Span

__all__ = ["Built", "Instruction", "built_image", "read_dockerfile"]


class Instruction(NamedTuple):
    """One instruction: its name in capitals, the text after it with lines joined, and where it stands."""

    name: str
    text: str
    span: Span


class Built(NamedTuple):
    """An image as its Dockerfile makes it: the image below all stages that it builds on, and all their instructions."""

    base: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]


class _Stage(NamedTuple):
    name: str
    base: str
    instructions: list[Instruction]


def built_image(service: Subject) -> Built | None:
    """The image that a service builds, or None where it builds none; raises Undecidable or ReadError."""
    build = service.node.get("build")
    if build is None:
        return None
    if build.get("dockerfile_inline") is not None:
        raise Undecidable("its Dockerfile is inline")
    context, dockerfile, target = (build.get(key) for key in ("context", "dockerfile", "target"))
    folder = str(context.known()) if context else service.deployment.folder
    if "://" in folder or folder.startswith("git@") or not os.path.isabs(folder):
        raise Undecidable(f"its build context {folder} is not here")
    path = os.path.join(folder, str(dockerfile.known()) if dockerfile else "Dockerfile")
    arguments = build.get("args")
    given = {name: str(node.value) for name, node in arguments.items() if node.value is not None} if arguments else {}
    source = service.deployment.reader.read(path)
    return read_dockerfile(source, given, str(target.known()) if target else "")


def read_dockerfile(source: Source, arguments: Mapping[str, str], target: str = "") -> Built:
    """The final (or the target) stage of a Dockerfile with the stages below it; raises Undecidable."""
    stages = _stages(_instructions(source), arguments)
    if not stages:
        raise Undecidable(f"{source.path} has no FROM")
    wanted = target.lower()
    stage = next((one for one in stages if wanted and one.name == wanted), None)
    if wanted and stage is None and not wanted.isdigit():
        raise Undecidable(f"{source.path} has no stage {target}")
    stage = stage or stages[int(wanted) if wanted and int(wanted) < len(stages) else -1]
    chain = [stage]
    while True:
        before = stages[: stages.index(chain[0])]
        below = next((one for one in before if one.name and one.name == chain[0].base.lower()), None)
        if below is None:
            break
        chain.insert(0, below)
    base = chain[0].base
    if "$" in base:
        raise Undecidable(f"{source.path} builds on {base}")
    return Built(base, tuple(instruction for one in chain for instruction in one.instructions))


_INSTRUCTION = Pattern(r"[ \t]*([A-Za-z]+)[ \t]+")
_HEREDOC = Pattern(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")


def _instructions(source: Source) -> Iterator[Instruction]:
    lines = source.text.split("\n")
    number = 0
    while number < len(lines):
        match = _INSTRUCTION.match(lines[number])
        if match is None:
            number += 1
            continue
        first = number
        parts: list[str] = []
        while number < len(lines):
            line = lines[number].rstrip()
            number += 1
            if parts and line.lstrip().startswith("#"):
                continue
            parts.append(line.removesuffix("\\"))
            if not line.endswith("\\"):
                break
        heredoc = _HEREDOC.search(parts[-1]) if match[1].upper() in ("RUN", "COPY", "ADD") else None
        if heredoc:
            while number < len(lines) and lines[number].strip() != heredoc[1]:
                parts.append(lines[number])
                number += 1
            number += 1
        text = "\n".join(parts)[match.end() :].strip()
        start = source.starts[first]
        yield Instruction(match[1].upper(), text, source.span(start, start + len(lines[first].rstrip())))


_FROM = Pattern(r"(?:--\S+\s+)*(\S+)(?:\s+[Aa][Ss]\s+(\S+))?")
_VARIABLE = Pattern(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def _stages(instructions: Iterator[Instruction], given: Mapping[str, str]) -> list[_Stage]:
    arguments: dict[str, str] = {}
    stages: list[_Stage] = []
    for instruction in instructions:
        if instruction.name == "FROM":
            match = _FROM.match(instruction.text)
            if match:
                stages.append(_Stage((match[2] or "").lower(), _filled(match[1], arguments), []))
        elif stages:
            stages[-1].instructions.append(instruction)
        elif instruction.name == "ARG":
            name, _, default = instruction.text.partition("=")
            arguments[name.strip()] = given.get(name.strip(), default.strip().strip("\"'"))
    return stages


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    """The text with arguments filled in; one without a value stays as it is written."""
    return _VARIABLE.sub(lambda match: arguments.get(match[1] or match[3]) or match[2] or match[0], text)
