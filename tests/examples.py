"""Runs the examples of a policy: that policy alone, on the example's files, as real files in a folder.

    python -m pytest -q tests/test_policies.py -k redis-maxmemory

``# <-- finding`` in an example marks the line of a finding; alone on its line it marks the line above, for
files that have no comments behind a value (redis.conf). A file without any comments (JSON) has its places in
the list ``findings`` of the example: ``findings: ["dashboard.json:12"]``. The first file or files named
``*compose*.y*ml`` are the ``-f`` files in order; ``plan.yaml`` is a plan that is adopted, ``.infra-audit.yaml``
the configuration. Texts named ``docker:…`` make it an example of what runs (``tests.running``): the snapshot that
they give is replayed, and compared with the Compose files where there are some.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from infra_audit import audit, resources
from infra_audit.deployment import Files
from infra_audit.engine.policies import PACKS, Policy
from infra_audit.finding import Gap, Report
from infra_audit.readers.yaml import read_yaml
from infra_audit.running import Look, Running
from infra_audit.source import Span
from tests import running

__all__ = ["Document", "Example", "Told", "documents", "examples", "judged", "run"]

MARK = "# <-- finding"
PROJECT = "example"
CONFIG = ".infra-audit.yaml"
REPLAYED = "snapshot.json"


class Document(NamedTuple):
    """A shipped policy with its whole document."""

    policy: Policy
    data: dict[str, Any]


class Example(NamedTuple):
    """One example of a policy: ``kind`` is "bad" or "good", ``files`` name → text, ``listed`` its ``findings``."""

    policy: Policy
    kind: str
    number: int
    files: dict[str, str]
    listed: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.policy.id}-{self.kind}-{self.number}"

    @property
    def running(self) -> dict[str, str]:
        """The texts that say what runs."""
        return {name: text for name, text in self.files.items() if name.startswith(running.PREFIX)}

    @property
    def marked(self) -> list[tuple[str, int]]:
        """File and line of each mark, and of each place that is listed."""
        marks = [
            (name, number - (line.strip() == MARK))
            for name, text in self.files.items()
            for number, line in enumerate(text.split("\n"), 1)
            if MARK in line
        ]
        places = (place.rpartition(":") for place in self.listed)
        return sorted(marks + [(name, int(number)) for name, _, number in places])


class Told(NamedTuple):
    """What the policy says about an example: file and line of each finding, their messages, the gaps."""

    lines: list[tuple[str, int]]
    messages: list[str]
    gaps: list[Gap]


def documents() -> Iterator[Document]:
    """Every policy document of the checkout, each read by itself."""
    top = Path(resources.policies_folder())
    for pack in PACKS:
        for path in sorted(top.glob(f"{pack}/*/*.yaml")):
            data = read_yaml(Files().read(str(path)))[0].data()
            yield Document(Policy.of(data, pack=pack, family=path.parent.name, file=str(path)), data)


def examples(document: Document) -> Iterator[Example]:
    for kind in ("bad", "good"):
        for number, files in enumerate((document.data.get("examples") or {}).get(kind) or (), 1):
            texts = {name: text for name, text in files.items() if name != "findings"}
            yield Example(document.policy, kind, number, texts, tuple(files.get("findings", ())))


def judged(example: Example, folder: Path) -> Report:
    """Writes the files of an example; the report of its policy alone on them."""
    files = {name: text for name, text in example.files.items() if name not in example.running}
    if example.running:
        files[REPLAYED] = running.snapshot(example.running)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    compose = [str(folder / name) for name in files if "compose" in name and name.endswith((".yaml", ".yml"))]
    plan = str(folder / "plan.yaml") if "plan.yaml" in example.files else "none"
    policy = example.policy
    request = audit.Request(
        files=tuple(compose),
        folder=str(folder),
        name=running.PROJECT if example.running else PROJECT,
        plan=plan,
        config=str(folder / CONFIG) if CONFIG in example.files else None,
        use_config=CONFIG in example.files,
        policies=() if policy.family == "suppressions" else (policy.id,),
    )
    opener = Running(Look(replay=str(folder / REPLAYED)), {}) if example.running else None
    return audit.audit(request, opener)


def run(example: Example, folder: Path) -> Told:
    """What the policy says about an example."""
    report = judged(example, folder)
    policy = example.policy
    if report.errors:
        raise AssertionError("; ".join(map(str, report.errors)))
    found = [finding for finding in report.active() if finding.policy == policy.id]
    lines = sorted(_line(example, finding.place, folder) for finding in found)
    gaps = [gap for gap in report.gaps if gap.policy == policy.id]
    return Told(lines, [str(finding.place) + " " + finding.message for finding in found], gaps)


def _line(example: Example, place: Span, folder: Path) -> tuple[str, int]:
    """The file of the example and the line in it that a finding's place is."""
    if place.source.path.startswith(running.PREFIX):
        return running.line_of(place, example.running)
    return os.path.relpath(place.source.location, folder), place.line
