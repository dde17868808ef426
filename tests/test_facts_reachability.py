"""Facts about who names whom and reaches whom: hosts in settings, networks, ports, localhost, proxies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra_audit.deployment import Subject
from infra_audit.facts.references import parse_hosts
from infra_audit.facts.registry import Unknown, evaluate
from tests.loaded import deployed, items, places, texts, value


def client(folder: Path, compose: str, files: Mapping[str, str] | None = None, *, name: str = "api") -> Subject:
    found = deployed(folder, compose, files).service(name)
    assert found is not None
    return found


# -- hosts in texts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("redis://cache:6380/0", [("cache", 6380)]),
        ("redis://:secret@cache", [("cache", 6379)]),
        ("postgres://user:p%40ss@db/app?sslmode=disable", [("db", 5432)]),
        ("jdbc:postgresql://db:5433/app", [("db", 5433)]),
        ("postgresql+asyncpg://u:p@db/app", [("db", 5432)]),
        ("mongodb://one:27017,two:27018/app", [("one", 27017), ("two", 27018)]),
        ("user:pass@tcp(mysql:3306)/app", [("mysql", 3306)]),
        ("host=db user=app port=5433", [("db", 5433)]),
        ("Server=mssql;Database=app", [("mssql", None)]),
        ("kafka-1:9092,kafka-2:9093", [("kafka-1", 9092), ("kafka-2", 9093)]),
        ("db:5433/app?sslmode=disable", [("db", 5433)]),
        ("user:pass@db:3306/app", [("db", 3306)]),
        ("https://kafka-1:8091,https://kafka-2:8092", [("kafka-1", 8091), ("kafka-2", 8092)]),
        ("registry:5000/team/app:1.2", []),
        ("http://api.example.com/v1", [("api.example.com", 80)]),
        ("http://web:8080/a?next=http://other:81", [("web", 8080), ("other", 81)]),
        ("key:", []),
        ("a:b", []),
        ("just some words", []),
    ],
)
def test_hosts_are_found_in_urls_addresses_and_dsns(text: str, hosts: list[tuple[str, int | None]]) -> None:
    assert [(found.host, found.port) for found in parse_hosts(text)] == hosts


def test_a_host_points_to_its_own_characters(tmp_path: Path) -> None:
    compose = """
services:
  api:
    image: example/api:1
    networks: [front]
    environment:
      URLS: "http://web:80 redis://user@cache:6379/0"
  web: {image: nginx:1.27, networks: [front]}
  cache: {image: redis:7.4, networks: [back]}
networks: {front: {}, back: {}}
"""
    [item] = items(client(tmp_path, compose), "service.unreachable")
    span = item.because[0].span
    assert (span.line, span.text) == (7, "cache:6379")


# -- reaching each other --------------------------------------------------------------------------

NETWORKS = "networks: {front: {}, back: {}}\n"
APART = "  cache: {image: redis:7.4, networks: [back]}\n" + NETWORKS


@pytest.mark.parametrize(
    "body",
    [
        "environment: {REDIS_URL: redis://cache:6379}",
        "environment: [REDIS_HOST=cache]",
        "environment: {BROKERS: 'cache:6379'}",
        "command: [serve, --redis=redis://cache:6379/0]",
        "depends_on: [cache]",
    ],
)
def test_a_service_on_another_network_is_not_reached(tmp_path: Path, body: str) -> None:
    compose = f"services:\n  api: {{image: x, networks: [front], {body}}}\n" + APART
    assert len(items(client(tmp_path, compose), "service.unreachable")) == 1


@pytest.mark.parametrize(
    "api",
    [
        "{image: x, networks: [front, back], environment: {URL: redis://cache:6379}}",
        "{image: x, networks: [front], environment: {TITLE: cache, MODE: 'cache'}}",
        "{image: x, networks: [front], environment: {IMAGE: 'cache:6379'}}",
        "{image: x, networks: [front], extra_hosts: ['cache:10.0.0.1'], environment: {URL: redis://cache:6379}}",
        "{image: x, network_mode: 'service:cache', environment: {URL: redis://cache:6379}}",
        "{networks: [front], environment: {URL: redis://cache:6379}}",
    ],
)
def test_what_is_reached_or_names_no_host_is_no_finding(tmp_path: Path, api: str) -> None:
    assert texts(client(tmp_path, f"services:\n  api: {api}\n" + APART), "service.unreachable") == []


def test_an_alias_and_a_container_name_are_names(tmp_path: Path) -> None:
    compose = (
        """
services:
  api: {image: x, networks: [front], environment: {A: "http://store:1", B: "http://box:2", C: "http://old:3"}}
  one: {image: x, networks: {back: {aliases: [store]}}}
  two: {image: x, networks: [front], container_name: box}
  three: {image: x, networks: {front: {}, back: {aliases: [old]}}}
"""
        + NETWORKS
    )
    assert [item.expected for item in items(client(tmp_path, compose), "service.unreachable")] == ["one", "three"]


def test_a_name_may_be_another_on_an_external_network(tmp_path: Path) -> None:
    compose = "services:\n  api: {image: x, networks: [edge], environment: {URL: 'redis://cache:6379'}}\n"
    compose += "  cache: {image: redis:7.4, networks: [back]}\nnetworks: {edge: {external: true}, back: {}}\n"
    [item] = value(client(tmp_path, compose), "service.unreachable")
    assert item.unknown
    assert "external network edge" in item.text


def test_two_keys_of_one_real_network_are_one_network(tmp_path: Path) -> None:
    compose = "services:\n  api: {image: x, networks: [a], environment: {URL: 'redis://cache:6379'}}\n"
    compose += "  cache: {image: redis:7.4, networks: [b]}\nnetworks: {a: {name: shared}, b: {name: shared}}\n"
    assert texts(client(tmp_path, compose), "service.unreachable") == []


# -- unknown hosts and localhost ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("redis://redis:6379", 1),
        ("redis://cache:6379", 0),
        ("redis://redis.example.com:6379", 0),
        ("redis://10.0.0.3:6379", 0),
        ("redis://redis:6380", 0),
        ("redis://host.docker.internal:6379", 0),
        ("redis://app-cache-1:6379", 0),
    ],
)
def test_a_name_that_nobody_has_on_a_port_that_a_service_has(tmp_path: Path, url: str, found: int) -> None:
    compose = f"services:\n  api: {{image: x, environment: {{URL: '{url}'}}}}\n  cache: {{image: redis:7.4}}\n"
    assert len(items(client(tmp_path, compose), "service.unknown_hosts")) == found


@pytest.mark.parametrize(
    "environment",
    [
        "{REDIS_URL: 'redis://localhost:6379'}",
        "{DB_HOST: 127.0.0.1, DB_PORT: 6379}",
        "{REDIS_URL: 'redis://localhost'}",
        "{ADDRESS_OF_CACHE: 'localhost:6379'}",
    ],
)
def test_localhost_is_not_another_service(tmp_path: Path, environment: str) -> None:
    compose = f"services:\n  api: {{image: x, environment: {environment}}}\n  cache: {{image: redis:7.4}}\n"
    [item] = items(client(tmp_path, compose), "service.localhost_targets")
    assert item.expected == "cache:6379"


URL = "environment: {URL: 'redis://localhost:6379'}"


@pytest.mark.parametrize(
    ("api", "others"),
    [
        (f"{URL}, network_mode: 'service:cache'", "cache: {image: redis:7.4}"),
        (URL, "cache: {image: redis:7.4, network_mode: 'service:api'}"),
        (
            f"{URL}, network_mode: 'service:vpn'",
            "cache: {image: redis:7.4, network_mode: 'service:vpn'}, vpn: {image: y}",
        ),
        (f"{URL}, expose: [6379]", "cache: {image: redis:7.4}"),
        (f"{URL}, network_mode: host", "cache: {image: redis:7.4}"),
        ("environment: {PUBLIC_URL: 'http://localhost:80'}", "web: {image: nginx:1.27}"),
        ("environment: {URL: 'http://localhost:80'}", "web: {image: nginx:1.27, ports: ['80:80']}"),
    ],
)
def test_localhost_may_be_right(tmp_path: Path, api: str, others: str) -> None:
    compose = f"services: {{api: {{image: x, {api}}}, {others}}}\n"
    assert texts(client(tmp_path, compose), "service.localhost_targets") == []


# -- ports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "ports"),
    [
        ("{image: redis:7.4}", [6379]),
        ("{image: redis:7.4, command: redis-server --port 0 --tls-port 6380}", [6380]),
        ("{image: postgres:17.2}", None),
        ("{image: postgres:17.2, command: postgres -c port=5433}", [5433]),
        ("{image: postgres:17.2, environment: {PGPORT: 5433}}", [5433]),
        ("{image: prom/prometheus:v3.0.0, command: [--web.listen-address=0.0.0.0:9091]}", [9091]),
        ("{image: prom/prometheus:v3.0.0, command: [--web.listen-address, ':9091']}", [9091]),
        ("{image: nginx:1.27}", [80]),
        ("{image: nginx:1.27, command: nginx -c /own.conf}", None),
        ("{image: example/adminer:1}", None),
        ("{image: adminer:5}", [8080]),
        ("{image: adminer:5, build: .}", None),
        ("{image: example/redis:7}", None),
        ("{image: '${IMAGE}'}", None),
    ],
)
def test_the_ports_on_which_a_service_is_known_to_listen(tmp_path: Path, body: str, ports: list[int] | None) -> None:
    found = value(client(tmp_path, f"services: {{api: {body}}}\n"), "service.configured_ports")
    if ports is None and found is not None:
        assert 5432 in found  # PostgreSQL has companions on other ports
    else:
        assert found == ports


def test_a_port_from_an_unset_variable_is_unknown(tmp_path: Path) -> None:
    for command in ("redis-server --port ${PORT}", "redis-server /own.conf"):
        fact = evaluate(
            client(tmp_path, f"services: {{api: {{image: redis:7.4, command: '{command}'}}}}\n"),
            "service.configured_ports",
        )
        assert isinstance(fact, Unknown)


def test_a_published_port_leads_to_one_that_listens(tmp_path: Path) -> None:
    compose = "services: {api: {image: redis:7.4, ports: ['6379:6379', '7000:7000', '53:53/udp']}}\n"
    ports = deployed(tmp_path, compose).subjects("port")
    assert [value(port, "port.listening") for port in ports] == [True, False, None]


@pytest.mark.parametrize(
    ("mount", "conf", "ports"),
    [
        ("/etc/nginx/nginx.conf", "http { server { listen 8080; listen [::]:8443 ssl; } }", [8080, 8443]),
        ("/etc/nginx/conf.d/default.conf", "server { listen 127.0.0.1:81; }", [81]),
        ("/etc/nginx/conf.d/more.conf", "server { listen 81; }", None),
        ("/usr/share/nginx/html/index.html", "hello", [80]),
    ],
)
def test_a_mounted_nginx_configuration_tells_its_ports(
    tmp_path: Path, mount: str, conf: str, ports: list[int] | None
) -> None:
    compose = f"services: {{api: {{image: nginx:1.27, volumes: ['./file:{mount}:ro']}}}}\n"
    assert value(client(tmp_path, compose, {"file": conf}), "service.configured_ports") == ports


# -- proxies --------------------------------------------------------------------------------------


def proxied(folder: Path, image: str, target: str, text: str, *, more: str = "") -> Subject:
    """A proxy with one mounted configuration; ``web`` stands beside it and ``db`` on another network."""
    compose = (
        f"""
services:
  proxy: {{image: {image}, networks: [front], volumes: ['./conf:{target}:ro']{more}}}
  web: {{image: example/web:1, networks: [front]}}
  db: {{image: example/db:1, networks: [back]}}
"""
        + NETWORKS
    )
    return client(folder, compose, {"conf": text}, name="proxy")


NGINX = "/etc/nginx/conf.d/default.conf"
HAPROXY = "/usr/local/etc/haproxy/haproxy.cfg"
TRAEFIK = "/etc/traefik/dynamic.yml"
TRAEFIK_OPTION = ", command: [--providers.file.filename=/etc/traefik/dynamic.yml]"


def traefik(*urls: str) -> str:
    servers = "".join(f"          - url: {url}\n" for url in urls)
    return f"http:\n  services:\n    app:\n      loadBalancer:\n        servers:\n{servers}"


@pytest.mark.parametrize(
    ("image", "target", "text", "more", "line"),
    [
        ("nginx:1.27", NGINX, "server {\n  location / {\n    proxy_pass http://%s:80;\n  }\n}\n", "", 3),
        (
            "nginx:1.27",
            NGINX,
            "upstream all {\n  server %s:80;\n}\nserver { location / { proxy_pass http://all; } }\n",
            "",
            2,
        ),
        ("nginx:1.27", NGINX, "server {\n  set $to %s;\n  location / { proxy_pass http://$to:80; }\n}\n", "", 3),
        ("nginx:1.27", NGINX, "server { location / { fastcgi_pass %s:9000; } }\n", "", 1),
        ("haproxy:3.0", HAPROXY, "backend all\n  server one %s:80 check\n", "", 2),
        ("traefik:v3.1", TRAEFIK, traefik("http://%s:80"), TRAEFIK_OPTION, 6),
    ],
)
def test_a_proxys_upstreams_are_services_that_it_reaches(
    tmp_path: Path, image: str, target: str, text: str, more: str, line: int
) -> None:
    def found(host: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        proxy = proxied(tmp_path, image, target, text.replace("%s", host), more=more)
        return places(proxy, "proxy.unknown_upstreams"), places(proxy, "proxy.unreachable_upstreams")

    assert found("web") == ([], [])
    assert found("nobody") == ([("conf", line)], [])
    assert found("db") == ([], [("conf", line)])
    assert found("api.example.com") == ([], [])


@pytest.mark.parametrize(
    ("image", "target", "text", "more", "why"),
    [
        ("nginx:1.27", NGINX, "server { location / { proxy_pass http://$backend; } }", "", "rests on a variable"),
        ("nginx:1.27", NGINX, "server { location / { proxy_pass http://web;", "", "ends before"),
        ("traefik:v3.1", TRAEFIK, "http: {{ x }}", TRAEFIK_OPTION, "template"),
        ("traefik:v3.1", TRAEFIK, "", ", command: ['--providers.file.directory=${FOLDER}']", "FOLDER is not set"),
    ],
)
def test_what_a_proxys_files_do_not_tell_is_undecided(
    tmp_path: Path, image: str, target: str, text: str, more: str, why: str
) -> None:
    [item] = value(proxied(tmp_path, image, target, text, more=more), "proxy.unknown_upstreams")
    assert item.unknown
    assert why in item.text


def test_a_mounted_folder_that_is_not_here_is_undecided(tmp_path: Path) -> None:
    compose = "services: {proxy: {image: nginx:1.27, volumes: ['./conf.d:/etc/nginx/conf.d'], ports: ['80:80']}}\n"
    proxy = client(tmp_path, compose, name="proxy")
    [item] = value(proxy, "proxy.unknown_upstreams")
    assert item.unknown
    assert "conf.d, which is not here" in item.text
    assert isinstance(evaluate(proxy, "service.configured_ports"), Unknown)
