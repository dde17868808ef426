"""Facts about networks: subnets, addresses, MTU, who is on them, what nothing uses, what the plan gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra_audit.compose import load
from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.registry import Unknown, evaluate
from tests.loaded import deployed, items, texts, value


def network(folder: Path, body: str, *, services: str = "{web: {image: nginx:1.27, networks: [net]}}") -> Subject:
    """The network ``net``; ``body`` is its YAML in flow style."""
    found = deployed(folder, f"services: {services}\nnetworks:\n  net: {body}\n").subject("network", "net")
    assert found is not None
    return found


def subnet(*texts: str, **more: str) -> str:
    entries = ", ".join(
        f"{{subnet: {text}" + "".join(f", {key}: {item}" for key, item in more.items()) + "}" for text in texts
    )
    return f"{{ipam: {{config: [{entries}]}}}}"


# -- subnets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("10.1.0.0/16", False),
        ("172.31.0.0/24", False),
        ("192.168.7.0/24", False),
        ("100.64.0.0/24", False),
        ("fd00:1::/64", False),
        ("172.32.0.0/24", True),
        ("8.8.8.0/24", True),
        ("100.128.0.0/24", True),
        ("2600::/64", True),
        ("172.28.0.0/33", True),
    ],
)
def test_a_subnet_is_private_or_a_finding(tmp_path: Path, text: str, public: bool) -> None:
    assert bool(items(network(tmp_path, subnet(f'"{text}"')), "network.public_subnets")) is public


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("172.28.0.0/16", "172.28.5.0/24", True),
        ("172.28.0.0/16", "172.28.0.0/16", True),
        ("172.28.0.0/17", "172.28.128.0/17", False),
        ("10.0.0.0/8", "fd00::/64", False),
    ],
)
def test_the_later_of_two_overlapping_networks_is_named(tmp_path: Path, first: str, second: str, overlap: bool) -> None:
    text = "services: {web: {image: nginx:1.27, networks: [one, two]}}\nnetworks:\n"
    deployment = deployed(tmp_path, text + f"  one: {subnet(first)}\n  two: {subnet(chr(34) + second + chr(34))}\n")
    one, two = deployment.subjects("network")[:2]
    assert texts(one, "network.overlaps") == []
    assert texts(two, "network.overlaps") == ([f"{second} overlaps {first} of one"] if overlap else [])


@pytest.mark.parametrize(
    ("gateway", "outside"), [("172.28.0.1", 0), ("172.28.255.254", 0), ("172.29.0.1", 1), ("fd00::1", 1)]
)
def test_a_gateway_lies_in_its_subnet(tmp_path: Path, gateway: str, outside: int) -> None:
    assert (
        len(items(network(tmp_path, subnet("172.28.0.0/16", gateway=f'"{gateway}"')), "network.gateways_outside"))
        == outside
    )


@pytest.mark.parametrize(
    ("body", "capacity"),
    [
        (subnet("172.28.0.0/29"), 5),
        (subnet("172.28.0.0/16", ip_range="172.28.5.0/30"), 4),
        (subnet("172.28.0.0/32"), 0),
        (subnet('"fd00::/64"'), None),
        ("{}", None),
    ],
)
def test_how_many_containers_a_network_has_room_for(tmp_path: Path, body: str, capacity: int | None) -> None:
    assert value(network(tmp_path, body), "network.capacity") == capacity


def test_containers_of_a_network_are_the_replicas_of_its_services(tmp_path: Path) -> None:
    services = "{a: {image: x, networks: [net], scale: 3}, b: {image: x, networks: [net]}, c: {image: x}}"
    assert value(network(tmp_path, "{}", services=services), "network.containers") == 4


@pytest.mark.parametrize(
    ("fact", "body", "expected"),
    [
        ("network.mtu", "{driver_opts: {com.docker.network.driver.mtu: 1450}}", 1450),
        ("network.mtu", "{}", None),
        ("network.driver", "{}", "bridge"),
        ("network.driver", "{driver: overlay}", "overlay"),
        ("network.bridge_name_length", "{driver_opts: {com.docker.network.bridge.name: br-sixteen-chars}}", 16),
        ("network.is_external", "{external: true}", True),
        ("network.subnet", subnet("172.28.0.0/16"), "172.28.0.0/16"),
    ],
)
def test_settings_of_a_network(tmp_path: Path, fact: str, body: str, expected: Any) -> None:
    assert value(network(tmp_path, body), fact) == expected


@pytest.mark.parametrize("fact", ["network.mtu", "network.subnet"])
def test_settings_of_an_external_network_are_unknown(tmp_path: Path, fact: str) -> None:
    found = evaluate(network(tmp_path, "{external: true}"), fact)
    assert isinstance(found, Unknown)
    assert "external" in found.why


def test_a_subnet_from_an_unset_variable_is_unknown(tmp_path: Path) -> None:
    for fact in ("network.subnet", "network.overlaps", "network.public_subnets", "network.capacity"):
        found = evaluate(network(tmp_path, subnet('"${SUBNET}"')), fact)
        assert isinstance(found, Unknown), fact
        assert found.why == "SUBNET is not set"


# -- fixed addresses ------------------------------------------------------------------------------


def fixed(folder: Path, body: str, **addresses: str) -> Subject:
    services = ", ".join(
        f"{name}: {{image: x, networks: {{net: {{ipv4_address: {address}}}}}}}" for name, address in addresses.items()
    )
    return network(folder, body, services=f"{{{services}}}")


def test_a_fixed_address_lies_in_a_subnet(tmp_path: Path) -> None:
    net = fixed(tmp_path, subnet("172.28.0.0/24", "172.28.9.0/24"), a="172.28.0.9", b="172.28.9.9", c="172.28.1.9")
    [item] = items(net, "network.static_outside")
    assert item.subject == ("service", "c")
    assert item.text == "172.28.1.9 is not in 172.28.0.0/24, 172.28.9.0/24, the subnet of net"


def test_a_fixed_address_needs_a_subnet_in_the_files(tmp_path: Path) -> None:
    [item] = items(fixed(tmp_path, "{}", a="172.28.0.9"), "network.static_outside")
    assert "has no subnet in the files" in item.text
    [undecided] = value(fixed(tmp_path, "{external: true}", a="172.28.0.9"), "network.static_outside")
    assert undecided.unknown


def test_a_fixed_address_is_one_services_and_not_the_gateways(tmp_path: Path) -> None:
    net = fixed(tmp_path, subnet("172.28.0.0/24"), a="172.28.0.1", b="172.28.0.9", c="172.28.0.9")
    found = [(item.subject, item.text) for item in items(net, "network.static_duplicates")]
    assert found == [
        (("service", "a"), "172.28.0.1 on net is taken by the gateway"),
        (("service", "c"), "172.28.0.9 on net is taken by b"),
    ]


def test_replicas_cannot_share_a_fixed_address(tmp_path: Path) -> None:
    text = "services:\n  web:\n    image: x\n    scale: 2\n    networks: {net: {ipv4_address: 172.28.0.9}}\n"
    web = deployed(tmp_path, text + f"networks: {{net: {subnet('172.28.0.0/24')}}}\n").service("web")
    assert web is not None
    assert texts(web, "service.static_with_replicas") == ["2 replicas ask for the one address 172.28.0.9 on net"]


# -- who is on them -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "networks", "implied"),
    [
        ("{image: x}", ["default"], True),
        ("{image: x, networks: [net]}", ["net"], False),
        ("{image: x, networks: [net, default]}", ["net", "default"], False),
        ("{image: x, network_mode: host}", [], False),
        ("{image: x, network_mode: none}", [], False),
        ("{image: x, network_mode: 'service:other'}", ["net"], False),
    ],
)
def test_the_networks_of_a_service(tmp_path: Path, body: str, networks: list[str], implied: bool) -> None:
    text = f"services:\n  web: {body}\n  other: {{image: x, networks: [net]}}\nnetworks: {{net: {{}}}}\n"
    web = deployed(tmp_path, text).service("web")
    assert web is not None
    assert value(web, "service.networks") == networks
    assert value(web, "service.on_implied_network") is implied


def test_a_declared_default_network_is_a_choice(tmp_path: Path) -> None:
    web = deployed(tmp_path, "services: {web: {image: x}}\nnetworks: {default: {driver: bridge}}\n").service("web")
    assert web is not None
    assert value(web, "service.on_implied_network") is False


def test_the_network_of_a_strange_container_is_unknown(tmp_path: Path) -> None:
    web = deployed(tmp_path, "services: {web: {image: x, network_mode: 'container:vpn'}}\n").service("web")
    assert web is not None
    assert isinstance(evaluate(web, "service.networks"), Unknown)


# -- what nothing uses, and what becomes external ---------------------------------------------------


def test_networks_volumes_and_secrets_that_nothing_uses(tmp_path: Path) -> None:
    text = """
services:
  web:
    build: {context: ., secrets: [token]}
    volumes: [data:/data]
    networks: [front]
    secrets: [key]
networks: {front: {}, back: {}}
volumes: {data: {}, left: {}}
secrets: {key: {file: ./key}, token: {file: ./token}, old: {file: ./old}}
"""
    deployment = deployed(tmp_path, text)

    def used(kind: str) -> dict[str, bool]:
        return {one.name: value(one, f"{kind}.is_used") for one in deployment.subjects(kind)}

    assert used("network") == {"front": True, "back": False} | (
        {"default": False} if "default" in used("network") else {}
    )
    assert used("volume") == {"data": True, "left": False}
    assert [item.subject for item in items(deployment.root, "deployment.unused_secrets")] == [("secret", "old")]


def merged(folder: Path, base: str, override: str) -> Deployment:
    (folder / "base.yaml").write_text(f"services: {{web: {{image: x, networks: [net]}}}}\nnetworks: {{net: {base}}}\n")
    (folder / "over.yaml").write_text(f"networks: {{net: {override}}}\n")
    return load([str(folder / "base.yaml"), str(folder / "over.yaml")])


@pytest.mark.parametrize(
    ("base", "override", "expected"),
    [
        ("{}", "{external: true}", True),
        ("", "{external: true}", True),
        ("{external: false}", "{external: true}", True),
        ("{external: true}", "{external: true, name: edge}", False),
        ("{external: true}", "{name: edge}", False),
        ("{driver: bridge}", "{attachable: true}", False),
    ],
)
def test_what_one_file_defines_a_later_one_may_make_external(
    tmp_path: Path, base: str, override: str, expected: bool
) -> None:
    net = merged(tmp_path, base, override).subject("network", "net")
    assert net is not None
    assert value(net, "network.made_external") is expected
