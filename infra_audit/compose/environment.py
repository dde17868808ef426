"""Variables for interpolation, and the environment that services get from their env files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra_audit.compose.interpolate import TemplateError, Variable, Variables, substitute
from infra_audit.compose.problems import Problems
from infra_audit.deployment import Files
from infra_audit.errors import ReadError
from infra_audit.readers.env import EnvEntry, read_env
from infra_audit.source import Hop, Source
from infra_audit.tree import HOLE, Node

__all__ = ["read_variables", "resolve_environment"]


def read_variables(reader: Files, locations: Sequence[str], outer: Variables) -> dict[str, Variable]:
    """The variables of env files, later files winning, and ``outer`` winning over all."""
    found: dict[str, Variable] = {}
    for location in locations:
        source = reader.read(location)
        for entry in read_env(source):
            if entry.value is None:
                if entry.key in outer:
                    found[entry.key] = outer[entry.key]
                continue
            value = _value(entry, source, {**found, **outer}, blank="")[0]
            found[entry.key] = Variable(value, entry.span, f"{source.path}:{entry.span.line}")
    return {**found, **outer}


def _value(entry: EnvEntry, source: Source, variables: Mapping[str, Variable], *, blank: str) -> tuple[str, list[Hop]]:
    assert entry.value is not None
    if not entry.template or "$" not in entry.value:
        return entry.value, []
    try:
        return substitute(entry.value, variables, blank=blank, demand=not blank)
    except TemplateError as error:
        message = f"the value of {entry.key} is no valid template"
        if error.required:
            message = f"{entry.key} needs {error.required}, which has no value"
        span = entry.span
        raise ReadError(message, file=source.path, line=span.line, column=span.column) from None


def resolve_environment(
    service: Node, name: str, variables: Variables, reader: Files, problems: Problems, strict: bool
) -> Node:
    """The service with its env files' entries in `environment` (and label files' in `labels`).

    A name without a value takes the variable of that name, if there is one. What `environment`
    says wins over the files, and a later file over an earlier one.
    """
    fields = dict(service.value)
    environment = service.get("environment")
    if environment is not None and environment.is_mapping:
        fields["environment"] = environment.with_value(
            {key: _inherited(key, node, variables) for key, node in environment.value.items()}
        )
    args = service.get("build", "args")
    if args is not None and args.is_mapping:
        known = {key: _inherited(key, node, variables) for key, node in args.value.items()}
        taken = args.with_value({key: node for key, node in known.items() if node.value is not None})
        fields["build"] = fields["build"].with_value({**fields["build"].value, "args": taken})
    for files_key, target_key in (("env_file", "environment"), ("label_file", "labels")):
        files = service.get(files_key)
        if files is None or not files.is_list:
            continue
        target = fields.get(target_key)
        own: dict[str, Node] = target.value if target is not None and target.is_mapping else {}
        brought = _from_files(files, name, own, variables, reader, problems, strict)
        if brought or own:
            base = target or Node({}, files.span, files.key)
            fields[target_key] = base.with_value({**brought, **own})
    return service.with_value(fields)


def _inherited(key: str, node: Node, variables: Variables) -> Node:
    if node.value is not None or key not in variables:
        return node
    variable = variables[key]
    return node.with_value(variable.value, Hop("variable", f"{key} from {variable.note}", variable.span))


def _from_files(
    files: Node,
    name: str,
    own: Mapping[str, Node],
    variables: Variables,
    reader: Files,
    problems: Problems,
    strict: bool,
) -> dict[str, Node]:
    lookup = {
        key: Variable(node.value, node.span, "environment") for key, node in own.items() if isinstance(node.value, str)
    } | dict(variables)
    found: dict[str, Node] = {}
    seen: dict[str, Variable] = {}
    for entry in files.value:
        path = entry.get("path") or entry
        if type(path.value) is not str or HOLE in path.value:
            continue
        required = entry.get("required")
        try:
            if not reader.exists(path.value):
                if required is None or required.value is not False:
                    _missing(path, name, problems)
                continue
            source = reader.read(path.value)
            entries = read_env(source) if _format(entry) != "raw" else _raw(source)
        except ReadError as error:
            problems.add("env-file-invalid", f"services.{name}: {error}", path, ("services", name))
            continue
        hop = Hop("env_file", source.path, path.span)
        for item in entries:
            if item.value is None:
                if item.key in lookup:
                    variable = lookup[item.key]
                    found[item.key] = Node(variable.value, item.span, item.key_span, (hop,))
                continue
            try:
                value, hops = _value(item, source, {**seen, **lookup}, blank="" if strict else HOLE)
            except ReadError as error:
                problems.add("env-file-invalid", f"services.{name}: {error}", item.span, ("services", name))
                continue
            seen[item.key] = Variable(value, item.span, source.path)
            found[item.key] = Node(value, item.span, item.key_span, (*hops, hop))
    return found


def _missing(path: Node, name: str, problems: Problems) -> None:
    problems.add(
        "env-file-missing", f"services.{name}: the env file {path.value} does not exist", path, ("services", name)
    )


def _format(entry: Node) -> str:
    given = entry.get("format")
    return str(given.value) if given is not None else ""


def _raw(source: Source) -> list[EnvEntry]:
    """`format: raw`: KEY=VALUE lines taken letter by letter."""
    found = []
    at = 0
    for line in source.text.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        key, equals, value = body.partition("=")
        if body.strip() and not body.lstrip().startswith("#"):
            key_span = source.span(at, at + len(key))
            span = source.span(at + len(key) + 1, at + len(body)) if equals else key_span
            found.append(EnvEntry(key.strip(), value if equals else None, False, key_span, span))
        at += len(line)
    return found
