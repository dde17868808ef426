"""Limits as the kernel has them: both versions of control groups.

Version 1 is read from this machine's own groups in the other tests of ``live``. The files of version 2 are those that
Linux 6.1 has for a container of Docker with such limits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra_audit.live.probes.container import Container, Failed
from infra_audit.live.probes.host import cgroup

ID = "b31ed479b4928d0ff03680405143e27c9f346b82445f4ec67d417dd1ff3c01c2"
PID = 4711

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"
LIMITED = {"memory.max": "67108864\n", "cpu.max": "50000 100000\n", "pids.max": "77\n", "memory.events": EVENTS}
UNLIMITED = {"memory.max": "max\n", "cpu.max": "max 100000\n", "pids.max": "max\n", "memory.events": EVENTS}
SAID = {"version": 2, "memory": 64 << 20, "cpus": 0.5, "pids": 77, "oom_kill": 2, "log_bytes": None}
SYSTEMD, CGROUPFS = f"/system.slice/docker-{ID}.scope", f"/docker/{ID}"


def machine(root: Path, group: str, files: dict[str, str], below: str = "", first: str = "") -> Container:
    """A machine on which a container's first process is in a group (or in one below it)."""
    (root / "proc" / str(PID)).mkdir(parents=True)
    (root / "proc" / str(PID) / "cgroup").write_text(f"{first}0::{group}{below}\n")
    for folder, texts in ((group, files), *([(group + below, UNLIMITED)] if below else [])):
        where = root / "sys/fs/cgroup" / folder.lstrip("/")
        where.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (where / name).write_text(text)
    return Container("shop-app-1", {"Id": ID, "State": {"Pid": PID}})


@pytest.mark.parametrize("group", [SYSTEMD, CGROUPFS], ids=["systemd", "cgroupfs"])
@pytest.mark.parametrize("below", ["", "/init.scope"])
def test_limits_of_version_2(group: str, below: str, tmp_path: Path) -> None:
    assert cgroup(machine(tmp_path, group, LIMITED, below), str(tmp_path)) == SAID


def test_no_limits_of_version_2(tmp_path: Path) -> None:
    found = cgroup(machine(tmp_path, SYSTEMD, UNLIMITED), str(tmp_path))
    assert (found["memory"], found["cpus"], found["oom_kill"]) == (None, None, 2)


def test_controllers_that_a_machine_does_not_have_are_left_out(tmp_path: Path) -> None:
    found = cgroup(machine(tmp_path, CGROUPFS, {"memory.max": "67108864\n"}), str(tmp_path))
    assert found == {"version": 2, "memory": 64 << 20, "log_bytes": None}


def test_a_group_that_is_not_here_is_a_failed_probe(tmp_path: Path) -> None:
    container = machine(tmp_path, "/../elsewhere", {})
    with pytest.raises(Failed, match="control group cannot be read"):
        cgroup(container, str(tmp_path))


@pytest.mark.parametrize("below", ["", "/inner"])
def test_version_1_beside_an_empty_hierarchy_of_version_2(below: str, tmp_path: Path) -> None:
    lines = "".join(
        f"{number}:{name}:/docker/{ID}{below}\n" for number, name in ((8, "pids"), (4, "memory"), (1, "cpu"))
    )
    container = machine(tmp_path, CGROUPFS, {}, first=lines)
    written: dict[str, dict[str, Any]] = {
        "memory": {"memory.limit_in_bytes": 64 << 20, "memory.oom_control": "oom_kill_disable 0\noom_kill 2"},
        "cpu": {"cpu.cfs_quota_us": 50000, "cpu.cfs_period_us": 100000},
        "pids": {"pids.max": 77},
    }
    for name, files in written.items():
        folder = tmp_path / "sys/fs/cgroup" / name / "docker" / ID
        folder.mkdir(parents=True)
        for file, value in files.items():
            (folder / file).write_text(f"{value}\n")
    assert cgroup(container, str(tmp_path)) == SAID | {"version": 1}
