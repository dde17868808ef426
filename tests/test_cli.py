"""The command line: what each command prints, where it goes, and the exit code."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from infra_audit.cli.output import look_for, write
from infra_audit.deployment import Files
from infra_audit.readers.yaml import read_yaml
from infra_audit.reports.json import SCHEMA
from tests.command import ROOT, environment, infra_audit, report_of

BASE = """\
services:
  cache:
    image: redis:7
    command: redis-server --maxmemory 2gb --requirepass hunter2
    mem_limit: 1g
  web:
    image: nginx:1.27
    environment:
      API_TOKEN: hunter2
      "ODD": "yes"
      NUMBER: "1e9"
    ports: ["8080:80"]
    depends_on: [cache]
"""
OVERRIDE = """\
services:
  cache:
    mem_limit: 2g
  web:
    environment:
      API_TOKEN: ${WEB_TOKEN:-hunter2}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(BASE)
    (folder / "compose.override.yaml").write_text(OVERRIDE)
    return folder


# -- exit codes and output ----------------------------------------------------------------------


def test_fail_on_decides_between_0_and_1_and_nothing_else(shop: Path) -> None:
    codes = {
        level: infra_audit("check", "--fail-on", level, "--policy", "memory-limit", cwd=shop).code
        for level in ("error", "warning", "info", "never")
    }
    assert codes == {"error": 0, "warning": 1, "info": 1, "never": 0}


def test_the_json_report_follows_its_schema(shop: Path) -> None:
    _, data = report_of(cwd=shop)
    Draft202012Validator(SCHEMA).validate(data)
    assert data["deployments"] == [
        {"name": "shop", "source": "files", "files": ["compose.yaml", "compose.override.yaml"]}
    ]
    assert {finding["policy"] for finding in data["findings"]} >= {"memory-limit"}


def test_an_override_file_is_audited_with_its_base(shop: Path) -> None:
    (shop / "compose.override.yaml").rename(shop / "docker-compose.prod.yml")
    (shop / "compose.yaml").rename(shop / "docker-compose.yml")
    _, data = report_of("docker-compose.prod.yml", cwd=shop)
    assert data["deployments"][0]["files"] == ["docker-compose.yml", "docker-compose.prod.yml"]


def test_list_shows_the_deployments_and_judges_nothing(shop: Path) -> None:
    ran = infra_audit("check", "--list", shop, cwd=shop)
    assert ran.code == 0
    assert ran.out.startswith("shop: compose.yaml compose.override.yaml\n")


def test_files_and_paths_together_are_refused(shop: Path) -> None:
    ran = infra_audit("check", "-f", "compose.yaml", "compose.yaml", cwd=shop)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("chek",), "no command 'chek'; did you mean check?"),
        (("check", "--fromat", "json"), "--fromat"),
        (("check", "--policy", "memory-limt"), "did you mean memory-limit?"),
        (("check", "--plan", "nosuch"), "nosuch"),
        (("explain", "memory-limt"), "did you mean memory-limit?"),
        (("trace", "services.cach.image"), "did you mean cache?"),
        (("facts", "cach"), "did you mean cache?"),
        (("facts", "network:x"), "no network x"),
        (("check", "--config", "nosuch.yaml"), "nosuch.yaml"),
        ((), "Missing command"),
    ],
)
def test_a_wrong_word_gives_one_line_and_exit_code_2(args: tuple[str, ...], says: str, shop: Path) -> None:
    ran = infra_audit(*args, cwd=shop)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("infra-audit: ")


def test_debug_shows_the_traceback(shop: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra_audit", "explain", "nosuch", "--debug"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("infra-audit: no policy is called nosuch")


def test_no_command_prints_a_credential(shop: Path) -> None:
    for args in (("check",), ("check", "--format", "json"), ("facts", "cache"), ("facts", "web")):
        ran = infra_audit(*args, cwd=shop)
        assert "hunter2" not in ran.out + ran.err
    for address in ("services.web", "services.cache", "services.web.environment.API_TOKEN"):
        ran = infra_audit("trace", address, cwd=shop)
        assert ran.code == 0
        assert "hunter2" not in ran.out
        assert "***" in ran.out


# -- where the report goes ----------------------------------------------------------------------


def test_an_output_file_is_replaced_in_one_step_and_keeps_its_mode(shop: Path) -> None:
    target = shop / "report.json"
    target.write_text("old")
    target.chmod(0o640)
    before = target.stat().st_ino
    ran = infra_audit("check", "--format", "json", "-o", "report.json", cwd=shop)
    assert ran.out == ""
    assert json.loads(target.read_text())["version"] == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_ino != before
    assert sorted(os.listdir(shop)) == ["compose.override.yaml", "compose.yaml", "report.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write("new", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_file_that_cannot_be_written_is_named(shop: Path) -> None:
    ran = infra_audit("check", "-o", "no/such/folder/report", cwd=shop)
    assert ran.code == 2
    assert "no/such/folder/report: cannot be written: No such file or directory" in ran.err


def test_a_closed_pipe_is_silent(shop: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_audit", "check"],
        cwd=shop,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(30) == 141


def test_ctrl_c_ends_with_130_and_without_a_traceback(shop: Path) -> None:
    os.mkfifo(shop / "pipe")
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_audit", "check", "-o", "pipe"],
        cwd=shop,
        env=environment(),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    assert process.stderr is not None
    for _ in range(400):  # until the report is made and the run waits for a reader of the pipe
        time.sleep(0.05)
        if "S (sleeping)" in Path(f"/proc/{process.pid}/status").read_text() and waits_for_a_reader(process.pid):
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert b"Traceback" not in process.stderr.read()


def waits_for_a_reader(pid: int) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().startswith(("257 ", "56 "))  # openat on x86-64 and arm64


def test_colours_on_a_terminal_and_nowhere_else(shop: Path) -> None:
    assert "\x1b[" in on_terminal(shop)
    assert "\x1b[" not in on_terminal(shop, NO_COLOR="1")
    assert "\x1b[" not in infra_audit("check", cwd=shop).out
    assert "\x1b[" in infra_audit("check", cwd=shop, FORCE_COLOR="1").out
    assert "\x1b[" in infra_audit("check", "--color", cwd=shop, NO_COLOR="1").out


def on_terminal(cwd: Path, **env: str) -> str:
    """What a check prints on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "infra_audit", "check"],
        cwd=cwd,
        env=environment(TERM="xterm", **env),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is gone
            break
        if not part:
            break
        shown += part
    os.close(ours)
    process.wait(30)
    return shown.decode()


def test_the_width_is_what_was_asked_for() -> None:
    assert look_for("file", None, 60).width == 60
    assert look_for("file", None, None) == (100, False)


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text('services:\n  "a\\eb":\n    image: "x\\u202Ey"\n  web: {image: nginx}\n')
    ran = infra_audit("check", tmp_path)
    trace = infra_audit("trace", "services", tmp_path)
    for text in (ran.out + ran.err, trace.out + trace.err):
        assert "\x1b" not in text
        assert "\u202e" not in text


# -- the other commands -------------------------------------------------------------------------


def compose(*args: str, cwd: Path, **env: str) -> dict[str, object] | None:
    """What the real Docker Compose makes of the files; None where it refuses them."""
    spec = importlib.util.find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    binary = os.path.join(os.path.dirname(spec.origin), "docker-compose")
    done = subprocess.run(
        [binary, *args, "config", "--format", "json"],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | env,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return None
    loaded: dict[str, object] = json.loads(done.stdout)
    return loaded


def test_resolve_prints_what_docker_compose_prints(shop: Path) -> None:
    ran = infra_audit("resolve", cwd=shop)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == compose(cwd=shop)


PROJECT = {
    "compose.yaml": """\
services:
  web: {image: "nginx:${TAG:-none}", ports: ["8080:80"], environment: {WHO: "$USER_NAME", GIVEN: null}}
  debug: {image: busybox, profiles: [debug], depends_on: [web]}
""",
    "compose.override.yaml": "services: {web: {labels: {layer: override}}}\n",
    "sub/docker-compose.yml": "services: {other: {image: 'busybox:$TAG', volumes: ['./data:/data']}}\n",
    ".env": "TAG=project\n",
    "sub/.env": "TAG=sub\n",
    "sub/below/.env": "TAG=below\n",
    "named/.env": "COMPOSE_FILE=../compose.yaml:../sub/docker-compose.yml\n",
    "one.env": "TAG=one\n",
    "two.env": "COMPOSE_PROFILES=debug\n",
}


@pytest.mark.parametrize(
    ("folder", "args", "env"),
    [
        (".", (), {}),
        ("sub", (), {}),
        ("sub/below", (), {}),
        ("named", (), {}),
        (".", ("--profile", "debug"), {}),
        (".", ("--profile", "*"), {}),
        (".", ("-p", "another"), {}),
        (".", ("-p", "Not A Name"), {}),
        (".", ("-f", "sub/docker-compose.yml"), {}),
        ("sub", ("-f", "../compose.yaml", "-f", "docker-compose.yml"), {}),
        (".", ("--env-file", "one.env", "--env-file", "two.env"), {}),
        (".", ("--env-file", "missing.env"), {}),
        (".", ("--project-directory", "sub"), {}),
        (".", ("-f", "compose.yaml", "--project-directory", "named"), {}),
        (".", (), {"TAG": "outer", "GIVEN": "g", "COMPOSE_PROFILES": "debug"}),
        (".", (), {"COMPOSE_FILE": "sub/docker-compose.yml"}),
        (".", (), {"COMPOSE_PROJECT_NAME": "outer"}),
    ],
)
def test_resolve_takes_the_options_of_docker_compose(
    folder: str, args: tuple[str, ...], env: dict[str, str], tmp_path: Path
) -> None:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    expected = compose(*args, cwd=tmp_path / folder, **env)
    ran = infra_audit("resolve", *args, *(["--environ"] if env else []), cwd=tmp_path / folder, **env)
    if expected is None:
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    else:
        assert json.loads(ran.out) == expected


def test_resolve_as_yaml_means_the_same_to_every_reader(shop: Path) -> None:
    data = json.loads(infra_audit("resolve", cwd=shop).out)
    text = infra_audit("resolve", "--format", "yaml", cwd=shop).out
    assert yaml.safe_load(text) == data
    (shop / "resolved.yaml").write_text(text)
    assert compose("-f", "resolved.yaml", cwd=shop) == data


def test_resolve_refuses_what_docker_compose_refuses(shop: Path) -> None:
    (shop / "compose.override.yaml").write_text("services:\n  web:\n    networks: [nowhere]\n")
    ran = infra_audit("resolve", cwd=shop)
    assert (ran.code, ran.out) == (2, "")
    assert "nowhere" in ran.err
    assert ran.err.count("\n") == 1


def test_trace_shows_the_value_and_each_hop_with_its_place(shop: Path) -> None:
    ran = infra_audit("trace", "services.cache.mem_limit", cwd=shop)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == 'services.cache.mem_limit = "2147483648"'
    assert "compose.override.yaml:3:16  mem_limit: 2g" in ran.out
    assert "compose.yaml:5:16  mem_limit: 1g" in ran.out


def test_trace_finds_list_items_and_keys_with_dots(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        'services:\n  web.one:\n    image: nginx\n    labels: {"a.b/c": x}\n    ports: ["8080:80"]\n'
    )
    assert '= "x"' in infra_audit("trace", "services.web.one.labels.a.b/c", tmp_path).out
    assert '= "8080"' in infra_audit("trace", "services.web.one.ports[0].published", tmp_path).out


def test_facts_of_a_service_have_values_and_places(shop: Path) -> None:
    ran = infra_audit("facts", "cache", cwd=shop)
    assert ran.code == 0, ran.err
    assert "service.memory_limit = 2 GiB" in ran.out
    assert "compose.override.yaml:3:16" in ran.out


def test_facts_lists_every_fact_with_its_meaning() -> None:
    ran = infra_audit("facts")
    assert ran.code == 0, ran.err
    assert "service.memory_limit (bytes)" in ran.out


def test_policies_as_json_name_each_policy_once() -> None:
    data = json.loads(infra_audit("policies", "--format", "json").out)
    names = [policy["id"] for policy in data["policies"]]
    assert "memory-limit" in names
    assert len(names) == len(set(names))
    assert {tuple(policy) for policy in data["policies"]} == {
        ("id", "title", "severity", "subject", "family", "pack", "live", "examples")
    }
    assert all(policy["examples"]["bad"] and policy["examples"]["good"] for policy in data["policies"])
    listed = infra_audit("policies").out
    assert all(f"  {name} " in listed for name in names)


def test_explain_shows_why_fix_and_examples() -> None:
    ran = infra_audit("explain", "memory-limit")
    assert ran.code == 0, ran.err
    for word in ("memory-limit", "Why", "How to fix it", "Gives a finding", "Gives none", "# <-- finding"):
        assert word in ran.out


def test_explain_shows_what_an_engine_says() -> None:
    out = infra_audit("explain", "container-healthy").out
    assert "docker:shop-web-2, what the engine says otherwise" in out
    assert "Status: unhealthy   # <-- finding" in out


def test_explain_marks_lines_of_files_that_hold_no_marks() -> None:
    out = infra_audit("explain", "dashboard-uid-duplicate").out
    assert '"uid"' in next(line for line in out.splitlines() if line.endswith("# <-- finding"))


@pytest.mark.parametrize("document", ["policy", "plan", "config", "report"])
def test_a_schema_is_a_schema(document: str) -> None:
    schema = json.loads(infra_audit("schema", document).out)
    Draft202012Validator.check_schema(schema)


SHIPPED = {
    # suppressions are judged in code: a policy of a user always has a condition
    "policy": [path for path in (ROOT / "policies").glob("*/*/*.yaml") if path.parent.name != "suppressions"],
    "plan": sorted((ROOT / "policies" / "plans").glob("*.yaml")),
    "config": sorted(ROOT.glob("stack/.infra-audit.yaml")),
}


@pytest.mark.parametrize("document", SHIPPED)
def test_a_schema_accepts_what_ships(document: str) -> None:
    validator = Draft202012Validator(json.loads(infra_audit("schema", document).out))
    assert SHIPPED[document]
    for path in SHIPPED[document]:
        [root] = read_yaml(Files().read(str(path)))
        assert not [f"{path.name}: {error.message}" for error in validator.iter_errors(root.data())]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    ran = infra_audit("completion", shell)
    assert ran.code == 0, ran.err
    assert "_INFRA_AUDIT_COMPLETE" in ran.out


def test_completion_knows_commands_and_options() -> None:
    words = infra_audit(_INFRA_AUDIT_COMPLETE="bash_complete", COMP_WORDS="infra-audit ch", COMP_CWORD="1")
    assert words.out == "plain,check\n"
    words = infra_audit(_INFRA_AUDIT_COMPLETE="bash_complete", COMP_WORDS="infra-audit check --fail", COMP_CWORD="2")
    assert words.out == "plain,--fail-on\n"
