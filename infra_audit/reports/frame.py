"""The code frame: the line that a finding points to, with its exact span underlined.

       97 |     command: redis-server --maxmemory 2gb
          |                                       ^^^

Columns are terminal columns, so tabs, wide and combining characters keep the carets in place.
Credentials are replaced by ``***``; characters that a terminal would act on are shown as escapes.
"""

from __future__ import annotations

from infra_audit.named import NamedTuple
from infra_audit.reports.terminal import Style, cell_width, escape, printable
from infra_audit.secrets import MASK, secret_ranges
from infra_audit.source import Span

__all__ = ["code_frame", "excerpt"]

_TAB = 4
_REACH = 2000
"""Characters of a very long line that are looked at on each side of a span's start."""


_EXCERPT = 72


class _Cell(NamedTuple):
    text: str
    width: int


def code_frame(span: Span, width: int, style: Style, severity: str) -> list[str]:
    """The frame's two lines; empty where the source has no such line."""
    source = span.source
    line = source.line(span.line)
    if not line.strip() and span.end_line == span.line:
        return []
    start = min(span.column - 1, len(line))
    end = min(span.end_column - 1, len(line)) if span.end_line == span.line else len(line.rstrip())
    end = max(end, start)
    skipped = max(0, start - _REACH)
    window = line[skipped : start + _REACH]
    secrets = secret_ranges(window, source.line(span.line - 1)[:_REACH])
    gutter = max(4, len(str(span.line)))
    room = max(width - gutter - 3, 20)
    if len(window) <= room and not secrets and window.isascii() and window.isprintable():
        shown, marks = window.rstrip(), " " * start + "^" * max(end - start, 1)
    else:
        shown, marks = _fit(_cells(window, secrets), start - skipped, min(end - skipped, len(window)), room)
    last = span.end_line - 1 if span.end_column == 1 else span.end_line
    more = f" to line {last}" if last > span.line else ""
    return [
        f"{style('dim', f'{span.line:>{gutter}} |')} {shown}",
        f"{style('dim', ' ' * gutter + ' |')} {style(severity, marks)}{style('dim', more)}",
    ]


def excerpt(span: Span) -> str:
    """The line at a place in short, without credentials; "" where there is none."""
    source = span.source
    line = source.line(span.line)[:_REACH]
    for start, end in reversed(secret_ranges(line, source.line(span.line - 1)[:_REACH])):
        line = f"{line[:start]}{MASK}{line[end:]}"
    line = printable(line.strip())
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"


def _cells(line: str, secrets: list[tuple[int, int]]) -> list[_Cell]:
    """One cell per character; a masked text is one wide cell and empty ones."""
    cells: list[_Cell] = []
    masked = {at: at == start for start, end in secrets for at in range(start, end)}
    column = 0
    for at, char in enumerate(line):
        if at in masked:
            cell = _Cell(MASK, len(MASK)) if masked[at] else _Cell("", 0)
        elif char == "\t":
            blank = _TAB - column % _TAB
            cell = _Cell(" " * blank, blank)
        elif char.isprintable():
            cell = _Cell(char, cell_width(char))
        else:
            text = escape(char)
            cell = _Cell(text, len(text))
        column += cell.width
        cells.append(cell)
    return cells


def _fit(cells: list[_Cell], start: int, end: int, room: int) -> tuple[str, str]:
    """The visible part of a line and the carets below it, in at most ``room`` columns."""
    first, last = 0, len(cells)
    if sum(cell.width for cell in cells) > room:
        lead = min(room // 3, max(room - 2 - sum(cell.width for cell in cells[start:end]), 4))
        first = start
        while first > 0 and lead >= cells[first - 1].width:
            first -= 1
            lead -= cells[first].width
        left = room - (1 if first else 0)
        last = first
        while last < len(cells) and left - cells[last].width >= 1:
            left -= cells[last].width
            last += 1
    before = "…" if first else ""
    after = "…" if last < len(cells) else ""
    shown = before + "".join(cell.text for cell in cells[first:last]) + after
    indent = len(before) + sum(cell.width for cell in cells[first : min(start, last)])
    covered = sum(cell.width for cell in cells[start : min(end, last)])
    if start < last and covered == 0 and end > start:  # the middle of a masked text
        covered = len(MASK)
        indent = max(indent - covered, 0)
    return shown.rstrip(), " " * indent + "^" * max(covered, 1)
