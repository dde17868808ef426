"""promtool by subprocess: what Prometheus itself says about its configuration and its rules.

A call takes about 28 ms, so all rule files go into one, and calls run side by side. Every complaint is mapped
to a line and column where promtool gives one. Seen with promtool 2.42.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.source import Source

__all__ = ["Call", "Complaint", "Unavailable", "check_config", "check_rules"]

_SECONDS = 20.0


class Complaint(NamedTuple):
    """What promtool refuses. ``line`` is 0 where it names none.

    ``group`` and ``number`` (from 1) name the rule, "" and 0 where the complaint is about none. ``inner``: line
    and column inside the rule's expression, (0, 0) where none is given.
    """

    message: str
    line: int = 0
    group: str = ""
    number: int = 0
    inner: tuple[int, int] = (0, 0)


class Unavailable(Exception):
    """There is no promtool, or none that can answer; the message says why."""


class Call:
    """A running promtool; ``complaints`` waits for it. The index is that of the text that was given."""

    def __init__(self, arguments: Sequence[str], texts: Sequence[str]) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._found: dict[int, list[Complaint]] | None = None
        self._error = ""
        program = shutil.which("promtool")
        if program is None:
            self._error = "promtool is not installed"
            return
        self._folder = tempfile.TemporaryDirectory(prefix="infra-audit-")
        self._paths = [self._written(number, text) for number, text in enumerate(texts)]
        try:
            self._process = subprocess.Popen(
                [program, *arguments, *self._paths],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        except OSError as error:
            self._error = f"promtool cannot be run: {error.strerror}"

    def complaints(self, index: int = 0) -> list[Complaint]:
        """What promtool says about one of the texts; raises Unavailable."""
        if self._found is None and not self._error:
            self._found = self._answer()
        if self._found is None:
            raise Unavailable(self._error)
        return self._found.get(index, [])

    def _written(self, number: int, text: str) -> str:
        """A copy under a name of its own: what is checked is what was read."""
        assert self._folder is not None
        path = os.path.join(self._folder.name, f"{number}.yml")
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return path

    def _answer(self) -> dict[int, list[Complaint]] | None:
        assert self._process is not None
        assert self._folder is not None
        try:
            _, said = self._process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            self._error = f"promtool did not answer within {_SECONDS:g} s"
            return None
        finally:
            self._folder.cleanup()
        if self._process.returncode and "unknown long flag" in said:
            self._error = "promtool is too old"
            return None
        found = {number: _complaints(said, path) for number, path in enumerate(self._paths)}
        if self._process.returncode and not any(found.values()):
            self._error = f"promtool failed: {' '.join(said.split())[:200]}"
            return None
        return found


def check_rules(texts: Sequence[Source]) -> Call:
    """Starts the check of rule files, once for the same texts."""
    return _call(("check", "rules", "--lint=none"), tuple(text.text for text in texts))


def check_config(text: Source) -> Call:
    """Starts the check of a configuration by itself; what it refers to lies in a container and is not looked at."""
    return _call(("check", "config", "--syntax-only"), (text.text,))


@lru_cache(maxsize=8)
def _call(arguments: tuple[str, ...], texts: tuple[str, ...]) -> Call:
    return Call(arguments, texts)


_UNMARSHAL = Pattern(r"\s+line (?P<line>\d+): (?P<message>.*)")
_YAML_LINE = Pattern(r"yaml: line (?P<line>\d+): (?P<message>.*)")
_RULE = Pattern(
    r"(?:(?P<line>\d+):(?P<column>\d+): )?(?:group \"(?P<group>(?:[^\"\\]|\\.)*)\", rule (?P<number>\d+), "
    r"\"(?P<name>(?:[^\"\\]|\\.)*)\": )?(?P<message>.*)"
)
_INNER = Pattern(r"could not parse expression: (?P<line>\d+):(?P<column>\d+): (?:parse error: )?(?P<message>.*)")


def _complaints(said: str, path: str) -> list[Complaint]:
    """The complaints about one file. A line with its path begins one; indented lines go on."""
    found: list[Complaint] = []
    mine = False
    for line in said.splitlines():
        text = line.replace(f"parsing YAML file {path}: ", "").replace(f"{path}: ", "", 1)
        begins = text != line
        if begins:
            mine = True
            text = text.strip().removeprefix("FAILED: ")
            if not text.startswith("yaml: unmarshal errors"):
                found.append(_complaint(text))
        elif mine and (match := _UNMARSHAL.fullmatch(line)):
            found.append(Complaint(_plain(match["message"]), int(match["line"])))
        elif line.strip():
            mine = False
    return found


def _complaint(text: str) -> Complaint:
    match = _YAML_LINE.fullmatch(text)
    if match is not None:
        return Complaint(match["message"], int(match["line"]))
    match = _RULE.fullmatch(text)
    assert match is not None
    message, inner = match["message"], (0, 0)
    expression = _INNER.fullmatch(message)
    if expression is not None:
        message, inner = expression["message"], (int(expression["line"]), int(expression["column"]))
    return Complaint(_plain(message), int(match["line"] or 0), match["group"] or "", int(match["number"] or 0), inner)


_FIELD = Pattern(r"field (?P<field>\S+) not found in type \S+")
_TEMPLATE = Pattern(r"template: __alert_[^:]*:(?:\d+:)*(?:\d+)?:? ?")


def _plain(message: str) -> str:
    """A complaint without the names of Prometheus' own types."""
    match = _FIELD.fullmatch(message)
    return f"there is no field {match['field']} here" if match else _TEMPLATE.sub("", message)
