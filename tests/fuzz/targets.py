"""What must hold for any text, whatever stands in it.

Each target takes a text, raises nothing but what a user may see, and checks what it was given back.
``tests/test_fuzz_inputs.py`` runs them over the kept inputs, ``tests/fuzz/run.py`` searches new ones.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

from infra_audit.compose import load
from infra_audit.compose.canonical import canonical
from infra_audit.compose.interpolate import TemplateError, Variable, substitute
from infra_audit.compose.words import command_words
from infra_audit.errors import InfraAuditError, ReadError
from infra_audit.readers.env import read_env
from infra_audit.readers.redis_conf import read_conf
from infra_audit.readers.yaml import read_documents
from infra_audit.source import Source, Span
from infra_audit.tree import HOLE, Node

__all__ = ["TARGETS"]


def _inside(source: Source, span: Span) -> None:
    lines = len(source.starts)
    assert 1 <= span.line <= span.end_line <= lines, span
    assert span.column >= 1
    assert (span.line, span.column) <= (span.end_line, span.end_column), span
    assert source.offset(span.end_line, span.end_column) <= len(source.text)


def _has_place(error: ReadError) -> None:
    assert error.line is not None
    assert error.column is not None


def _walk(source: Source, node: Node) -> None:
    for _, child in node.walk():
        _inside(source, child.span)
        if child.key is not None:
            _inside(source, child.key)
        if isinstance(child.value, str) and child.span.text == child.value:
            assert child.is_scalar


def yaml(text: str) -> None:
    """Every node that is read lies inside the text."""
    source = Source("f.yaml", text)
    try:
        documents = read_documents(source)
    except ReadError as error:
        _has_place(error)
        return
    for document in documents:
        if document.root is not None:
            _walk(source, document.root)
        for issue in document.issues:
            _inside(source, issue.span)


def interpolate(text: str) -> None:
    """A template gives a text or one error; with everything set there is no hole."""
    variables = {"A": Variable("1"), "B": Variable("")}
    for blank in ("", HOLE):
        try:
            substitute(text, variables, blank=blank, demand=not blank)
        except TemplateError:
            continue
    if "$" not in text:
        assert substitute(text, variables) == (text, [])
    assert substitute(text.replace("$", "$$"), variables)[0] == text


def env(text: str) -> None:
    """Entries lie inside the text, in order."""
    source = Source(".env", text)
    try:
        entries = read_env(source)
    except ReadError as error:
        _has_place(error)
        return
    before = 0
    for entry in entries:
        _inside(source, entry.key_span)
        _inside(source, entry.span)
        assert entry.key_span.text.strip() == entry.key.strip()
        start = source.offset(entry.key_span.line, entry.key_span.column)
        assert start >= before
        before = start


def redis_conf(text: str) -> None:
    """Every directive stands where it says; an include of itself ends."""
    source = Source("redis.conf", text, "/etc/redis/redis.conf")

    def open_include(path: str) -> list[Source]:
        return [source]

    conf = read_conf(source, open_include)
    for directive in conf.directives:
        _inside(source, directive.key)


def command(text: str) -> None:
    """A command line is split or refused; what is dropped ends the text."""
    split = command_words(text)
    if split is not None and split.dropped:
        assert text.endswith(split.dropped)


def compose(text: str) -> None:
    """Any file is read, or refused with one message; what is read can be printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "compose.yaml")
        with open(path, "w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
            stream.write(text)
        try:
            deployment = load([path])
        except InfraAuditError:
            return
        canonical(deployment)
        for kind in ("service", "network", "volume", "port", "mount", "dependency"):
            deployment.subjects(kind)


TARGETS: dict[str, Callable[[str], None]] = {
    "yaml": yaml,
    "interpolate": interpolate,
    "env": env,
    "redis_conf": redis_conf,
    "command": command,
    "compose": compose,
}
