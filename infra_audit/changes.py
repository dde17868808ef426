"""What changed since a revision of git: the lines on which a finding is somebody's of today.

A line counts as changed where git's diff against the work tree adds or changes it, and where it is
the parent (by its indentation) of a key that was taken out: a limit that is gone is found at its
service. Files that git does not track count as changed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable

from infra_audit.errors import UsageError
from infra_audit.finding import Finding
from infra_audit.source import Span

__all__ = ["Changes"]

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")
_KEY = re.compile(r"\s*(?:-\s+)*([^\s:#][^:#]*):(?:\s|$)|\s*(?:export\s+)?([\w.-]+)[=\s]")


class Changes:
    """The changed lines of each file below a repository's root."""

    def __init__(self, revision: str, folder: str = ".") -> None:
        """Asks git; raises UsageError where it is not there or does not know the revision."""
        self.revision = revision
        root = _git(folder, "rev-parse", "--show-toplevel").rstrip("\n")
        self._root = os.path.realpath(root)
        commit = _git(
            folder,
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{revision}^{{commit}}",
            revision=revision or '""',
        ).strip()
        diff = _git(
            root,
            *("-c", "core.quotePath=false", "diff", "--no-color", "--no-ext-diff", "--no-textconv", "-M"),
            *("--unified=0", "--src-prefix=a/", "--dst-prefix=b/", commit, "--"),
        )
        self._lines = _changed(diff, root)
        self._tracked = set(filter(None, _git(root, "ls-files", "-z").split("\0")))

    def touch(self, finding: Finding) -> bool:
        """True where a finding points to a changed line, or rests on one."""
        return any(self._touched(span) for span in (finding.place, *(related.span for related in finding.related)))

    def _touched(self, span: Span) -> bool:
        location = span.source.location
        if not location:
            return True
        path = os.path.relpath(os.path.realpath(location), self._root).replace(os.sep, "/")
        if path not in self._tracked:
            return True
        lines = self._lines.get(path)
        last = span.end_line - (span.end_column == 1 and span.end_line > span.line)
        return lines is not None and any(line in lines for line in range(span.line, last + 1))


def _git(folder: str, *args: str, revision: str = "") -> str:
    try:
        done = subprocess.run(
            ["git", *args], cwd=folder, capture_output=True, text=True, errors="surrogateescape", check=False
        )
    except FileNotFoundError:
        raise UsageError("--since needs git, and no program of this name is here") from None
    if done.returncode:
        if revision:
            raise UsageError(f"--since: git knows no revision {revision} here (a shallow clone has only the last)")
        why = done.stderr.strip().split("\n")[0].removeprefix("fatal: ")
        raise UsageError(f"--since: git says: {why or 'nothing'}")
    return done.stdout


def _changed(diff: str, root: str) -> dict[str, set[int]]:
    """Changed lines by path, from a diff without context."""
    changed: dict[str, set[int]] = {}
    path = ""
    hunk: list[str] = []
    start = count = 0
    left = 0
    removed_left = 0

    def close() -> None:
        if path and hunk:
            changed.setdefault(path, set()).update(range(start, start + count), _parents(hunk, start, root, path))

    for line in diff.split("\n"):
        if left > 0 or removed_left > 0:
            if line.startswith("-") and removed_left > 0:
                removed_left -= 1
                hunk.append(line)
                continue
            if line.startswith("+") and left > 0:
                left -= 1
                hunk.append(line)
                continue
            if line.startswith("\\"):
                continue
        match = _HUNK.match(line)
        if match:
            close()
            start, count = int(match[1]), int(match[2] or 1)
            old = re.match(r"@@ -\d+(?:,(\d+))? ", line)
            left, removed_left, hunk = count, int(old[1] or 1) if old else 0, [""]
        elif line.startswith("+++ "):
            close()
            path, hunk = _path(line[4:]), []
        elif line.startswith("diff "):
            close()
            path, hunk = "", []
    close()
    return changed


def _path(name: str) -> str:
    """The path of a `+++` line; git quotes names with unusual characters as C does."""
    name = name.removesuffix("\t")
    if name.startswith('"'):
        name = name[1:-1].encode("utf-8", "surrogateescape").decode("unicode_escape")
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")
    return name.removeprefix("b/") if name != "/dev/null" else ""


def _parents(hunk: Iterable[str], start: int, root: str, path: str) -> set[int]:
    """Lines of the keys that lost a child: of a removed line whose key the hunk does not add again."""
    lines = list(hunk)
    added = {_key(line[1:]) for line in lines if line.startswith("+")}
    removed = [line[1:] for line in lines if line.startswith("-") and line[1:].strip()]
    gone = [line for line in removed if _key(line) not in added and not line.lstrip().startswith("#")]
    if not gone:
        return set()
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as stream:
            text = stream.read().split("\n")
    except OSError:
        return set()
    return _ancestors(text, start, min(_indent(line) for line in gone))


def _ancestors(text: list[str], start: int, indent: int) -> set[int]:
    """The lines above that enclose a place: the nearest one, and those above it below the top level."""
    found: set[int] = set()
    if not indent:
        return {start, start + 1}  # a file without nesting: what stands beside the gap
    for number in range(min(start, len(text)), 0, -1):
        line = text[number - 1]
        if line.strip() and not line.lstrip().startswith("#") and _indent(line) < indent:
            indent = _indent(line)
            if indent or not found:
                found.add(number)
            if not indent:
                break
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _key(line: str) -> tuple[int, str]:
    """What a line sets, with its indentation; the whole line where it sets nothing."""
    match = _KEY.match(line)
    return _indent(line), (match[1] or match[2]) if match else line.strip()
