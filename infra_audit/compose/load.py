"""Compose files to a deployment: the whole way, from names of files to the effective tree."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from infra_audit.compose.assemble import Assembler, Context
from infra_audit.compose.consistency import check_consistency
from infra_audit.compose.environment import read_variables, resolve_environment
from infra_audit.compose.implied import imply
from infra_audit.compose.interpolate import TemplateError, Variable, substitute
from infra_audit.deployment import Deployment, Files
from infra_audit.errors import ReadError
from infra_audit.source import Source, Span, display_path
from infra_audit.tree import HOLE, Node

__all__ = ["load"]

_NAME_CHARACTERS = re.compile(r"[^a-z0-9_-]")


def load(
    files: Sequence[str],
    *,
    profiles: Sequence[str] = ("*",),
    env_files: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    folder: str | None = None,
    name: str | None = None,
    strict: bool = False,
    reader: Files | None = None,
) -> Deployment:
    """The deployment that these files make, merged in order.

    ``profiles``: those that are active; "*" is all. ``env_files``: instead of the `.env` beside the
    first file. ``environ``: variables that win over env files. ``folder``: the project directory,
    else that of the first file. ``strict``: unset variables are blank and what Compose refuses is
    raised, as Compose does; else they are unknown and problems are collected.

    Raises ReadError where a file cannot be read as a part of a deployment.
    """
    if not files:
        raise ReadError("no Compose file is given")
    reader = reader or Files()
    locations = [os.path.abspath(file) for file in files]
    project = os.path.abspath(folder) if folder else os.path.dirname(locations[0])
    outer = {key: Variable(value, None, "the environment") for key, value in (environ or {}).items()}
    own_env_files = _env_files(env_files, project)
    context = Context(reader, strict, env_files=list(own_env_files))
    variables = read_variables(reader, context.env_files, outer)
    label = _project_name(name, locations, project, variables, context)
    variables.setdefault("COMPOSE_PROJECT_NAME", Variable(str(label.value), label.span, "the project's name"))
    if not profiles and "COMPOSE_PROFILES" in variables:
        profiles = [part for part in variables["COMPOSE_PROFILES"].value.split(",") if part]

    tree = Assembler(context, project, variables).files(locations)
    context.problems.refuse_late(tree)
    every = frozenset(name for name, _ in services.items()) if (services := tree.get("services")) else frozenset()
    tree = _active(tree, profiles)
    tree = imply(tree, label)
    check_consistency(tree, every, context.problems)
    services = tree.get("services")
    if services is not None and services.is_mapping:
        resolved = {
            key: resolve_environment(node, key, variables, reader, context.problems, strict)
            if node.is_mapping
            else node
            for key, node in services.value.items()
        }
        tree.value["services"] = services.with_value(resolved)
    for variable, span in context.required.items():
        context.problems.add("gap", f"the required variable {variable} has no value here", span)
    if strict:
        context.problems.raise_first()
    return Deployment(
        name=str(label.value),
        source="files",
        files=tuple(display_path(location) for location in locations),
        folder=project,
        tree=tree,
        problems=context.problems.found(),
        unset=context.unset,
        env_files=tuple(map(display_path, context.env_files)),
        own_env_files=tuple(map(display_path, own_env_files)),
        profiles=tuple(profiles),
        reader=reader,
    )


def _env_files(given: Sequence[str], project: str) -> list[str]:
    if given:
        return [os.path.abspath(path) for path in given]
    usual = os.path.join(project, ".env")
    return [usual] if os.path.isfile(usual) else []


def _project_name(
    given: str | None, locations: Sequence[str], project: str, variables: Mapping[str, Variable], context: Context
) -> Node:
    """The project's name: given, from COMPOSE_PROJECT_NAME, from the last file that has one, or the folder's."""
    nowhere = Span(Source(display_path(project), ""), 1, 1, 1, 1)
    variable = variables.get("COMPOSE_PROJECT_NAME")
    if given or (variable is not None and variable.value):
        text = given or (variable.value if variable else "")
        if normalize_name(text) != text:
            raise ReadError(
                f"{text!r} is no project name: small letters, digits, - and _ only, a letter or digit first"
            )
        return Node(text, nowhere)
    found = None
    for location in locations:
        for document in context.documents(context.reader.read(location)):
            node = document.root.get("name") if document.root is not None else None
            if node is not None and isinstance(node.value, str) and node.value:
                found = node
    if found is None:
        return Node(normalize_name(os.path.basename(project)), nowhere)
    try:
        text, hops = substitute(found.value, variables, blank=HOLE, demand=False)
    except TemplateError:
        return found
    if HOLE in text:
        return Node(normalize_name(os.path.basename(project)), found.span, found.key, tuple(hops))
    if not normalize_name(text):
        span = found.span
        message = f"{text!r} is no project name: it has no letter and no digit"
        raise ReadError(message, file=span.source.path, line=span.line, column=span.column)
    return found.with_value(normalize_name(text), *hops)


def normalize_name(text: str) -> str:
    """A project name from a folder's name, as Compose makes it."""
    return _NAME_CHARACTERS.sub("", text.lower()).lstrip("_-")


def _active(tree: Node, profiles: Sequence[str]) -> Node:
    """The tree with the services of the active profiles only."""
    services = tree.get("services")
    if "*" in profiles or services is None or not services.is_mapping:
        return tree
    wanted = set(profiles)
    kept = {}
    for name, service in services.value.items():
        own = service.get("profiles")
        names = {node.value for node in own.entries()} if own is not None else set()
        if not names or names & wanted:
            kept[name] = service
    return (
        tree
        if len(kept) == len(services.value)
        else tree.with_value({**tree.value, "services": services.with_value(kept)})
    )
