"""The same verdict about files and about what the real Docker Compose makes of them, for every policy that judges both.

Each policy's own bad example is made on a real engine. Images are stand-ins that sleep; what cannot start stays made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from infra_audit.audit import Request, audit, deployments
from infra_audit.deployment import Deployment
from infra_audit.finding import SubjectRef
from infra_audit.opening import Opener
from infra_audit.running import Look, Running
from tests.examples import CONFIG, Example, documents, examples
from tests.lab.small import IMAGE, Small

pytestmark = pytest.mark.xdist_group("small")

_IN_FILES = ("alert", "rule_file", "recording_rule", "expression", "dashboard", "panel", "datasource", "scrape_job")
"""Subjects that lie wholly in mounted files, which both sides read in the same way: one policy of each kind is made."""

OTHERWISE: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
REFUSED, SOMETIMES, DIFFERENT = (OTHERWISE[key] for key in ("refused", "sometimes", "different"))


def chosen() -> Iterator[Example]:
    """The first bad example of each policy that judges files and what runs."""
    kinds: set[str] = set()
    for document in documents():
        policy = document.policy
        if policy.live is not None or policy.family == "suppressions" or policy.subject in kinds:
            continue
        if policy.subject in _IN_FILES:
            kinds.add(policy.subject)
        yield next(one for one in examples(document) if one.kind == "bad" and not one.running)


EXAMPLES = list(chosen())


class Verdict(NamedTuple):
    """Subjects that the policy does not hold for, and subjects for which it is not decided."""

    found: set[SubjectRef]
    gaps: set[SubjectRef]


def verdict(request: Request, opener: Opener | None = None) -> Verdict:
    report = audit(request, opener)
    assert report.errors == []
    own = request.policies[0]
    return Verdict(
        {one.subject for one in report.active() if one.policy == own},
        {gap.subject for gap in report.gaps if gap.policy == own},
    )


@pytest.fixture
def make(small: Small, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[Example], Request | None]]:
    """Makes an example run; gives the request that both sides are asked, or None where it cannot be made."""
    project = f"p{EXAMPLES.index(request.getfixturevalue('example'))}"

    def run(example: Example) -> Request | None:
        for name, text in example.files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        files = [name for name in example.files if "compose" in name and name.endswith((".yaml", ".yml"))]
        asked = Request(
            files=tuple(str(tmp_path / name) for name in files),
            folder=str(tmp_path),
            name=project,
            plan=str(tmp_path / "plan.yaml") if "plan.yaml" in example.files else "none",
            config=str(tmp_path / CONFIG) if CONFIG in example.files else None,
            use_config=CONFIG in example.files,
            policies=(example.policy.id,),
        )
        [opened] = deployments(asked)
        if not isinstance(opened.result, Deployment) or _writes_to_the_host(opened.result):
            return None
        for service in opened.result.subjects("service"):
            image = service.node.get("image")
            name = f"{project}-{service.name}" if image is None else str(image.value)
            small.engine.docker("tag", IMAGE, name, check=False)
        options = [part for file in files for part in ("-f", file)]
        made = small.try_compose(
            tmp_path, *options, "-p", project, "--profile=*", "create", "--pull=never", "--no-build"
        )
        names = small.docker("ps", "--all", "--quiet", f"--filter=label=com.docker.compose.project={project}").split()
        if made.returncode or not names:
            return None
        small.engine.docker("start", *names, check=False)
        return asked

    yield run
    small.compose(tmp_path.parent, "-p", project, "down", "--timeout=0", "--volumes", "--remove-orphans")


def _writes_to_the_host(deployment: Deployment) -> bool:
    """True where a mount would make the engine create a folder of this machine."""
    sources = [
        str(source.value)
        for mount in deployment.subjects("mount")
        if (kind := mount.node.get("type")) and kind.value == "bind" and (source := mount.node.get("source"))
    ]
    return any(not os.path.exists(path) and not path.startswith(deployment.folder) for path in sources)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.policy.id)
def test_what_runs_is_judged_as_its_files(
    small: Small, example: Example, make: Callable[[Example], Request | None]
) -> None:
    policy = example.policy.id
    request = make(example)
    if request is None:
        assert policy in REFUSED | SOMETIMES
        return
    assert policy not in REFUSED
    files = verdict(request)
    look = Look(host=small.engine.host, without=frozenset(["all"]))
    running = verdict(request, Running(look, os.environ))
    same = running.found - files.gaps == files.found - running.gaps
    assert same is (policy not in DIFFERENT), f"files: {files}\nwhat runs: {running}"


def test_each_exception_has_a_reason_and_a_policy() -> None:
    told = [*REFUSED.items(), *SOMETIMES.items(), *DIFFERENT.items()]
    assert {policy for policy, _ in told} <= {example.policy.id for example in EXAMPLES}
    assert all(reason for _, reason in told)
