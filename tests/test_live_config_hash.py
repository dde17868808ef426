"""What Docker Compose would make anew: on containers that the real one made, and with one that is broken."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.small import IMAGE, Small

pytestmark = pytest.mark.xdist_group("small")

POLICY = "drift-config-hash"
ONE = f"""
services:
  app:
    image: {IMAGE}
    command: sleep 1000
    network_mode: none
    environment: {{LEVEL: "${{LEVEL:-quiet}}"}}
    deploy: {{replicas: 2}}
"""
MANY = f"""
x-app: &app
  image: {IMAGE}
  command: sleep 1000
  networks: [inner]
include: [tools/compose.yaml]
services:
  files: {{<<: *app, env_file: [plain.env, {{path: none.env, required: false}}]}}
  price: {{<<: *app, labels: {{price: "5$$"}}, environment: {{PRICE: "$${{not}} a variable", LEVEL: "${{LEVEL}}"}}}}
  granted: {{<<: *app, secrets: [key], configs: [{{source: text, target: /text}}]}}
  net: {{image: {IMAGE}, command: sleep 1000, network_mode: "service:files", depends_on: [files]}}
  process: {{<<: *app, pid: "service:files", ipc: "service:shared"}}
  shared: {{<<: *app, ipc: shareable, volumes: ["data:/data", "./plain.env:/plain:ro", /anonymous]}}
  scaled: {{<<: *app, scale: 2, healthcheck: {{test: [CMD, sleep, "0"], interval: 1m30s}}, profiles: [extra]}}
  built: {{<<: *app, build: {{context: .}}, pull_policy: never, stop_grace_period: 1s}}
  limited: {{<<: *app, mem_limit: 20m, cpus: 0.5, ulimits: {{nofile: 100}}, ports: ["80"], tmpfs: /run, init: true}}
  extended: {{extends: {{file: tools/base.yaml, service: base}}}}
networks: {{inner: {{}}}}
volumes: {{data: {{}}}}
secrets: {{key: {{file: key.txt}}}}
configs: {{text: {{content: "it is ${{LEVEL}}"}}}}
"""
FILES = {
    ".env": "LEVEL=quiet\n",
    "plain.env": "A=1\nB=${LEVEL}er\n",
    "key.txt": "planted-key",
    "tools/.env": "USERS=0\n",
    "tools/compose.yaml": f"services: {{tool: {{image: '{IMAGE}', command: sleep 1000, user: '${{USERS}}'}}}}\n",
    "tools/base.yaml": f"services: {{base: {{image: '{IMAGE}', command: sleep 1000, environment: {{A: '1'}}}}}}\n",
}


def look(small: Small, project: str, *args: str | Path, **env: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The findings of the policy, and why it was not decided."""
    report = small.report("-p", project, "--policy", POLICY, *args, **env)
    gaps = [gap["why"] for gap in report["gaps"] if gap["policy"] == POLICY]
    return report["findings"], gaps


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_was_just_made_stays(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    write(folder, FILES)
    with small.project(folder, MANY, "--profile", "extra"):
        assert look(small, "many") == ([], [])
        write(folder, {"plain.env": "A=2\n"})
        assert [one["subject"]["name"] for one in look(small, "many")[0]] == ["files"]


def test_a_change_of_the_files_is_found_at_the_service_and_an_update_is_none(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    with small.project(folder, ONE):
        small.docker("update", "--memory=20m", "--memory-swap=20m", "one-app-1")
        assert look(small, "one") == ([], [])
        (folder / "compose.yaml").write_text(ONE.replace("-quiet", "-loud"))
        [found], gaps = look(small, "one")
        assert gaps == []
        assert (found["severity"], found["subject"]) == ("info", {"kind": "service", "name": "app"})
        assert found["message"].startswith("app: `docker compose up` would make one-app-1 and 1 more anew")
        assert (found["file"].endswith("one/compose.yaml"), found["line"]) == (True, 3)
        assert [place["file"] for place in found["related"]] == ["docker:one-app-1", "docker:one-app-2"]
        small.compose(folder, "up", "--detach", "--pull=never", "--timeout=0")
        assert look(small, "one") == ([], [])
        assert look(small, "one", "--environ", LEVEL="other")[0]
        small.compose(folder, "up", "--detach", "--pull=never", "--timeout=0", LEVEL="other")
        assert look(small, "one", "--environ", LEVEL="other") == ([], [])


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ("environment: [LEVEL]", "LEVEL comes from the environment of whoever ran `docker compose up`"),
        ("environment: {A: '${LEVEL}'}", "LEVEL is not set"),
        ("label_file: labels.env", "Docker Compose does not show what it hashes for label_file"),
        ("volumes_from: [other]", "Docker Compose does not show what it hashes for volumes_from"),
    ],
)
def test_what_another_hash_would_not_prove_is_a_gap(small: Small, tmp_path: Path, part: str, why: str) -> None:
    text = f"services:\n  app: &app {{image: '{IMAGE}', command: sleep 1000, network_mode: none, {part}}}\n"
    other = f"  other: {{image: '{IMAGE}', command: sleep 1000, network_mode: none}}\n"
    write(tmp_path / "unsure", {"labels.env": "a=b\n"})
    with small.project(tmp_path / "unsure", text + other, LEVEL="other"):
        assert look(small, "unsure") == ([], [why])


def required(folder: Path) -> str:
    """The real one, which refuses the files and quotes them."""
    secret = "environment: {A: '${UNSET:?planted-by-the-file}', B: planted-as-a-value}"
    (folder / "compose.yaml").write_text(ONE.replace('environment: {LEVEL: "${LEVEL:-quiet}"}', secret))
    return "refuses the files (exit code 1)"


def program(text: str, mode: int = 0o755) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        file = folder / "docker" / "cli-plugins" / "docker-compose"
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(mode)

    return write


def without_model(folder: Path) -> None:
    """A program that prints something else, asked for the model because a service has an env file."""
    (folder / "plain.env").write_text("A=b\n")
    text = ONE.replace('environment: {LEVEL: "${LEVEL:-quiet}"}', "env_file: plain.env")
    (folder / "compose.yaml").write_text(text)
    program('#!/bin/sh\necho \'{"services": "planted"}\'\n')(folder)


@pytest.mark.parametrize(
    ("breaks", "why"),
    [
        (required, "refuses the files (exit code 1); its `config` command tells why"),
        (program("#!/bin/sh\necho planted-$$ >&2; exit 7\n"), "refuses the files (exit code 7)"),
        (program("#!/bin/sh\nsleep 987 &\nsleep 987\n"), "did not answer in time"),
        (program("#!/bin/sh\nwhile echo planted; do sleep 0.1; done\n"), "did not answer in time"),
        (without_model, "prints no model of the files"),
        (program("#!/bin/sh\necho planted\n"), "Docker Compose gives no hash of it"),
        (program("#!/no/such/shell\n"), "cannot be run: No such file or directory"),
    ],
)
def test_a_compose_that_fails_is_a_gap_in_time(
    small: Small, tmp_path: Path, breaks: Callable[[Path], Any], why: str
) -> None:
    folder = tmp_path / "broken"
    with small.project(folder, ONE):
        breaks(folder)
        begun = time.monotonic()
        options = ("--debug", "--format", "json", "--timeout", "3s")
        ran = small.live("-p", "broken", *options, DOCKER_CONFIG=str(folder / "docker"))
        assert time.monotonic() - begun < 3 + 2 + 4  # Python and the judging take their time, too
    assert "planted" not in ran.out + ran.err
    report = json.loads(ran.out)
    told = [gap["why"] for gap in report["gaps"] if gap["policy"] == POLICY]
    assert len(told) == 1
    assert why in told[0]
    assert {one["policy"] for one in report["findings"]} >= {"memory-limit"}
    assert not sleeping()


def test_a_compose_that_nobody_waits_for_is_ended(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "unasked"
    with small.project(folder, ONE):
        program("#!/bin/sh\nsleep 987 &\nsleep 987\n")(folder)
        begun = time.monotonic()
        small.report("-p", "unasked", "--policy", "memory-limit", DOCKER_CONFIG=str(folder / "docker"))
        assert time.monotonic() - begun < 4
    assert not sleeping()


def sleeping() -> list[str]:
    """What is left of a Compose that does not answer."""
    return [line for line in command_lines() if line.startswith("sleep\0987")]


def command_lines() -> list[str]:
    """The command lines of all processes of this machine."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.append(Path("/proc", name, "cmdline").read_text())
            except OSError:
                continue
    return found


def test_without_docker_compose_it_is_a_gap(small: Small, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "compose").mkdir(parents=True)
    (tmp_path / "elsewhere" / "compose" / "__init__.py").touch()  # another package of that name
    path = os.pathsep.join([str(tmp_path / "elsewhere"), str(Path(__file__).parent.parent)])
    with small.project(tmp_path / "alone", ONE):
        found, gaps = look(small, "alone", PATH="/nonexistent", PYTHONPATH=path)
    assert (found, gaps) == ([], ["Docker Compose is not installed here, which alone can tell it"])
