"""Asks both sides of many cases at once and finds those on which they do not agree."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from tests.conformance import differences
from tests.differential.entries import Entry, files
from tests.differential.wholes import Whole
from tests.oracle import Answer, Question

__all__ = ["ENVIRON", "Disagreement", "compare_entries", "compare_files", "compare_wholes", "question"]

ENVIRON = {"A": "a-value", "B": ""}
BATCH = 60


class Disagreement(NamedTuple):
    label: str
    kind: str
    """we accept, we refuse, differs, or crash"""
    files: dict[str, str]
    detail: str


Compared: TypeAlias = tuple[Disagreement | None, tuple[str, str]]
"""A disagreement, if there is one, and what we and Compose said where we refused."""


def question(texts: dict[str, str], folder: Path, **options: Any) -> Question:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    merged = [name for name in texts if name.startswith("compose")]
    return Question(folder, merged, **{"environ": {**ENVIRON, "PWD": str(folder)}, **options})


def _ours(asked: Question) -> Answer:
    try:
        return asked.ask_us()
    except Exception as error:  # a crash is a result
        return Answer(None, f"CRASH {error!r}")


def verdict(ours: Answer, theirs: Answer) -> tuple[str, str]:
    if ours.error.startswith("CRASH"):
        return "crash", ours.error
    if ours.error and theirs.error:
        return "", ""
    if ours.error:
        return "we refuse", ours.error
    if "error calling MarshalJSON" in theirs.error:
        return "", ""  # Compose accepts this, and cannot print it as JSON
    if theirs.error:
        return "we accept", theirs.error
    found = list(differences(theirs.model, ours.model))
    return (
        ("differs", "; ".join(f"{at.path}: Compose {at.expected!r}, we {at.actual!r}" for at in found[:4]))
        if found
        else ("", "")
    )


def compare_files(label: str, texts: dict[str, str], **options: Any) -> Compared:
    """One case by itself, and what both said where they refused it."""
    with tempfile.TemporaryDirectory(prefix="case") as folder:
        asked = question(texts, Path(folder), **options)
        ours, theirs = _ours(asked), asked.ask_compose()
    kind, detail = verdict(ours, theirs)
    return (Disagreement(label, kind, texts, detail) if kind else None), (ours.error, theirs.error)


def compare_entries(entries: Sequence[Entry], pool: ThreadPoolExecutor) -> Iterator[Compared]:
    """Disagreements, and what both said of each case that we refuse."""
    accepted: list[Entry] = []
    refused: list[Entry] = []
    with tempfile.TemporaryDirectory(prefix="case") as top:
        for entry in entries:
            folder = Path(top) / "p"
            ours = _ours(question(files([entry]), folder))
            for path in folder.glob("compose*"):
                path.unlink()
            (refused if ours.error else accepted).append(entry)
    batches = [accepted[at : at + BATCH] for at in range(0, len(accepted), BATCH)]
    for found in pool.map(_batch, batches):
        for disagreement in found:
            yield disagreement, ("", "")
    yield from pool.map(lambda entry: compare_files(entry.label, files([entry])), refused)


def compare_wholes(wholes: Sequence[Whole], pool: ThreadPoolExecutor) -> Iterator[Compared]:
    yield from pool.map(lambda whole: compare_files(whole.label, whole.files, profiles=whole.profiles), wholes)


def _batch(entries: Sequence[Entry]) -> list[Disagreement]:
    """Cases that we accept one by one: all of them in one question, in halves where that is refused."""
    with tempfile.TemporaryDirectory(prefix="case") as folder:
        asked = question(files(entries), Path(folder))
        theirs = asked.ask_compose()
        if not theirs.error:
            ours = _ours(asked)
            if not ours.error:
                wrong = {name for name, found in _per_entry(theirs.model, ours.model)}
                suspects = [entry for index, entry in enumerate(entries) if f"s{index}" in wrong]
                again = (compare_files(entry.label, files([entry]))[0] for entry in suspects)
                return [found for found in again if found]
    if len(entries) == 1:
        found, _ = compare_files(entries[0].label, files(entries))
        return [found] if found else []
    half = len(entries) // 2
    return [*_batch(entries[:half]), *_batch(entries[half:])]


def _per_entry(theirs: Any, ours: Any) -> Iterator[tuple[str, str]]:
    for difference in differences(theirs, ours):
        steps = difference.path.split(".")
        yield (steps[1] if len(steps) > 1 else "").replace("b", "s", 1), difference.path
