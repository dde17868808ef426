"""Runs commands by turns and says what each of them took, as a whole process with its children.

A process begins with the memory of the one that starts it, and that counts into its peak. So a small process starts
them: this file as a program, which reads a command in each line and answers what it took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Run", "measure", "table"]


class Run(NamedTuple):
    """CPU time (user and system) and wall time in milliseconds, and the largest resident set in MiB."""

    cpu: float
    wall: float
    memory: float


def measure(commands: Mapping[str, Sequence[str]], cwd: str, runs: int, env: Mapping[str, str]) -> dict[str, list[Run]]:
    """Every run of each command but the first, which fills caches. A busy machine slows all of them.

    Their order changes from turn to turn: after one that is busy for long, a machine may be slow for a while.
    """
    import random  # which the small process does without

    measured: dict[str, list[Run]] = {name: [] for name in commands}
    starter = [sys.executable, "-I", "-S", __file__]
    with subprocess.Popen(starter, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as small:
        assert small.stdin is not None
        assert small.stdout is not None
        for turn in range(runs + 1):
            for name in random.Random(turn).sample(list(commands), len(commands)):
                small.stdin.write(f"{json.dumps(commands[name])}\n")
                small.stdin.flush()
                run = Run(*json.loads(small.stdout.readline()))
                if turn:
                    measured[name].append(run)
        small.stdin.close()
    return measured


def _run(command: Sequence[str]) -> Run:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run((usage.ru_utime + usage.ru_stime) * 1000, wall * 1000, usage.ru_maxrss / 1024)


def table(title: str, measured: Mapping[str, Sequence[Run]], against: str) -> Iterator[str]:
    """A line per command: medians, and their ratios to one of them."""
    base_cpu, base_wall, _ = _medians(measured[against])
    yield f"{title:<36} {'CPU':>9} {'ratio':>7} {'wall':>10} {'ratio':>7} {'peak memory':>13}"
    for name, runs in measured.items():
        cpu, wall, memory = _medians(runs)
        yield (
            f"  {name:<34} {cpu:>6.0f} ms {cpu / base_cpu:>6.2f}x {wall:>7.0f} ms {wall / base_wall:>6.2f}x"
            f" {memory:>9.0f} MiB"
        )
    yield ""


def _medians(runs: Sequence[Run]) -> Run:
    import statistics  # likewise

    return Run(*(statistics.median(values) for values in zip(*runs, strict=True)))


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)
