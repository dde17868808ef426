"""Reads users' documents (policies, plans, configuration); every error has its place.

pydantic costs a tenth of a second at start, so this module is imported only when a user's document
is read. It checks; the engine then works on the plain data, as it does for what ships.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from infra_audit.deployment import Files
from infra_audit.engine.config import PACKAGE
from infra_audit.engine.policies import Policy
from infra_audit.engine.review import review
from infra_audit.engine.schemas import MODELS, schema
from infra_audit.errors import ConfigError
from infra_audit.facts.registry import load_plugins
from infra_audit.hints import nearest
from infra_audit.plan import Plan
from infra_audit.readers.yaml import read_yaml
from infra_audit.source import Source, Span, display_path
from infra_audit.tree import Node

__all__ = ["read_plan", "read_policies", "read_valid", "schema"]

PACK = "local"
"""The pack of users' own policies."""


def read_valid(kind: str, source: Source) -> Node:
    """The one document of a text, valid as a "policy", "plan" or "config".

    Raises ReadError for what is no YAML and ConfigError, with the place of the offending key, for
    what is no such document. An empty configuration is valid.
    """
    roots = read_yaml(source)
    if not roots and kind == "config":
        return Node({}, source.top)
    if len(roots) != 1:
        raise ConfigError(f"must hold one YAML document, not {len(roots)}", file=source.path)
    root = roots[0]
    try:
        MODELS[kind].model_validate(root.data())
    except ValidationError as error:
        _refuse(kind, root, error)
    return root


def read_plan(path: str) -> Plan:
    """A user's plan."""
    node = read_valid("plan", Files().read(path))
    return Plan.of(node.data(), file=display_path(path), node=node)


def read_policies(pack: str, named: Span | None = None) -> Iterator[Policy]:
    """The policies of the user's below a folder, or in an installed package (`package:NAME`), reviewed.

    ``named`` is where the pack is named. The facts of installed plugins are known to them.
    """
    load_plugins()
    folder, name = pack, PACK
    if pack.startswith(PACKAGE):
        name = pack.removeprefix(PACKAGE)
        folder = _package_folder(name, named)
    elif not os.path.isdir(folder):
        _fail(f"the folder of policies {display_path(folder)} does not exist", named)
    files = Files()
    for inside, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(names):
            if file.endswith((".yaml", ".yml")) and not file.startswith("."):
                yield _read_policy(os.path.join(inside, file), name, files)


def _package_folder(name: str, named: Span | None) -> str:
    """The folder of an installed package, found without running it."""
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        _fail(f"no package {name} is installed beside infra-audit", named)
    return next(iter(spec.submodule_search_locations))


def _fail(message: str, named: Span | None) -> NoReturn:
    place = (named.source.path, named.line, named.column) if named else ("", 0, 0)
    raise ConfigError(message, file=place[0], line=place[1], column=place[2])


def _read_policy(path: str, pack: str, files: Files) -> Policy:
    source = files.read(path)
    node = read_valid("policy", source)
    policy = Policy.of(node.data(), pack=pack, family=os.path.basename(os.path.dirname(path)), file=source.path)
    for problem in review(policy):
        span = _place(node, problem.path)
        raise ConfigError(problem.message, file=source.path, line=span.line, column=span.column)
    return policy


# -- errors -------------------------------------------------------------------------------------


def _refuse(kind: str, root: Node, error: ValidationError) -> NoReturn:
    """Raises the first problem in the text's order, unknown keys before all others."""
    found = []
    for detail in error.errors(include_url=False):
        path, unread = _walk(root, detail["loc"])
        span = _place(root, path)
        # a misspelt key is also a missing one; the misspelling is what there is to see
        known = detail["type"] != "extra_forbidden"
        found.append((known, span.line, span.column, _message(kind, detail, path, unread), span))
    _, line, column, message, span = min(found, key=lambda one: one[:4])
    raise ConfigError(message, file=span.source.path, line=line, column=column)


def _walk(root: Node, loc: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], tuple[int | str, ...]]:
    """The part of an error's path that is in the document, and what follows; a model's tags are in neither."""
    path: list[int | str] = []
    node = root
    rest: list[int | str] = []
    for step in loc:
        child = node.get(step)
        if child is None:
            rest.append(step)
        else:
            node = child
            path.append(step)
            rest.clear()
    return tuple(path), tuple(rest)


def _place(root: Node, path: tuple[int | str, ...]) -> Span:
    """The key at a path, the item of a list, or the deepest that there is."""
    node = root
    for step in path:
        child = node.get(step)
        if child is None:
            break
        node = child
    return node.key or node.span


def _message(kind: str, detail: Mapping[str, Any], path: tuple[int | str, ...], unread: tuple[int | str, ...]) -> str:
    error = detail["type"]
    key = path[-1] if path else ""
    subject = f"`{key}`" if isinstance(key, str) and key else "this"
    if error == "missing":
        return f"`{unread[-1]}` is missing" + (f" in {subject}" if path else "")
    if error == "extra_forbidden":
        near = nearest(str(key), _known_keys(kind))
        return f"unknown key {subject}" + (f"; did you mean `{near}`?" if near else "")
    if error == "value_error":
        return str(detail["ctx"]["error"])
    if error in _EXPECTED:
        return f"{subject} must be {_EXPECTED[error]}"
    if error == "literal_error":
        return f"{subject} must be {detail['ctx']['expected']}"
    return f"{subject}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_too_short": "a text that is not empty",
}


def _known_keys(kind: str) -> set[str]:
    """Every key that a document of a kind may hold somewhere."""
    made = schema(kind)
    parts = [made, *made.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
