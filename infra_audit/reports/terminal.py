"""Text for a terminal: columns that a character takes, escapes for what must not reach it raw, colours."""

from __future__ import annotations

from infra_audit.named import NamedTuple

__all__ = ["Look", "Style", "cell_width", "count", "printable", "wrap"]

_CODES = {"error": "1;31", "warning": "1;33", "info": "1;36", "bold": "1", "dim": "2", "place": "36", "good": "1;32"}


class Look(NamedTuple):
    """How a text report is laid out: columns to fill, and whether colours are wanted."""

    width: int = 100
    color: bool = False


class Style:
    """Wraps texts in ANSI colours, or leaves them alone."""

    __slots__ = ("_on",)

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, kind: str, text: str) -> str:
        return f"\x1b[{_CODES[kind]}m{text}\x1b[0m" if self._on and text else text


def printable(text: str) -> str:
    """The text with control, format and other invisible characters written as escapes (line ends too)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escape(char) for char in text)


def escape(char: str) -> str:
    r"""A character as people know its escape: \n, \x1b, \u202e."""
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or (
        f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"
    )


def cell_width(char: str) -> int:
    """Terminal columns of a printable character: 0 for combining marks, 2 for wide ones, else 1."""
    if char < "\u0300":
        return 1
    import unicodedata

    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def wrap(text: str, width: int, first: str, rest: str) -> list[str]:
    """The words of a text in lines of at most ``width``, each paragraph with its indent."""
    width = max(width, 40)
    text = text.strip()
    if text and text.isprintable() and len(first) + len(text) <= width:
        return [first + text]
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in printable(paragraph).split():
            if not line:
                line = (rest if lines else first) + word
            elif len(line) + 1 + len(word) <= width:
                line += " " + word
            else:
                lines.append(line)
                line = rest + word
        if line:
            lines.append(line)
    return lines


def count(number: int, noun: str) -> str:
    """1 error, 2 errors."""
    return (
        f"{number} {noun}" if number == 1 else f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"
    )
