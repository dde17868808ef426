"""Compares ``resolve`` with what Docker Compose itself says, over a corpus of deployments.

    python -m tests.conformance FILES ORACLE.jsonl.gz [--show N] [--only TEXT] [--reasons]

An oracle file has one JSON object per line: ``repo`` (a folder below FILES), ``files`` (relative to
it, in merge order), ``cwd``, ``ok``, and ``model`` (the JSON of ``docker compose config``) or
``error``; "@CORPUS@" in it stands for FILES. Only the mode "interp" (all profiles) is compared.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from infra_audit.compose import load
from infra_audit.compose.canonical import canonical
from infra_audit.errors import InfraAuditError
from tests.reasons import reason

ORACLE_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"}


class Difference(NamedTuple):
    """A path of the document with what Compose says and what we say."""

    path: str
    expected: Any
    actual: Any

    @property
    def cause(self) -> str:
        """The path with names and positions taken out, to count by."""
        steps = self.path.split(".")
        named = {1} | ({3} if len(steps) > 3 else set())
        kept = [step for index, step in enumerate(steps) if index not in named]
        return re.sub(r"\[\d+]", "[]", ".".join(kept))


MISSING = "(missing)"


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[Difference]:
    """The smallest places in which two documents differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in dict.fromkeys([*expected, *actual]):
            here = f"{path}.{key}" if path else str(key)
            yield from differences(expected.get(key, MISSING), actual.get(key, MISSING), here)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from differences(left, right, f"{path}[{index}]")
    elif expected != actual or (
        type(expected) is not type(actual) and not (_is_number(expected) and _is_number(actual))
    ):
        yield Difference(path, expected, actual)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def resolved(files: list[str], cwd: str, environ: dict[str, str]) -> dict[str, Any]:
    """What ``resolve --profile '*'`` gives for these files in this folder."""
    os.chdir(cwd)
    return canonical(load(files, strict=True, profiles=("*",), environ=environ))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path)
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--show", type=int, default=40, help="how many differing cases to print")
    parser.add_argument("--only", default="", help="cases whose id contains this")
    parser.add_argument("--reasons", action="store_true", help="print the cases that are refused for another reason")
    options = parser.parse_args(arguments)
    corpus = str(options.files.resolve())
    os.environ["HOME"] = ORACLE_ENVIRONMENT["HOME"]
    counts: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    causes: Counter[str] = Counter()
    shown = 0
    began = time.perf_counter()
    with gzip.open(options.oracle, "rt", encoding="utf-8") as stream:
        for line in stream:
            case = json.loads(line)
            if case["mode"] != "interp" or options.only not in case["case_id"]:
                continue
            verdict, detail = _compare(case, corpus)
            counts[verdict] += 1
            if verdict == "both refuse":
                (pair,) = detail
                reasons[pair] += 1
                if pair[0] != pair[1] and options.reasons:
                    print(f"refused as {pair[0]}, by us as {pair[1]}: {case['case_id']}")
            if verdict in ("same", "both refuse"):
                continue
            causes.update({f"{verdict}: {cause}" for cause, _ in detail})
            shown += 1
            if shown <= options.show:
                print(f"{verdict}: {case['case_id']}")
                for _, text in detail[:4]:
                    print(f"    {text[:300]}")
    print(f"\n{time.perf_counter() - began:.1f} s")
    for verdict, count in counts.most_common():
        print(f"{count:6} {verdict}")
    accepted = counts["same"] + counts["differs"] + counts["we refuse"]
    print(f"{counts['same'] / max(accepted, 1):.2%} of what Compose accepts is the same whole document\n")
    alike = sum(count for (theirs, ours), count in reasons.items() if theirs == ours)
    print(f"{alike / max(counts['both refuse'], 1):.2%} of what both refuse is refused for the same class of reason:")
    for (theirs, ours), count in reasons.most_common():
        print(f"{count:6} {theirs}" + ("" if theirs == ours else f", by us: {ours}"))
    print()
    for cause, count in causes.most_common(40):
        print(f"{count:6} {cause}")
    return 0 if accepted and counts["same"] >= 0.9 * accepted and not counts["crash"] else 1


def _compare(case: dict[str, Any], corpus: str) -> tuple[str, list[tuple[str, str]]]:
    repository = os.path.join(corpus, case["repo"])
    cwd = os.path.join(repository, case["cwd"])
    environ = ORACLE_ENVIRONMENT | {"PWD": os.path.relpath(cwd, os.path.dirname(corpus))}
    try:
        actual = resolved([os.path.join(repository, file) for file in case["files"]], cwd, environ)
    except InfraAuditError as error:
        if not case["ok"]:
            return "both refuse", [(reason(case["error"]), reason(error.message, ours=True))]
        return "we refuse", [(re.sub(r"\d+|'[^']*'", "…", error.message)[:80], str(error))]
    except Exception as error:  # the count of crashes is a result of this script
        return "crash", [(repr(error)[:80], repr(error))]
    if not case["ok"]:
        return "we accept", [(case["error"].splitlines()[-1][-60:] if case["error"] else "", case["error"])]
    found = list(differences(case["model"], json.loads(_masked(json.dumps(actual), corpus))))
    if not found:
        return "same", []
    return "differs", [(d.cause, f"{d.path}: Compose {d.expected!r}, we {d.actual!r}") for d in found]


def _masked(text: str, corpus: str) -> str:
    """The text as the oracle writes it, which masks the folder both by its path and by its bare name."""
    return text.replace(corpus, "@CORPUS@").replace(os.path.basename(corpus), "@CORPUS@")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
