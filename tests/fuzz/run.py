"""python -m tests.fuzz.run TARGET [--minutes N] [--seeds FOLDER]: searches inputs that break a target.

Coverage-guided, with atheris (libFuzzer). New inputs that reach new code are kept in build/fuzz/TARGET;
an input that breaks something is written there as crash-…; keep it in tests/fuzz/inputs/TARGET.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["infra_audit"]):
    from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=Path, action="append", default=[], help="folders of files to begin with")
    options = parser.parse_args()
    target = TARGETS[options.target]
    found = HERE.parent.parent / "build" / "fuzz" / options.target
    found.mkdir(parents=True, exist_ok=True)
    kept = HERE / "inputs" / options.target

    def one(data: bytes) -> None:
        target(data.decode("utf-8", "replace"))

    arguments = [
        sys.argv[0],
        f"-max_total_time={int(options.minutes * 60)}",
        "-timeout=10",
        "-max_len=8192",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
        str(found),
        *(str(folder) for folder in (kept, *options.seeds) if folder.is_dir()),
    ]
    atheris.Setup(arguments, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
