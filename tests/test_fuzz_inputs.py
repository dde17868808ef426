"""The fuzz targets over the inputs that are kept, and over texts that hypothesis makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

INPUTS = sorted((Path(__file__).parent / "fuzz" / "inputs").glob("*/*"))

PIECES = {
    "yaml": "a: b|- c|{|}|[|]|&x |*x|<<: |\n|  |'|\"|# |---\n|!reset |!!str |: |, ||\n  - |0755|~|\t|é|\u2028",
    "interpolate": "$|${|}|A|B|:-|-|:?|?|:+|+|$$|{|x|\n| |é|1",
    "env": "A|=|:|\n|'|\"|\\|#| |$|{|}|export |é|\t|\r\n|.|\\n",
    "redis_conf": "maxmemory |1gb|\n|'|\"|\\x|4|include |redis.conf|# | |\t|\\",
    "command": "sh|-c|'|\"|\\|;|&&|(|)|`|$| |\n|\t|n",
    "compose": (
        "services:\n  a:\n    |image: x\n|    |ports:|    - |80:80\n|volumes:|a:/b\n|environment:| A=1\n|deploy:|"
        " {replicas: 2}\n|"
        "extends: a\n|depends_on: [a]\n|networks: |${X}|null|!reset |!override |x-y: 1\n|healthcheck: |1|[]|{}|\n"
    ),
}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_input_breaks_nothing(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes().decode("utf-8", "replace"))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_made_up_texts_break_nothing(name: str) -> None:
    pieces = PIECES[name].split("|")
    made = st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=40).map("".join)

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(made)
    def holds(text: str) -> None:
        TARGETS[name](text)

    holds()
