"""Files to one canonical tree: documents read, interpolated, decoded, extended, included, merged.

The order is Compose's own: each document by itself is interpolated, extended and given what it
includes, and then laid on what the documents before it gave.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from infra_audit.compose.complete import complete
from infra_audit.compose.decode import decode
from infra_audit.compose.environment import read_variables
from infra_audit.compose.interpolate import Variables, interpolate_tree
from infra_audit.compose.merge import merge, settle
from infra_audit.compose.paths import absolute, relative_files, resolve_merged, resolve_paths, resolve_service
from infra_audit.compose.problems import Path, Problems, dotted
from infra_audit.compose.schema import PROJECT, SERVICE
from infra_audit.compose.shape import Table
from infra_audit.deployment import Files
from infra_audit.errors import ReadError
from infra_audit.finding import Related
from infra_audit.named import NamedTuple, field, record
from infra_audit.patterns import Pattern
from infra_audit.readers.yaml import YamlDocument, read_documents
from infra_audit.source import Hop, Source, Span
from infra_audit.tree import HOLE, Node

__all__ = ["Assembler", "Context"]

_REMOTE = Pattern(r"[a-z][a-z0-9+.-]*://|git@|github\.com/", hints=("://", "git@", "github.com/"))
_SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


@record
class Context:
    """What all files of one deployment share."""

    reader: Files
    strict: bool
    problems: Problems = field(default_factory=Problems)
    unset: dict[str, list[Span]] = field(default_factory=dict)
    required: dict[str, Span] = field(default_factory=dict)
    env_files: list[str] = field(default_factory=list)
    _documents: dict[str, list[YamlDocument]] = field(default_factory=dict)

    def documents(self, source: Source) -> list[YamlDocument]:
        """The documents of a file, which is parsed once."""
        known = self._documents.get(source.location)
        if known is None:
            known = self._documents[source.location] = read_documents(source)
        return known


class _Step(NamedTuple):
    """A service in a file on the way along `extends`."""

    location: str
    service: str


class Assembler:
    """Reads Compose files with one set of variables and one folder for relative paths."""

    def __init__(self, context: Context, folder: str, variables: Variables) -> None:
        self.context = context
        self.problems = context.problems
        self.folder = folder
        self.variables = variables

    def files(self, locations: Sequence[str], including: tuple[str, ...] = ()) -> Node:
        """The canonical tree of files merged in order. Raises ReadError where one cannot be read."""
        merged: Node | None = None
        includes = False
        for location in locations:
            source = self.context.reader.read(location)
            for root in self._roots(source):
                document = self._document(root, source, including)
                if merged is not None:
                    merged = merge(merged, document, PROJECT, (), self.problems)
                else:
                    merged = settle(document) if "!reset" in source.text else document
                if self.problems.unfinished:
                    merged = complete(merged, PROJECT, (), self.problems) or merged
                includes = includes or root.get("include", 0) is not None
        nothing = merged is None or not (includes or merged.value.keys() - {"version", "include"})
        if merged is None or (nothing and not self.problems.refuses):
            source = self.context.reader.read(locations[-1])
            raise ReadError("is empty: no services stand in it", file=source.path, line=1, column=1)
        return resolve_merged(merged, self.folder)

    # -- one document -----------------------------------------------------------------------------

    def _roots(self, source: Source) -> list[Node]:
        """The documents of a file, interpolated."""
        roots = []
        documents = self.context.documents(source)
        for document in documents:
            if document.root is None:
                if len(documents) > 1:
                    self.problems.refuse(source.top, (), "a document of the file is empty; take its --- out")
                continue
            self._report(document)
            if not document.root.is_mapping:
                kind = "a list" if document.root.is_list else "a lone value"
                raise _at(document.root.span, f"the top level must be a mapping, not {kind}")
            roots.append(self._interpolated(document.root))
        return roots

    def _report(self, document: YamlDocument) -> None:
        root = document.root
        services = root.get("services") if root else None
        names = [child.key for _, child in services.items()] if services else []
        for issue in document.issues:
            if issue.kind == "key-type" and issue.span in names:
                raise _at(issue.span, f"{issue.message} (a service name)")
            related = (Related(issue.first, "first given here"),) if issue.first else ()
            self.problems.add("invalid", issue.message, issue.span, (), *related)

    def _interpolated(self, root: Node) -> Node:
        context = self.context

        def refuse(node: Node, path: Path, message: str) -> None:
            context.problems.refuse(node, path, f"{dotted(path)}: {message}")

        def tell(node: Node, hops: Sequence[Hop]) -> None:
            for hop in hops:
                if hop.kind == "unset":
                    context.unset.setdefault(hop.note, []).append(node.span)
                elif hop.kind == "required":
                    context.required.setdefault(hop.note, node.span)

        return interpolate_tree(root, self.variables, strict=context.strict, refuse=refuse, tell=tell)

    def _document(self, root: Node, source: Source, including: tuple[str, ...]) -> Node:
        self._refuse_version_1(root)
        tree = decode(root, PROJECT, (), self.problems) or root.with_value({})
        tree = resolve_paths(tree, self.folder)
        if (version := tree.get("version")) is not None:
            self.problems.add("obsolete", "the key version is obsolete and ignored", version.key or version)
        tree = self._extended(tree, source)
        return self._included(tree, (*including, source.location))

    def _refuse_version_1(self, root: Node) -> None:
        if "services" in root.value or not root.value:
            return
        services = [
            child
            for key, child in root.items()
            if key not in PROJECT.fields and (child.get("image") or child.get("build"))
        ]
        if services:
            raise _at(root.span, "this is a Compose file of version 1: services must stand below the key services")

    # -- extends ----------------------------------------------------------------------------------

    def _extended(self, tree: Node, source: Source) -> Node:
        services = tree.get("services")
        if services is None or not services.is_mapping:
            return tree
        if not any("extends" in service.value for _, service in services.items() if service.is_mapping):
            return tree
        done = {name: self._service(name, services.value, source.location, self.folder, ()) for name in services.value}
        return tree.with_value(tree.value | {"services": services.with_value(done)})

    def _service(
        self, name: str, services: Mapping[str, Node], location: str, folder: str, way: tuple[_Step, ...]
    ) -> Node:
        """A service with what it extends, along the whole way."""
        service = services[name]
        extends = service.get("extends")
        if extends is None:
            return service
        step = _Step(location, name)
        if step in way:
            chain = " → ".join(entry.service for entry in (*way, step))
            raise _at(extends.place, f"extends runs in a circle: {chain}")
        self._pass_over(extends, ("service", "file"), ("services", name, "extends"))
        own = service.with_value({key: child for key, child in service.value.items() if key != "extends"})
        base_name, file = self._target(name, extends)
        base_services, base_location, base_folder = services, location, folder
        if file is not None:
            if _REMOTE.match(file.value):
                self.problems.add(
                    "gap", f"{file.value} is not read: it is not on this machine", file, ("services", name)
                )
                return own
            base_location = absolute(file.value, folder)
            base_folder = os.path.dirname(base_location)
            base_services = self._services_of(base_location, file, base_folder, base_name)
        if base_name not in base_services:
            raise _at(
                (extends.get("service") or extends).place, f"service {name} extends {base_name}, which does not exist"
            )
        base = self._service(base_name, base_services, base_location, base_folder, (*way, step))
        if not base.is_mapping:
            return own
        hop = Hop("extends", f"service {base_name}", extends.place)
        inherited = base.with_value({key: child.with_hops(hop) for key, child in base.value.items()})
        merged = merge(inherited, own, SERVICE, ("services", name), self.problems)
        return Node(merged.value, service.span, service.key, service.hops, service.tag)

    def _target(self, name: str, extends: Node) -> tuple[str, Node | None]:
        if type(extends.value) is str:
            return extends.value, None
        base, file = extends.get("service"), extends.get("file")
        if base is None or type(base.value) is not str:
            raise _at(extends.place, f"services.{name}.extends must name a service")
        if file is not None and type(file.value) is not str:
            raise _at(file.place, f"services.{name}.extends.file must be text")
        return base.value, file

    def _services_of(self, location: str, named: Node, folder: str, wanted: str) -> dict[str, Node]:
        """The services of a file that is extended. Only what is wanted is checked; the file need not stand alone."""
        try:
            source = self.context.reader.read(location)
        except ReadError as error:
            raise _at(named.place, f"extends the file {named.value}, which cannot be read: {error.message}") from None
        found: dict[str, Node] = {}
        for root in self._roots(source):
            services = root.get("services")
            if services is None or not services.is_mapping:
                continue
            for name in self._needed(wanted, services.value):
                decoded = decode(services.value[name], SERVICE, ("services", name), self.problems)
                if decoded is None:
                    continue
                decoded = relative_files(resolve_service(decoded, folder), folder, self.folder)
                found[name] = (
                    merge(found[name], decoded, SERVICE, ("services", name), self.problems)
                    if name in found
                    else settle(decoded)
                )
        return found

    def _needed(self, wanted: str, services: Mapping[str, Node]) -> list[str]:
        """The wanted service and those of the same file that it extends in turn."""
        needed: list[str] = []
        while wanted in services and wanted not in needed:
            needed.append(wanted)
            extends = services[wanted].get("extends")
            if extends is None or (extends.is_mapping and extends.get("file") is not None):
                break
            following = extends if extends.is_scalar else extends.get("service")
            wanted = str(following.value) if following is not None else ""
        return needed

    # -- include ----------------------------------------------------------------------------------

    def _included(self, tree: Node, including: tuple[str, ...]) -> Node:
        include = tree.get("include")
        if include is None or include.value is None:
            return tree
        if not include.is_list:
            raise _at(include.place, "include must be a list")
        sections = {key: child for key, child in tree.value.items() if key != "include"}
        for entry in include.value:
            brought = self._include(entry, including)
            if brought is not None:
                self._import(sections, brought, entry)
        return tree.with_value(sections)

    def _pass_over(self, node: Node, known: tuple[str, ...], path: Path) -> None:
        """Tell of the keys of a mapping that Compose passes over."""
        for key, child in node.items():
            if key not in known and not key.startswith("x-"):
                self.problems.add("unknown-key", f"{dotted(path)}: Compose passes over {key}", child.key or child, path)

    def _include(self, entry: Node, including: tuple[str, ...]) -> Node | None:
        self._pass_over(entry, ("path", "project_directory", "env_file"), ("include",))
        paths = _texts(entry if entry.is_scalar else entry.get("path"), entry, "include.path")
        for path in paths:
            if _REMOTE.match(path.value):
                self.problems.add("gap", f"the include of {path.value} is not fetched from the network", path)
                return None
            if HOLE in path.value:
                self.problems.add("gap", f"the include is not decided: {path.why_unknown()}", path)
                return None
        locations = [absolute(path.value, self.folder) for path in paths]
        given = entry.get("project_directory")
        folder = absolute(str(given.value), self.folder) if given is not None else os.path.dirname(locations[0])
        if locations[0] in including:
            chain = " → ".join(os.path.basename(location) for location in (*including, locations[0]))
            raise _at(entry.place, f"include runs in a circle: {chain}")
        env_files = entry.get("env_file")
        env_locations = (
            [absolute(node.value, self.folder) for node in _texts(env_files, entry, "include.env_file")]
            if env_files is not None
            else [path for path in (os.path.join(folder, ".env"),) if os.path.isfile(path)]
        )
        try:
            variables = read_variables(self.context.reader, env_locations, self.variables)
        except ReadError as error:
            if error.line:
                raise
            raise _at(entry.place, f"includes with {error.file}, which cannot be read: {error.message}") from None
        self.context.env_files.extend(env_locations)
        assembler = Assembler(self.context, folder, variables)
        try:
            return assembler.files(locations, including)
        except ReadError as error:
            if error.line:
                raise
            raise _at(entry.place, f"includes {error.file}, which cannot be read: {error.message}") from None

    def _import(self, sections: dict[str, Node], brought: Node, entry: Node) -> None:
        hop = Hop("include", str(entry.value) if entry.is_scalar else "", entry.place)
        for section in _SECTIONS:
            new = brought.get(section)
            if new is None or not new.is_mapping:
                continue
            here = sections.get(section)
            children: dict[str, Node] = dict(here.value) if here is not None and here.is_mapping else {}
            for name, child in new.value.items():
                own = children.get(name)
                if own is None:
                    children[name] = child.with_hops(hop)
                elif own.data() != child.data():
                    related = Related(child.place, "the included one is here")
                    message = f"{section}.{name} changes what is included; Compose accepts that only after 2.40"
                    self.problems.add("version-needed", message, own.key or own, (section, name), related)
                    shape = PROJECT.fields[section]
                    assert isinstance(shape, Table)
                    children[name] = merge(child, own, shape.value, (section, name), self.problems)
            sections[section] = (here or new).with_value(children)


def _texts(node: Node | None, entry: Node, what: str) -> list[Node]:
    """The texts of a value that may be one text or a list of them."""
    nodes = [] if node is None else node.entries() or [node]
    for item in nodes:
        if type(item.value) is not str:
            raise _at(item.place, f"{what} must be text")
    if not nodes:
        raise _at(entry.place, f"{what} is missing")
    return nodes


def _at(span: Span, message: str) -> ReadError:
    return ReadError(message, file=span.source.path, line=span.line, column=span.column)
