"""The keys of a Compose file and their shapes.

Sources: the Compose Specification's schema, and the answers of Docker Compose 2.40.
"""

from __future__ import annotations

from infra_audit.compose.leaves import (
    ANYTHING,
    NAME,
    STR,
    command,
    duration_kept,
    flag,
    flag_kept,
    fraction,
    natural,
    natural_kept,
    number_as_integer,
    plain_texts,
    scalar,
    short_whole,
    size,
    text,
    text_or_integer,
    texts,
    whole_size,
)
from infra_audit.compose.parts import (
    blkio_rate,
    blkio_weight,
    build,
    deploy,
    device_request,
    environment,
    extra_hosts,
    file_mounts,
    fixed_labels,
    hook,
    labels,
    loose_options,
    options,
    string_or_list,
    ulimits,
)
from infra_audit.compose.shape import Array, Bounds, Leaf, Object, Table

__all__ = ["PROJECT", "SERVICE"]

SERVICE = Object(
    {
        "annotations": labels,
        "attach": flag_kept,
        "build": build,
        "blkio_config": Object(
            {
                "device_read_bps": blkio_rate,
                "device_read_iops": blkio_rate,
                "device_write_bps": blkio_rate,
                "device_write_iops": blkio_rate,
                "weight": short_whole,
                "weight_device": blkio_weight,
            },
            extensions=False,
            keep=True,
        ),
        "cap_add": Array(text, key="pair"),
        "cap_drop": Array(text, key="pair"),
        "cgroup": Leaf(STR, "text", bounds=Bounds(choices=frozenset({"host", "private"}))),
        "cgroup_parent": text,
        "command": command,
        "configs": Array(file_mounts, key="config"),
        "container_name": Leaf(STR, "text", bounds=Bounds(pattern=r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")),
        "cpu_count": Leaf(frozenset({int, str}), "integer", bounds=Bounds(low=0)),
        "cpu_percent": Leaf(frozenset({int, str}), "fraction", bounds=Bounds(low=0, high=100)),
        "cpu_shares": number_as_integer,
        "cpu_quota": number_as_integer,
        "cpu_period": number_as_integer,
        "cpu_rt_period": number_as_integer,
        "cpu_rt_runtime": number_as_integer,
        "cpus": fraction,
        "cpuset": text,
        "credential_spec": Object({"config": text, "file": text, "registry": text}, keep=True),
        "depends_on": Table(
            Object(
                {
                    "condition": Leaf(
                        STR,
                        "text",
                        bounds=Bounds(
                            choices=frozenset({"service_started", "service_healthy", "service_completed_successfully"})
                        ),
                    ),
                    "restart": flag,
                    "required": Leaf(frozenset({bool}), "flag", keep=True),
                },
                required=("condition",),
                keep=True,
            ),
            short="dependencies",
            keys=NAME,
        ),
        "deploy": deploy,
        "develop": Object(
            {
                "watch": Array(
                    Object(
                        {
                            "ignore": string_or_list,
                            "include": string_or_list,
                            "path": text,
                            "action": Leaf(
                                STR,
                                "text",
                                bounds=Bounds(
                                    choices=frozenset({"rebuild", "sync", "restart", "sync+restart", "sync+exec"})
                                ),
                            ),
                            "target": text,
                            "exec": hook,
                            "initial_sync": Leaf(frozenset({bool}), "flag"),
                        },
                        required=("path", "action"),
                        always={"exec": {"command": None}},
                    )
                )
            },
            null=True,
            keep=True,
        ),
        "device_cgroup_rules": texts,
        "devices": Array(
            Object(
                {"source": text, "target": text, "permissions": text},
                required=("source",),
                short="device",
            ),
            key="target",
        ),
        "dns": Array(text, single=True, key="pair"),
        "dns_opt": Array(text, key="pair"),
        "dns_search": Array(text, single=True, key="pair"),
        "domainname": text,
        "entrypoint": command,
        "env_file": Array(
            Object(
                {"path": text, "format": text, "required": flag_kept},
                required=("path",),
                short="path",
                extensions=False,
            ),
            single=True,
            key="path",
        ),
        "environment": environment,
        "expose": Array(Leaf(frozenset({str, int, float}), "port_text"), key="value"),
        "extends": ANYTHING,
        "external_links": texts,
        "extra_hosts": extra_hosts,
        "gpus": Array(device_request._replace(open=True, required=()), short="gpus", fixed=True),
        "group_add": Array(text_or_integer, key="refuse"),
        "healthcheck": Object(
            {
                "disable": flag,
                "interval": duration_kept,
                "retries": Leaf(frozenset({int, float, str}), "integer", keep=True, bounds=Bounds(low=0)),
                "test": Array(text, short="test", replace=True),
                "timeout": duration_kept,
                "start_period": duration_kept,
                "start_interval": duration_kept,
            },
            keep=True,
        ),
        "hostname": text,
        "image": text,
        "init": flag_kept,
        "ipc": text,
        "isolation": text,
        "label_file": Array(text, single=True, key="value"),
        "labels": labels,
        "links": Array(text, key="pair"),
        "logging": Object({"driver": text, "options": loose_options}, merge="logging", keep=True),
        "mac_address": text,
        "mem_limit": size,
        "mem_reservation": whole_size,
        "mem_swappiness": whole_size,
        "memswap_limit": size,
        "models": Table(Object({"endpoint_var": text, "model_var": text}, null=True, keep=True), short="names"),
        "network_mode": text,
        "networks": Table(
            Object(
                {
                    "aliases": Array(text, key="pair"),
                    "interface_name": text,
                    "ipv4_address": text,
                    "ipv6_address": text,
                    "link_local_ips": Array(text, key="pair"),
                    "mac_address": text,
                    "driver_opts": options,
                    "priority": Leaf(frozenset({int, float}), "integer"),
                    "gw_priority": Leaf(frozenset({int, float}), "integer"),
                },
                null=True,
                keep=True,
            ),
            short="names",
            keys=NAME,
        ),
        "oom_kill_disable": flag,
        "oom_score_adj": Leaf(frozenset({int, str}), "integer", bounds=Bounds(low=-1000, high=1000)),
        "pid": text,
        "pids_limit": number_as_integer,
        "platform": text,
        "ports": Array(
            Object(
                {
                    "name": text,
                    "mode": text,
                    "host_ip": text,
                    "target": natural,
                    "published": Leaf(frozenset({int, str}), "published"),
                    "protocol": text,
                    "app_protocol": text,
                },
            ),
            key="port",
            short="ports",
        ),
        "post_start": Array(hook),
        "pre_stop": Array(hook),
        "privileged": flag,
        "profiles": Array(text, key="pair"),
        "provider": Object(
            {"type": text, "options": Table(Array(scalar, short="one", fixed=True))}, required=("type",), keep=True
        ),
        "pull_policy": Leaf(
            STR,
            "text",
            bounds=Bounds(
                pattern=r"always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+"
            ),
        ),
        "pull_refresh_after": text,
        "read_only": flag,
        "restart": text,
        "runtime": text,
        "scale": natural_kept,
        "secrets": Array(file_mounts, key="secret"),
        "security_opt": texts,
        "shm_size": size,
        "stdin_open": flag,
        "stop_grace_period": duration_kept,
        "stop_signal": text,
        "storage_opt": loose_options,
        "sysctls": labels,
        "tmpfs": Array(text, single=True, key="pair"),
        "tty": flag,
        "ulimits": ulimits,
        "use_api_socket": Leaf(frozenset({bool}), "flag"),
        "user": text,
        "userns_mode": text,
        "uts": text,
        "volumes": Array(
            Object(
                {
                    "type": Leaf(
                        STR,
                        "text",
                        bounds=Bounds(choices=frozenset({"bind", "volume", "tmpfs", "cluster", "npipe", "image"})),
                    ),
                    "source": text,
                    "target": text,
                    "read_only": flag,
                    "consistency": text,
                    "bind": Object(
                        {
                            "propagation": text,
                            "create_host_path": flag,
                            "recursive": Leaf(
                                STR,
                                "text",
                                bounds=Bounds(choices=frozenset({"enabled", "disabled", "writable", "readonly"})),
                            ),
                            "selinux": Leaf(STR, "text", bounds=Bounds(choices=frozenset({"z", "Z"}))),
                        },
                        keep=True,
                    ),
                    "volume": Object({"labels": labels, "nocopy": flag, "subpath": text}, keep=True),
                    "tmpfs": Object(
                        {
                            "size": Leaf(frozenset({int, str}), "size", bounds=Bounds(low=0)),
                            "mode": Leaf(frozenset({int, float}), "integer"),
                        },
                        keep=True,
                    ),
                    "image": Object({"subpath": text}, keep=True),
                },
                required=("type",),
                short="mount",
            ),
            key="target",
        ),
        "volumes_from": texts,
        "working_dir": text,
    },
    always={"command": None, "entrypoint": None},
    keep=True,
    hidden=("env_file", "label_file", "extends", "pull_refresh_after"),
)

external = Leaf(frozenset({bool, str}), "flag")
network = Object(
    {
        "name": text,
        "driver": text,
        "driver_opts": options,
        "ipam": Object(
            {
                "driver": text,
                "config": Array(
                    Object({"subnet": text, "ip_range": text, "gateway": text, "aux_addresses": Table(text)}),
                    key="subnet",
                ),
                "options": Table(text),
            },
            keep=True,
            hidden=("options",),
        ),
        "external": external,
        "internal": flag,
        "enable_ipv4": flag_kept,
        "enable_ipv6": flag_kept,
        "attachable": flag,
        "labels": labels,
    },
    short="external",
    always={"ipam": {}},
    null=True,
    keep=True,
)
volume = Object(
    {"name": text, "driver": text, "driver_opts": options, "external": external, "labels": labels},
    short="external",
    null=True,
    keep=True,
)
secret = Object(
    {
        "name": text,
        "environment": text,
        "file": text,
        "external": external,
        "labels": fixed_labels,
        "driver": text,
        "driver_opts": options,
        "template_driver": text,
    },
    short="external",
    keep=True,
)
config = Object(
    {
        "name": text,
        "content": text,
        "environment": text,
        "file": text,
        "external": external,
        "labels": fixed_labels,
        "template_driver": text,
    },
    short="external",
    keep=True,
)
model = Object(
    {
        "name": text,
        "model": text,
        "context_size": Leaf(frozenset({int}), "integer"),
        "runtime_flags": plain_texts,
    },
    required=("model",),
    keep=True,
)

PROJECT = Object(
    {
        "version": text,
        "name": text,
        "include": ANYTHING,
        "services": Table(SERVICE, keys=NAME, keep=True),
        "models": Table(model),
        "networks": Table(network),
        "volumes": Table(volume, keys=NAME),
        "secrets": Table(secret, keys=NAME),
        "configs": Table(config, keys=NAME),
    },
    hidden=("models",),
)
