"""What servers inside say of themselves: planted in the running stack or beside it, found, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra_audit.engine.policies import shipped
from tests.lab.fixtures import Lab
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("lab")

_PROMETHEUS = """
global: {scrape_interval: 200ms, scrape_timeout: 100ms, evaluation_interval: 200ms}
rule_files: [rules.yml]
scrape_configs:
  - {job_name: gone, static_configs: [{targets: ["127.0.0.1:1", "127.0.0.1:2"]}]}
"""
_RULES = """
groups:
  - name: planted
    rules:
      - {record: twice, expr: 'label_replace(up, "instance", "same", "", "")'}
      - {alert: Planted, expr: "up == 0", labels: {severity: warning}}
      - {alert: Watchdog, expr: "vector(1)", labels: {severity: none}}
"""


def found(lab: Lab, policy: str, *args: str) -> list[tuple[str, str]]:
    """Container and value of each finding of a policy."""
    report = lab.live("--policy", policy, *args)
    assert report["errors"] == []
    return [(one["subject"]["name"], one["value"]) for one in report["findings"]]


@pytest.fixture
def plain(lab: Lab) -> Iterator[str]:
    """A configuration that changes nothing: the lab's own silences alerts."""
    path = lab.stack.folder / "plain.yaml"
    path.write_text("{}\n")
    yield str(path)
    path.unlink()


def test_a_prometheus_whose_targets_are_down_whose_rule_fails_and_whose_alert_fires(
    lab: Lab, extra: Callable[..., str], plain: str
) -> None:
    folder = lab.engine.folder / "planted"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(_PROMETHEUS)
    (folder / "rules.yml").write_text(_RULES)
    folder.chmod(0o755)
    name = extra(
        "watcher",
        "watcher",
        "--network=tracklists_backend",
        f"--volume={folder}:/planted:ro",
        image="prom/prometheus:v3.5.0",
        command=("--config.file=/planted/prometheus.yml", "--storage.tsdb.path=/tmp/data"),
    )

    def mine(policy: str) -> list[str]:
        return [value for container, value in found(lab, policy, "--config", plain) if container == name]

    until(lambda: len(mine("target-down")) == 2 and len(mine("alert-firing")) == 1)
    assert all("job gone" in value and "refused" in value for value in mine("target-down"))
    assert [value.split(" since ")[0] for value in mine("alert-firing")] == ["Planted (2 times)"]
    [rule] = mine("rules-not-running")
    assert rule.startswith("twice of group planted: ")
    assert "same labelset" in rule


def test_a_watermark_of_rabbitmq_above_its_limit(lab: Lab) -> None:
    name = lab.stack.container("rabbitmq")

    def watermark(size: str) -> None:
        lab.docker("exec", name, "rabbitmqctl", "-q", "set_vm_memory_high_watermark", "absolute", size)

    assert found(lab, "rabbitmq-effective") == []
    watermark("4GiB")
    try:
        until(lambda: found(lab, "rabbitmq-effective") != [], 20)
        assert found(lab, "rabbitmq-effective") == [(name, "4 GiB")]
    finally:
        watermark("1228MiB")
    until(lambda: found(lab, "rabbitmq-effective") == [], 20)


def test_a_data_source_that_does_not_answer(lab: Lab) -> None:
    name = lab.stack.container("grafana")
    www = "/dev/shm/www/api"
    source = json.dumps([{"name": "Metrics", "uid": "metrics", "type": "prometheus"}])
    health = json.dumps({"status": "ERROR", "message": "lookup prometheus: no such host"})

    def sh(script: str) -> None:
        lab.docker("exec", name, "sh", "-euc", f"cd {www}; {script}")

    assert found(lab, "datasource-failing") == []
    sh(f"mv datasources kept; mkdir -p datasources/uid/metrics; echo '{source}' >datasources/index.html")
    sh(f"echo '{health}' >datasources/uid/metrics/health")
    try:
        assert found(lab, "datasource-failing") == [(name, "Metrics: lookup prometheus: no such host")]
    finally:
        sh("rm -r datasources; mv kept datasources")
    assert found(lab, "datasource-failing") == []


def test_a_log_file_that_grew(lab: Lab) -> None:
    name = lab.stack.container("rest-api", 2)
    log = Path(lab.docker("inspect", "--format={{.LogPath}}", name))
    size = log.stat().st_size
    assert found(lab, "log-size") == []
    lab.inside("truncate", "--size=3G", str(log))
    try:
        assert found(lab, "log-size") == [(name, 3 << 30)]
    finally:
        lab.inside("truncate", f"--size={size}", str(log))


def test_every_policy_about_what_runs_is_tested_on_an_engine() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_live*.py"))
    assert [one.id for one in shipped().policies.values() if one.live and f'"{one.id}"' not in tests] == []
