"""Command strings to words, the way Docker Compose splits `command:` and `entrypoint:`.

Not a shell: an unquoted ``;  &  |  <  >`` ends the command and the rest is lost, and ``(`` is refused.
Source: github.com/mattn/go-shellwords.
"""

from __future__ import annotations

__all__ = ["Words", "command_words"]

from infra_audit.named import NamedTuple

_SPACE = " \t\r\n"
_ENDS = ";&|<>"


class Words(NamedTuple):
    """The words and the rest of the text that is dropped ("" where nothing is)."""

    words: list[str]
    dropped: str


def command_words(text: str) -> Words | None:
    """The words of a command string, or None where Compose calls it an invalid command line."""
    words: list[str] = []
    word = ""
    started = escaped = False
    quote = ""  # the quote that is open: one of  " ' `  or "(" inside $( )
    dropped = ""
    for index, char in enumerate(text):
        if escaped:
            word += char
            escaped, started = False, True
            continue
        if char == "\\":
            if quote == "'":
                word += char
            else:
                escaped = True
            continue
        if char in _SPACE:
            if quote:
                word += char
            elif started:
                words.append(word)
                word, started = "", False
            continue
        if char in "\"'" and quote in ("", char):
            quote = "" if quote else char
            started = True
            continue
        if char == "`" and quote in ("", "`"):
            quote = "" if quote else "`"
        elif char == "(" and not quote:
            if not word.endswith("$"):
                return None
            quote = "("
        elif char == ")" and quote in ("", "("):
            quote = "" if quote else "("  # also one that closes nothing
        elif char in _ENDS and not quote:
            if char == ">" and word[:1].isdigit():
                started = False  # a redirected file descriptor (2>) is no word
            dropped = text[index:]
            break
        started = True
        word += char
    if started:
        words.append(word)
    return None if escaped or quote else Words(words, dropped)
