"""The reader of redis.conf: words as the server splits them, includes, and where each thing stands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from infra_audit.errors import ReadError, Undecidable
from infra_audit.readers.located import Located
from infra_audit.readers.redis_conf import Conf, read_conf, split_args
from infra_audit.source import Source


def read(text: str, **others: str) -> Conf:
    """Reads main.conf, which may include the files named here (``more`` is /more.conf)."""

    def include(path: str) -> Sequence[Located]:
        name = path.strip("/").removesuffix(".conf")
        if name == "image":
            raise Undecidable("the image brings it")
        if name not in others:
            raise ReadError("no such file")
        return [Source(f"{name}.conf", others[name], f"/{name}.conf")]

    return read_conf(Source("main.conf", text, "/main.conf"), include)


def pairs(conf: Conf) -> list[tuple[str, list[str]]]:
    return [(directive.name, [word.text for word in directive.words]) for directive in conf.directives]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("maxmemory 2gb", ["maxmemory", "2gb"]),
        ("  save\t900   1 ", ["save", "900", "1"]),
        ('save ""', ["save", ""]),
        ("requirepass 'a b'", ["requirepass", "a b"]),
        (r'requirepass "a\"b\x41\n"', ["requirepass", 'a"bA\n']),
        (r"requirepass 'it\'s \n'", ["requirepass", r"it's \n"]),
        ('dir /da"ta"', ["dir", "/data"]),
        ("maxclients 10 # not a comment", ["maxclients", "10", "#", "not", "a", "comment"]),
        ("logfile /var/log/größe.log", ["logfile", "/var/log/größe.log"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_the_server_splits_it(line: str, words: list[str]) -> None:
    assert [word for word, _, _ in split_args(line)] == words


@pytest.mark.parametrize("line", ['a "open', "a 'open", '"closed"tail', "'closed'tail", '"open\\'])
def test_unbalanced_quotes_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="quote"):
        split_args(line)


def test_comments_and_blank_lines_are_no_directives() -> None:
    assert pairs(read("# maxmemory 1gb\n\n   # port 1\r\nPORT 6380\r\n")) == [("port", ["6380"])]


def test_a_word_knows_where_it_is_written() -> None:
    [directive] = read("# first\n  maxmemory   '2gb'\n").directives
    assert str(directive.key) == "main.conf:2:3"
    [word] = directive.words
    assert (str(word.span), word.span.text) == ("main.conf:2:15", "'2gb'")


def test_an_include_stands_for_its_directives_in_place() -> None:
    conf = read("port 1\ninclude /more.conf\nport 3\n", more="port 2\n")
    assert pairs(conf) == [("port", ["1"]), ("port", ["2"]), ("port", ["3"])]
    assert [directive.file for directive in conf.directives] == ["/main.conf", "/more.conf", "/main.conf"]


def test_a_file_may_be_included_twice_but_not_by_itself() -> None:
    twice = read("include /more.conf\ninclude /more.conf\n", more="port 2\n")
    assert (pairs(twice), twice.problems) == ([("port", ["2"])] * 2, ())
    circle = read("include /more.conf\n", more="include /main.conf\nport 2\n", main="include /more.conf\n")
    assert pairs(circle) == [("port", ["2"])]
    [problem] = circle.problems
    assert (str(problem.span), problem.decided) == ("more.conf:1:9", True)
    assert "leads back to itself" in problem.message


def test_a_missing_include_is_a_problem_and_an_unknown_one_is_undecided() -> None:
    missing, unknown = read("include /absent.conf\ninclude /image.conf\nport 1\n").problems
    assert (missing.message, missing.decided) == ("include /absent.conf: no such file", True)
    assert (unknown.message, unknown.decided) == ("include /image.conf: the image brings it", False)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('port 1\nrequirepass "x\n', 2, "quote"),
        ("include /a.conf /b.conf\n", 1, "one path"),
        ("include\n", 1, "one path"),
    ],
)
def test_what_the_server_refuses_is_told_with_its_line(text: str, line: int, words: str) -> None:
    [problem] = read(text).problems
    assert problem.span.line == line
    assert words in problem.message


def test_the_rest_of_a_file_is_read_after_a_wrong_line() -> None:
    assert pairs(read('requirepass "x\nport 1\n')) == [("port", ["1"])]
