"""Facts about Alertmanagers: whether their configuration loads."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from infra_audit.deployment import Subject
from infra_audit.errors import ReadError, Undecidable
from infra_audit.facts.container_files import ContainerFiles
from infra_audit.facts.prometheus import options_of, product_of
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.facts.services import command_words
from infra_audit.monitoring.alertmanager import faults, template_faults, template_files
from infra_audit.monitoring.located_yaml import read_located, text_of
from infra_audit.source import Span
from infra_audit.tree import HOLE, Node

__all__: list[str] = []

_DEFAULT = "/etc/alertmanager/alertmanager.yml"
_EXPANDERS = ("envsubst", "sed ", "gomplate", "confd")


@fact("alertmanager.faults", on="service")
def config_faults(service: Subject) -> Fact[list[Item]]:
    """What makes an Alertmanager refuse its configuration; empty for any other service."""
    if product_of(service) != "alertmanager":
        return Known([], service.node)
    named = next(reversed(options_of(service, "config.file")), None)
    path = named.text if named is not None else _DEFAULT
    if HOLE in path or "$" in path:
        raise Undecidable("which configuration it reads rests on a variable")
    files = ContainerFiles(service)
    path = posixpath.normpath(posixpath.join("/alertmanager", path))
    located = files.open(path)
    try:
        roots = read_located(located)
    except ReadError as error:
        span = located.span(0, 1)
        line, column = error.line or 1, error.column or 1
        return Known([Item(error.message, (Evidence(Span(span.source, line, column, line, column + 1)),))])
    if len(roots) != 1 or not roots[0].is_mapping:
        return Known([Item("it holds no mapping", (Evidence(located.span(0, 1)),))])
    expands = any(word in text.text for text in command_words(service) for word in _EXPANDERS)
    items = [
        Item(fault.message, (Evidence(fault.place),))
        for fault in faults(roots[0])
        if not (expands and "expands no variables" in fault.message)
    ]
    return Known([*items, *_templates(files, path, roots[0])], roots[0])


def _templates(files: ContainerFiles, path: str, root: Node) -> Iterator[Item]:
    """Template files that are not there, and what they call that Alertmanager lacks."""
    for node in template_files(root):
        pattern = posixpath.normpath(posixpath.join(posixpath.dirname(path), text_of(node)))
        wild = any(char in pattern for char in "*?[")
        try:
            found = files.glob(pattern) if wild else [pattern]
            texts = [files.open(one) for one in found]
        except Undecidable as error:
            yield Item(error.message, (), unknown=True)
            continue
        except ReadError:
            yield Item(f"{text_of(node)} is not there", (Evidence(node),))
            continue
        if wild and not found:
            yield Item(f"{text_of(node)} matches no file", (Evidence(node),))
        for located in texts:
            for message in template_faults(located.text):
                name = message.rpartition(" ")[2]
                at = located.text.find(name)
                yield Item(message, (Evidence(located.span(at, at + len(name))),))
