"""Runs the commands that README.md and docs/*.md show, and writes their outputs below them; writes docs/policies.

    python docs/generate.py            writes
    python docs/generate.py --check    exit code 1 where a shown output is not what the command prints

A shown output is a code block after a comment of this form; commands run in docs/examples:

    <!-- output of: infra-audit check shop -->
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
_BLOCK = re.compile(
    r"(<!-- output of: (?P<command>infra-audit [^\n]*?) -->\n+```\w*\n)(?P<output>.*?)(?=^```$)", re.S | re.M
)


def pages() -> list[Path]:
    """The pages that may show outputs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def output_of(command: str) -> str:
    """What a command prints, stdout and then stderr; a pipe may follow only as ``| head -n N``."""
    command, _, lines = command.partition(" | head -n ")
    env = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "CI")}
    done = subprocess.run(
        [sys.executable, "-m", "infra_audit", *shlex.split(command)[1:]],
        cwd=EXAMPLES,
        env=env | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    if lines:
        text = "".join(text.splitlines(keepends=True)[: int(lines)]) + "…\n"
    return text


def refreshed(text: str) -> str:
    """A page with every shown output as it is now."""
    return _BLOCK.sub(lambda block: block[1] + output_of(block["command"]), text)


def written_pages() -> dict[Path, str]:
    """The pages about policies, which hold nothing that is not in the policies' own files."""
    sys.path.insert(0, str(ROOT))
    from docs.policy_pages import pages as policy_pages

    return {ROOT / "docs" / "policies" / name: text for name, text in policy_pages().items()}


def write_policies(check: bool) -> int:
    """Writes the pages about policies and takes away those of policies that are gone; returns how many differ."""
    wanted = written_pages()
    folder = ROOT / "docs" / "policies"
    there = {page: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    stale = [page for page in sorted({*wanted, *there}) if wanted.get(page) != there.get(page)]
    for page in stale:
        if check:
            print(f"{page.relative_to(ROOT)} is not what its policy says; run `make docs`")
        elif page in wanted:
            folder.mkdir(exist_ok=True)
            page.write_text(wanted[page], encoding="utf-8")
        else:
            page.unlink()
    if stale and not check:
        print(f"wrote {len(stale)} pages in docs/policies")
    return len(stale)


def main() -> int:
    stale = write_policies("--check" in sys.argv)
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = refreshed(before)
        if before == after:
            continue
        stale += 1
        if "--check" in sys.argv:
            print(f"{page.relative_to(ROOT)} shows outputs that are no longer true; run `make docs`")
        else:
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.relative_to(ROOT)}")
    return int(stale > 0 and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
