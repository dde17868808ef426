"""Compares us with Docker Compose on made-up deployments.

python -m tests.differential [--cases N] [--seed N] [--only TEXT] [--show N] [--reasons]
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

from tests.differential.ask import Disagreement, compare_entries
from tests.differential.entries import Entry, everything, mixed, pieces
from tests.oracle import ENVIRONMENT
from tests.reasons import reason

CHUNK = 600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose label contains this")
    parser.add_argument("--show", type=int, default=2, help="how many disagreements of one label to print")
    parser.add_argument("--reasons", action="store_true", help="print what is refused for another reason")
    options = parser.parse_args()
    os.environ["HOME"] = ENVIRONMENT["HOME"]
    random_ = random.Random(options.seed)
    fixed = [entry for make in everything for entry in make() if options.only in entry.label]
    random_.shuffle(fixed)
    endless = (entry for pair in zip(pieces(random_), mixed(random_), strict=False) for entry in pair)
    made = itertools.islice(endless, options.cases * 20)
    chosen = fixed[: options.cases // 2]
    wanted = (entry for entry in made if options.only in entry.label)
    chosen += list(itertools.islice(wanted, options.cases - len(chosen)))
    began = time.perf_counter()
    reasons: Counter[tuple[str, str]] = Counter()
    causes: dict[str, list[Disagreement]] = defaultdict(list)
    with ThreadPoolExecutor(2) as pool:
        for chunk in _chunks(chosen):
            for found, (ours, theirs) in compare_entries(chunk, pool):
                if ours and theirs:
                    reasons[reason(theirs), reason(ours, ours=True)] += 1
                    if options.reasons and reason(theirs) != reason(ours, ours=True):
                        print(f"{reason(theirs)} / {reason(ours, ours=True)}: {theirs[-150:]!r} / {ours[-150:]!r}")
                if found is not None:
                    causes[_cause(found)].append(found)
    for cause, found_ones in sorted(causes.items(), key=lambda item: -len(item[1])):
        print(f"{len(found_ones):5} {cause}")
        for found in found_ones[: options.show]:
            print(f"      {found.label}")
            for name, text in found.files.items():
                lines = [line.strip() for line in text.splitlines() if re.match(r" *[sb]0:", line)]
                if lines and name.endswith(".yaml"):
                    print(f"        {name}: {' / '.join(lines)}")
    alike = sum(count for (theirs, ours), count in reasons.items() if theirs == ours)
    both = sum(reasons.values())
    print(f"{both} refused by both, {alike / max(both, 1):.1%} for the same class of reason")
    counts = Counter(found.kind for found_ones in causes.values() for found in found_ones)
    print(f"{len(chosen)} cases in {time.perf_counter() - began:.0f} s: {dict(counts) or 'no disagreement'}")
    return min(sum(counts.values()), 1)


def _cause(found: Disagreement) -> str:
    """What is the same in cases of one cause, to group by."""
    text = re.sub(r"/tmp/case\w+", "", found.detail.replace("\n", " "))
    text = re.sub(r":\d+:\d+:", ":", text)
    text = re.sub(r"\b\d+\b", "N", text)
    return f"{found.kind}: {text[:200]}"


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    for at in range(0, len(entries), CHUNK):
        yield entries[at : at + CHUNK]


if __name__ == "__main__":
    sys.exit(main())
