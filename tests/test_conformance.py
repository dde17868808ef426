"""On small cases of every part of the format, ``resolve`` says what the real Docker Compose says.

``conformance_cases/accepted/TOPIC.yaml`` and ``refused/TOPIC.yaml`` hold the cases by name. A case is
the text of one Compose file, or a mapping of file names to texts: those at the top called ``compose*`` are
merged in order, others lie beside. The keys ``environ``, ``env_files`` and ``profiles`` are the call's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance import differences
from tests.oracle import ENVIRONMENT, Question

CASES = Path(__file__).parent / "conformance_cases"
OPTIONS = ("environ", "env_files", "profiles")


def cases(verdict: str) -> Iterator[Any]:
    for path in sorted((CASES / verdict).glob("*.yaml")):
        for name, case in yaml.safe_load(path.read_text("utf-8")).items():
            yield pytest.param(case if isinstance(case, dict) else {"compose.yaml": case}, id=f"{path.stem}: {name}")


def question(case: dict[str, Any], folder: Path) -> Question:
    """Writes the files of a case."""
    files = {name: text for name, text in case.items() if name not in OPTIONS}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    merged = [name for name in files if name.startswith("compose")]
    return Question(folder, merged, **{option: case[option] for option in OPTIONS if option in case})


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides expand `~` to the same folder."""
    monkeypatch.setenv("HOME", ENVIRONMENT["HOME"])


@pytest.mark.parametrize("case", list(cases("accepted")))
def test_the_effective_deployment_is_that_of_docker_compose(case: dict[str, Any], tmp_path: Path) -> None:
    asked = question(case, tmp_path)
    theirs, ours = asked.ask_compose(), asked.ask_us()
    assert theirs.error == "", "the case is meant to be accepted"
    assert ours.error == ""
    found = [f"{at.path}: Compose {at.expected!r}, we {at.actual!r}" for at in differences(theirs.model, ours.model)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("case", list(cases("refused")))
def test_what_docker_compose_refuses_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    asked = question(case, tmp_path)
    theirs, ours = asked.ask_compose(), asked.ask_us()
    assert theirs.error, "the case is meant to be refused"
    assert ours.error, f"Compose says: {theirs.error}"
