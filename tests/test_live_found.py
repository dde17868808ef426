"""What `live` must find: each change is made to the running stack, found at the right subject, and taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab.fixtures import APPLICATION, Lab
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("lab")

REST = "tracklists-rest-api-2"
REDIS = "tracklists-redis-1"


def new(lab: Lab, *args: str) -> set[tuple[str, str]]:
    return lab.findings(*args) - BEFORE


BEFORE: set[tuple[str, str]] = set()


@pytest.fixture(autouse=True, scope="module")
def before(lab: Lab) -> None:
    BEFORE.update(lab.findings())


def test_docker_update_of_one_replica(lab: Lab) -> None:
    lab.docker("update", "--cpus=0.5", "--memory=256m", "--memory-swap=512m", REST)
    try:
        assert {("drift-limits", REST), ("replicas-differ", REST)} <= new(lab)
    finally:
        lab.docker("update", "--cpus=1.5", "--memory=1536m", "--memory-swap=3072m", REST)
    assert ("drift-limits", REST) not in new(lab)


def test_a_limit_that_the_kernel_does_not_have(lab: Lab) -> None:
    identity = lab.docker("inspect", "--format={{.Id}}", REST)
    path = f"/sys/fs/cgroup/memory/{lab.engine.name}/{identity}/memory.limit_in_bytes"
    lab.inside("sh", "-c", f"echo 300000000 > {path}")
    try:
        assert ("limit-effective", REST) in new(lab)
    finally:
        lab.inside("sh", "-c", f"echo 1610612736 > {path}")


def redis(lab: Lab, *words: str) -> str:
    return lab.docker("exec", REDIS, "redis-cli", *words)


def test_config_set_of_redis(lab: Lab) -> None:
    redis(lab, "CONFIG", "SET", "maxclients", "500")
    redis(lab, "CONFIG", "SET", "maxmemory", "100mb")
    try:
        found = [one for one in lab.live()["findings"] if one["policy"] == "redis-effective"]
        assert {(one["subject"]["name"], one["value"], one["expected"]) for one in found} == {
            (REDIS, "maxclients is 500", "10000"),
            (REDIS, "maxmemory is 104857600", "1610612736"),
        }
        places = {place["file"] for one in found for place in one["related"]}
        assert any(place.endswith("redis.conf") for place in places)
    finally:
        redis(lab, "CONFIG", "SET", "maxclients", "10000")
        redis(lab, "CONFIG", "SET", "maxmemory", "1536mb")


def test_maxclients_that_the_limit_of_open_files_lowers(lab: Lab, extra: Callable[..., str]) -> None:
    name = extra(
        "cache",
        "cache",
        "--ulimit=nofile=1024:1024",
        "--network=tracklists_backend",
        image="redis:7.4.5-alpine",
        command=("redis-server", "--maxclients", "10000", "--protected-mode", "no", "--save", ""),
    )
    until(lambda: lab.docker("exec", name, "redis-cli", "ping") == "PONG")
    found = [
        one for one in lab.live()["findings"] if (one["policy"], one["subject"]["name"]) == ("redis-effective", name)
    ]
    assert [one["value"] for one in found] == ["maxclients is 992"]
    assert [one["expected"] for one in found] == ["10000"]


def test_one_replica_stopped(lab: Lab) -> None:
    lab.docker("stop", "--time=0", REST)
    try:
        found = new(lab)
        assert {("drift-replicas", "rest-api"), ("container-running", REST)} <= found
        assert not {policy for policy, _ in found} & {"drift-networks", "drift-limits"}
    finally:
        lab.docker("start", REST)


def test_a_paused_container(lab: Lab) -> None:
    lab.docker("pause", REST)
    try:
        assert {("container-running", REST), ("drift-replicas", "rest-api")} <= new(lab)
    finally:
        lab.docker("unpause", REST)


def test_an_unhealthy_container(lab: Lab) -> None:
    lab.docker("exec", REST, "rm", "/dev/shm/www/health")
    try:
        until(lambda: ("container-healthy", REST) in new(lab))
        found = [one for one in lab.live()["findings"] if one["policy"] == "container-healthy"]
        assert [one["subject"]["name"] for one in found] == [REST]
        assert "404" in found[0]["message"]
    finally:
        lab.docker("exec", REST, "sh", "-c", "echo ok > /dev/shm/www/health")
        until(lambda: lab.docker("inspect", "--format={{.State.Health.Status}}", REST) == "healthy")


def test_a_crash_loop_and_an_orphan(lab: Lab, extra: Callable[..., str]) -> None:
    name = extra("looping", "looping", "--restart=unless-stopped", command=("sh", "-c", "exit 3"))
    until(lambda: int(lab.docker("inspect", "--format={{.RestartCount}}", name)) >= 3)
    assert {("container-restarting", name), ("drift-orphan", name)} <= new(lab)


def test_an_oom_killed_main_process(lab: Lab, extra: Callable[..., str]) -> None:
    name = extra("greedy", "greedy", "--memory=16m", "--memory-swap=16m", command=("tail", "/dev/zero"))
    until(lambda: lab.docker("inspect", "--format={{.State.Status}}", name) == "exited")
    assert ("container-oom-killed", name) in new(lab)


def test_an_oom_killed_child(lab: Lab, extra: Callable[..., str]) -> None:
    script = "tail /dev/zero; sleep 600"
    name = extra("parent", "parent", "--memory=16m", "--memory-swap=16m", command=("sh", "-c", script))
    until(lambda: ("container-oom-killed", name) in new(lab), 30)


def test_another_image_environment_command_and_port(lab: Lab, extra: Callable[..., str]) -> None:
    lab.docker("tag", APPLICATION, "registry.example.com/tracklists/rest-api:0.9.0")
    name = extra(
        "rest-api-9",
        "rest-api",
        "--env=REDIS_HOST=elsewhere",
        "--env=REDIS_PASSWORD=planted-other-4711",
        "--env=DEBUG=1",
        "--publish=127.0.0.1:18000:8000",
        "--network=tracklists_backend",
        image="registry.example.com/tracklists/rest-api:0.9.0",
        command=("app", "--verbose"),
    )
    report = lab.live()
    mine = {one["policy"]: one for one in report["findings"] if one["subject"]["name"] == name}
    wanted = {"drift-image", "drift-environment", "drift-ports", "drift-networks", "drift-limits"}
    assert wanted <= set(mine)
    variables = {
        one["value"].split(" ")[0]
        for one in report["findings"]
        if one["policy"] == "drift-environment" and one["subject"]["name"] == name
    }
    assert {"REDIS_HOST", "REDIS_PASSWORD", "DEBUG"} <= variables
    assert "elsewhere" not in str([one["message"] for one in report["findings"]])
    assert "planted-other-4711" not in str(report)


def test_an_interface_with_another_mtu(lab: Lab) -> None:
    pid = lab.docker("inspect", "--format={{.State.Pid}}", REST)
    lab.inside("nsenter", f"--target={pid}", "--net", "ip", "link", "set", "eth0", "mtu", "1400")
    try:
        assert ("mtu-effective", REST) in new(lab)
    finally:
        lab.inside("nsenter", f"--target={pid}", "--net", "ip", "link", "set", "eth0", "mtu", "1500")


def test_alter_system_of_postgres(lab: Lab) -> None:
    name = "tracklists-postgres-1"

    def psql(query: str) -> None:
        lab.docker(
            "exec",
            name,
            "psql",
            "-qX",
            "-h",
            "/var/run/postgresql",
            "-U",
            "tracklists",
            "-d",
            "tracklists",
            "-c",
            query,
        )

    psql("ALTER SYSTEM SET work_mem = '64MB'")
    psql("SELECT pg_reload_conf()")
    try:
        found = [one for one in lab.live()["findings"] if one["policy"] == "postgres-effective"]
        assert [(one["subject"]["name"], one["value"].split(" ")[0]) for one in found] == [(name, "work_mem")]
        assert not [one for one in lab.live("--no-exec")["findings"] if one["policy"] == "postgres-effective"]
    finally:
        psql("ALTER SYSTEM RESET work_mem")
        psql("SELECT pg_reload_conf()")


def test_a_network_made_anew_with_another_mtu_and_subnet(lab: Lab, extra: Callable[..., str]) -> None:
    lab.stack.compose("stop", "blackbox-exporter", "cadvisor")
    form = "{{range .Containers}}{{.Name}} {{end}}"
    gone = lab.docker("network", "inspect", "-f", form, "tracklists_frontend").split()
    for name in gone:
        lab.docker("network", "disconnect", "--force", "tracklists_frontend", name)
    lab.docker("network", "rm", "tracklists_frontend")
    labels = ("project=tracklists", "network=frontend")
    lab.docker(
        "network",
        "create",
        "--subnet=172.26.0.0/24",
        "--opt=com.docker.network.driver.mtu=1400",
        *(f"--label=com.docker.compose.{label}" for label in labels),
        "tracklists_frontend",
    )
    try:
        found = [one for one in lab.live()["findings"] if one["policy"] == "drift-network"]
        assert {one["value"] for one in found} == {"MTU is 1400", "subnet is 172.26.0.0/24"}
        assert {one["subject"]["name"] for one in found} == {"frontend"}
    finally:
        lab.docker("network", "rm", "tracklists_frontend")
        lab.stack.compose(
            "up",
            "-d",
            "--force-recreate",
            "--no-deps",
            "--pull=never",
            "rest-api",
            "api-gateway",
            "prometheus",
            "blackbox-exporter",
            "cadvisor",
        )
