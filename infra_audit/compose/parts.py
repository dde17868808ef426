"""Parts of services that have keys of their own: build, deploy, hooks, device requests."""

from __future__ import annotations

from infra_audit.compose.leaves import (
    STR,
    command,
    duration,
    duration_kept,
    exact,
    exact_number,
    flag,
    fraction,
    integer,
    mode,
    natural,
    natural_kept,
    nullable_pair_value,
    number_as_integer,
    option,
    pair_value,
    plain_texts,
    short_whole,
    size_text,
    text,
    texts,
    whole_size,
)
from infra_audit.compose.shape import Array, Bounds, Leaf, Object, Table

labels = Table(pair_value, short="pairs")
fixed_labels = Table(pair_value, short="unique pairs", fixed=True)
environment = Table(nullable_pair_value, short="pairs")
options = Table(option)
loose_options = Table(Leaf(frozenset({str, int, float, type(None)}), "loose"))
string_or_list = Array(text, single=True, key="refuse")
extra_hosts = Array(text, short="hosts", key="refuse")

ulimits = Table(
    Object({"soft": exact, "hard": exact}, required=("soft", "hard"), short="ulimit", keep=True),
    atomic=True,
)
build_ulimits = Table(
    Object(
        {"soft": exact_number, "hard": exact_number},
        required=("soft", "hard"),
        short="whole ulimit",
        keep=True,
        fixed=True,
    )
)
file_mounts = Object(
    {"source": text, "target": text, "uid": text, "gid": text, "mode": mode},
    short="source",
)
device_request = Object(
    {
        "capabilities": texts,
        "count": Leaf(frozenset({int, str}), "count"),
        "device_ids": texts,
        "driver": text,
        "options": fixed_labels,
    },
    required=("capabilities",),
)
hook = Object(
    {
        "command": command,
        "user": text,
        "privileged": flag,
        "working_dir": text,
        "environment": environment._replace(short="unique pairs"),
    },
    required=("command",),
    always={"command": None},
)

build = Object(
    {
        "context": text,
        "dockerfile": text,
        "dockerfile_inline": text,
        "entitlements": plain_texts,
        "args": environment,
        "ssh": Array(text, short="ssh", key="pair", fixed=True),
        "labels": labels,
        "cache_from": plain_texts,
        "cache_to": plain_texts,
        "no_cache": flag,
        "additional_contexts": Table(text, short="whole pairs"),
        "network": text,
        "provenance": Leaf(frozenset({str, bool}), "option"),
        "sbom": Leaf(frozenset({str, bool}), "option"),
        "pull": flag,
        "target": text,
        "shm_size": whole_size,
        "extra_hosts": extra_hosts,
        "isolation": text,
        "privileged": flag,
        "secrets": Array(file_mounts),
        "tags": Array(text, key="pair"),
        "ulimits": build_ulimits,
        "platforms": plain_texts,
    },
    short="context",
)

rollout = Object(
    {
        "parallelism": natural_kept,
        "delay": duration,
        "failure_action": text,
        "monitor": duration,
        "max_failure_ratio": fraction,
        "order": Leaf(STR, "text", bounds=Bounds(choices=frozenset({"start-first", "stop-first"}))),
    },
    keep=True,
)
deploy = Object(
    {
        "mode": text,
        "endpoint_mode": text,
        "replicas": natural_kept,
        "labels": labels,
        "rollback_config": rollout,
        "update_config": rollout,
        "resources": Object(
            {
                "limits": Object(
                    {"cpus": fraction, "memory": size_text, "pids": integer},
                    keep=True,
                ),
                "reservations": Object(
                    {
                        "cpus": fraction,
                        "memory": size_text,
                        "generic_resources": Array(
                            Object(
                                {
                                    "discrete_resource_spec": Object(
                                        {"kind": text, "value": number_as_integer},
                                        always={"kind": "", "value": 0},
                                        keep=True,
                                    )
                                }
                            )
                        ),
                        "devices": Array(device_request),
                    },
                    keep=True,
                ),
            },
            keep=True,
        ),
        "restart_policy": Object(
            {"condition": text, "delay": duration_kept, "max_attempts": natural_kept, "window": duration_kept},
            keep=True,
        ),
        "placement": Object(
            {
                "constraints": plain_texts,
                "preferences": Array(Object({"spread": text})),
                "max_replicas_per_node": natural,
            },
            keep=True,
        ),
    },
    always={"resources": {}, "placement": {}},
    null=True,
    keep=True,
)

blkio_rate = Array(
    Object(
        {"path": text, "rate": whole_size},
        extensions=False,
        names={"path": "Path", "rate": "Rate"},
        always={"Path": "", "Rate": "0"},
    )
)
blkio_weight = Array(
    Object(
        {"path": text, "weight": short_whole},
        extensions=False,
        names={"path": "Path", "weight": "Weight"},
        always={"Path": "", "Weight": 0},
    )
)
