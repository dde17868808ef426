"""Compares us with Docker Compose on made-up deployments.

python -m tests.differential [--cases N] [--seed N] [--only TEXT] [--corpus FOLDER] [--show N] [--reasons]
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.differential.ask import Compared, Disagreement, compare_entries, compare_wholes
from tests.differential.entries import Entry, everything, mixed, pieces
from tests.differential.wholes import Whole, env_files, mutants, yaml_texts
from tests.oracle import ENVIRONMENT
from tests.reasons import reason

CHUNK = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", default="", help='cases whose label contains this; "env file" and "yaml" are made only so'
    )
    parser.add_argument("--corpus", type=Path, help="instead, changes of the Compose files in this folder")
    parser.add_argument("--show", type=int, default=2, help="how many disagreements of one label to print")
    parser.add_argument("--reasons", action="store_true", help="print what is refused for another reason")
    options = parser.parse_args()
    os.environ["HOME"] = ENVIRONMENT["HOME"]
    random_ = random.Random(options.seed)
    began = time.perf_counter()
    reasons: Counter[tuple[str, str]] = Counter()
    causes: dict[str, list[Disagreement]] = defaultdict(list)
    with ThreadPoolExecutor(2) as pool:
        for compared in _compared(options, random_, pool):
            found, (ours, theirs) = compared
            if ours and theirs:
                pair = reason(theirs), reason(ours, ours=True)
                reasons[pair] += 1
                if options.reasons and pair[0] != pair[1]:
                    print(f"{pair[0]} / {pair[1]}: {theirs[-150:]!r} / {ours[-150:]!r}")
            if found is not None:
                causes[_cause(found)].append(found)
    for cause, found_ones in sorted(causes.items(), key=lambda item: -len(item[1])):
        print(f"{len(found_ones):5} {cause}")
        for found in found_ones[: options.show]:
            print(f"      {found.label}")
            for name, text in found.files.items():
                lines = [line.strip() for line in text.splitlines() if re.match(r" *[sb]0:", line)] or (
                    [repr(text[:300])] if found.label.startswith(("env", "yaml", "mutant")) else []
                )
                if lines and (name.endswith(".yaml") or found.label.startswith("env")):
                    print(f"        {name}: {' / '.join(lines)}")
    alike = sum(count for (theirs, ours), count in reasons.items() if theirs == ours)
    both = sum(reasons.values())
    print(f"{both} refused by both, {alike / max(both, 1):.1%} for the same class of reason")
    counts = Counter(found.kind for found_ones in causes.values() for found in found_ones)
    print(f"{options.cases} cases in {time.perf_counter() - began:.0f} s: {dict(counts) or 'no disagreement'}")
    return min(sum(counts.values()), 1)


def _cause(found: Disagreement) -> str:
    """What is the same in cases of one cause, to group by."""
    text = re.sub(r"/tmp/case\w+", "", found.detail.replace("\n", " "))
    text = re.sub(r":\d+:\d+:", ":", text)
    text = re.sub(r"\b\d+\b", "N", text)
    return f"{found.kind}: {text[:200]}"


def _compared(options: argparse.Namespace, random_: random.Random, pool: ThreadPoolExecutor) -> Iterator[Compared]:
    """All cases, compared in chunks."""
    count = options.cases
    if options.corpus:
        made: Iterator[Whole] = mutants(options.corpus, random_)
    elif options.only in ("env file", "yaml"):
        made = {"env file": env_files, "yaml": yaml_texts}[options.only](random_)
    else:
        entries = _entries(options.only, count, random_)
        for chunk in _chunks(entries):
            yield from compare_entries(chunk, pool)
        return
    for chunk_ in _chunks(list(itertools.islice(made, count))):
        yield from compare_wholes(chunk_, pool)


def _entries(only: str, count: int, random_: random.Random) -> list[Entry]:
    """Half from what can be listed, half from what has no end."""
    fixed = [entry for make in everything for entry in make() if only in entry.label]
    random_.shuffle(fixed)
    chosen = fixed[: count // 2]
    endless = (entry for pair in zip(pieces(random_), mixed(random_), strict=False) for entry in pair)
    wanted = (entry for entry in itertools.islice(endless, count * 20) if only in entry.label)
    return chosen + list(itertools.islice(wanted, count - len(chosen)))


_Case = TypeVar("_Case")


def _chunks(cases: list[_Case]) -> Iterator[list[_Case]]:
    for at in range(0, len(cases), CHUNK):
        yield cases[at : at + CHUNK]


if __name__ == "__main__":
    sys.exit(main())
