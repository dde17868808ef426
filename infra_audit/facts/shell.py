"""Shell scripts as simple commands: enough to see which programs a probe or a start command runs.

Reads quotes, escapes, comments, operators and redirections of a POSIX shell. A word keeps its text
without quotes; variables and substitutions stay as they are written. Grouping (``( )``, ``{ }``)
and keywords (``if``, ``then``, ``!``) are dropped, so the order of commands is that of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern

__all__ = ["OPERATORS", "SHELLS", "Command", "Piece", "base_name", "commands", "is_script_option"]

SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "ksh"))
OPERATORS = ("&&", "||", ";;", "|&", "&", "|", ";", "\n")
"""What ends a simple command, longest first."""

_KEYWORDS = frozenset(("if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!", "{", "}", "time"))
_PREFIXES = frozenset(("exec", "command", "env"))
_ASSIGNMENT = Pattern(r"[A-Za-z_][A-Za-z0-9_]*=", hints=("=",))
_REDIRECTION = Pattern(r"(?:[0-9]*|&)(?:>>|>&|<&|<<<|<<|<>|>\||>|<)", hints=("<", ">"))
_SCRIPT_OPTION = Pattern(r"-[a-z]*c\Z", hints=("-",))


class Piece(NamedTuple):
    """A word of a script, and where it stands in it (offsets, the end exclusive)."""

    text: str
    start: int
    end: int


class Command(NamedTuple):
    """One simple command. ``before`` is the operator in front of it, "" for the first."""

    words: tuple[Piece, ...]
    before: str
    redirected: tuple[Piece, ...]
    """Files that it reads or writes."""

    @property
    def arguments(self) -> tuple[Piece, ...]:
        """The program and its arguments, without keywords, assignments, ``exec`` and ``env``."""
        words = self.words
        while words and (words[0].text in _KEYWORDS | _PREFIXES or _ASSIGNMENT.match(words[0].text)):
            words = words[1:]
        return words

    @property
    def program(self) -> str:
        """The name of the program without its folder; "" where there is none."""
        arguments = self.arguments
        return base_name(arguments[0].text) if arguments else ""


def base_name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def is_script_option(word: str) -> bool:
    """True for the option of a shell whose next word is a script: -c, -ec, -lc."""
    return _SCRIPT_OPTION.match(word) is not None


@lru_cache(maxsize=1024)
def commands(script: str) -> tuple[Command, ...]:
    """The simple commands of a script in the order of the text."""
    found: list[Command] = []
    words: list[Piece] = []
    redirected: list[Piece] = []
    before = ""
    redirecting = False
    for kind, piece in _tokens(script):
        if kind == "operator":
            if words or redirected:
                found.append(Command(tuple(words), before, tuple(redirected)))
                words, redirected = [], []
                before = ";" if piece.text == "\n" else piece.text
            elif piece.text != "\n":
                before = piece.text
            redirecting = False
        elif kind == "redirection":
            redirecting = True
        elif redirecting:
            redirected.append(piece)
            redirecting = False
        else:
            words.append(piece)
    if words or redirected:
        found.append(Command(tuple(words), before, tuple(redirected)))
    return tuple(found)


def _tokens(script: str) -> Iterator[tuple[str, Piece]]:
    at = 0
    while at < len(script):
        char = script[at]
        if char in " \t\r()" or script.startswith("\\\n", at):
            at += 2 if char == "\\" else 1
            continue
        if char == "#":
            end = script.find("\n", at)
            at = len(script) if end < 0 else end
            continue
        redirection = _REDIRECTION.match(script, at)
        if redirection:
            yield "redirection", Piece(redirection[0], at, redirection.end())
            at = redirection.end()
            continue
        operator = next((text for text in OPERATORS if script.startswith(text, at)), "")
        if operator:
            yield "operator", Piece(operator, at, at + len(operator))
            at += len(operator)
            continue
        piece = _word(script, at)
        yield "word", piece
        at = piece.end


def _word(script: str, start: int) -> Piece:
    """The word that starts at an offset, quotes taken off."""
    text: list[str] = []
    at = start
    while at < len(script):
        char = script[at]
        if char in " \t\r\n;|&<>()":
            break
        if char == "\\":
            text.append("" if script[at + 1 : at + 2] == "\n" else script[at + 1 : at + 2])
            at += 2
        elif char == "'":
            end = _closing(script, at + 1, "'")
            text.append(script[at + 1 : end])
            at = end + 1
        elif char == '"':
            inner, at = _double_quoted(script, at + 1)
            text.append(inner)
        elif char == "`":
            end = _closing(script, at + 1, "`")
            text.append(script[at : end + 1])
            at = end + 1
        elif script.startswith(("$(", "${"), at):
            end = _substitution(script, at + 1)
            text.append(script[at:end])
            at = end
        else:
            text.append(char)
            at += 1
    return Piece("".join(text), start, min(at, len(script)))


def _closing(script: str, start: int, quote: str) -> int:
    end = script.find(quote, start)
    return len(script) if end < 0 else end


def _double_quoted(script: str, start: int) -> tuple[str, int]:
    """The text of a double-quoted part, and the offset after its closing quote."""
    text: list[str] = []
    at = start
    while at < len(script) and script[at] != '"':
        if script[at] == "\\" and script[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            text.append(script[at + 1].replace("\n", ""))
            at += 2
        elif script.startswith(("$(", "${"), at):
            end = _substitution(script, at + 1)
            text.append(script[at:end])
            at = end
        else:
            text.append(script[at])
            at += 1
    return "".join(text), at + 1


def _substitution(script: str, start: int) -> int:
    """The offset after the bracket that closes the one at ``start``; quotes inside are skipped."""
    opening = script[start]
    closing = {"(": ")", "{": "}"}[opening]
    depth = 0
    at = start
    while at < len(script):
        char = script[at]
        if char in "\"'":
            at = _closing(script, at + 1, char)
        elif char == opening:
            depth += 1
        elif char == closing:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(script)
