"""The readers of nginx and HAProxy configurations: words, blocks, sections, and where each thing stands."""

from __future__ import annotations

from typing import Any

import pytest

from infra_audit.errors import ReadError
from infra_audit.readers.haproxy import read_haproxy
from infra_audit.readers.nginx import Directive, read_nginx, walk
from infra_audit.source import Source


def nginx(text: str) -> tuple[Directive, ...]:
    return read_nginx(Source("nginx.conf", text, "/nginx.conf"))


def plain(directive: Directive) -> Any:
    """Name, words and block as lists."""
    words = [directive.name.text, *(word.text for word in directive.words)]
    return words if directive.block is None else [words, [plain(inner) for inner in directive.block]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker_processes auto;", [["worker_processes", "auto"]]),
        ("events {}", [[["events"], []]]),
        ("http { server { listen 80; } }", [[["http"], [[["server"], [["listen", "80"]]]]]]),
        ("set $a 'b;{}# c';", [["set", "$a", "b;{}# c"]]),
        ('add_header X "a \\"b\\"";', [["add_header", "X", 'a "b"']]),
        (
            "proxy_pass http://${HOST}:80/; # to {the} backend;\nx y;",
            [["proxy_pass", "http://${HOST}:80/"], ["x", "y"]],
        ),
        ("location ~ ^/a#b$ { return 200; }", [[["location", "~", "^/a#b$"], [["return", "200"]]]]),
        ("log_format main\n  'one '\n  'two';", [["log_format", "main", "one ", "two"]]),
        ("content_by_lua_block { if a then b = {1} end }\nx y;", [[["content_by_lua_block"], []], ["x", "y"]]),
        ("", []),
    ],
)
def test_nginx_directives_are_words_and_blocks(text: str, expected: Any) -> None:
    assert [plain(directive) for directive in nginx(text)] == expected


def test_an_nginx_word_knows_where_it_is_written() -> None:
    found = list(walk(nginx("http {\n  server {\n    listen 8080;\n  }\n}\n")))
    listen = next(directive for directive in found if directive.name.text == "listen")
    assert [str(word.span) for word in (listen.name, *listen.words)] == ["nginx.conf:3:5", "nginx.conf:3:12"]
    assert listen.words[0].span.text == "8080"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("listen 80", 'ends before a ";"', (1, 10)),
        ("http {\n  x y;\n", 'ends before a "}"', (3, 1)),
        ("x y;\n}\n", 'unexpected "}"', (2, 1)),
        ("x 'open;\n", "quote is not closed", (1, 3)),
        ("{ x y; }", "block without a name", (1, 2)),
    ],
)
def test_what_nginx_refuses_is_told_with_its_place(text: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(ReadError) as error:
        nginx(text)
    assert message in error.value.message
    assert (error.value.file, (error.value.line, error.value.column)) == ("nginx.conf", place)


def haproxy(text: str) -> list[tuple[tuple[str, str], list[str]]]:
    lines = read_haproxy(Source("haproxy.cfg", text, "/haproxy.cfg"))
    return [(line.section, [word.text for word in line.words]) for line in lines]


def test_haproxy_lines_have_the_section_they_are_in() -> None:
    text = "global\n  daemon\nbackend web # the shop\n  server one web-1:80 check\nlisten\n  bind :9000\n"
    assert haproxy(text) == [
        (("global", ""), ["global"]),
        (("global", ""), ["daemon"]),
        (("backend", "web"), ["backend", "web"]),
        (("backend", "web"), ["server", "one", "web-1:80", "check"]),
        (("listen", ""), ["listen"]),
        (("listen", ""), ["bind", ":9000"]),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('http-check send hdr Host "a b"', ["http-check", "send", "hdr", "Host", "a b"]),
        ("acl x path '/a#b\\'", ["acl", "x", "path", "/a#b\\"]),
        ("acl x path a\\ b\\#c", ["acl", "x", "path", "a b#c"]),
        ('server one "${HOST}":80', ["server", "one", "${HOST}:80"]),
        ("\t# only a comment", []),
    ],
)
def test_haproxy_quoting(line: str, words: list[str]) -> None:
    assert [word for _, found in haproxy(line) for word in found] == words


def test_an_haproxy_word_knows_where_it_is_written() -> None:
    *_, line = read_haproxy(Source("haproxy.cfg", "backend web\r\n  server one web-1:80\r\n", "/haproxy.cfg"))
    assert [str(word.span) for word in line.words] == ["haproxy.cfg:2:3", "haproxy.cfg:2:10", "haproxy.cfg:2:14"]
    assert line.words[2].span.text == "web-1:80"
