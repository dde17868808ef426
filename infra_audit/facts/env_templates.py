"""Facts about templates of env files: what they declare, what the deployment uses, what differs between environments.

A template is a file beside the Compose files that shows which variables there are: ``.env.example`` and
its like, and ``.env.production`` or ``.env.development`` where they say of themselves that they are one
or leave a credential open.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.errors import InfraAuditError
from infra_audit.facts.credentials import is_credential_name, is_placeholder, looks_real
from infra_audit.facts.registry import Evidence, Fact, Item, Known, fact
from infra_audit.named import NamedTuple
from infra_audit.patterns import Pattern
from infra_audit.readers.env import EnvEntry, read_env
from infra_audit.source import Source, Span

__all__: list[str] = []

_ENVIRONMENT = r"(?:production|prod|staging|stage|development|dev)"
_EXAMPLE = Pattern(
    r"(?P<target>.*?)[._-](?:example|sample|template|tmpl|tpl|dist|defaults?)\Z|(?:example|sample|template|default)\.env\Z",
    hints=("example", "sample", "template", "tmpl", "tpl", "dist", "default"),
)
_NAMED = Pattern(rf"\.env[._-](?P<environment>{_ENVIRONMENT})\Z|(?P<other>{_ENVIRONMENT})\.env\Z", hints=(".env",))
_SAYS_SO = Pattern(r"(?m)^\s*#.*\b(?:template|copy (?:it|this|to)|example|fill (?:it )?in)\b", re.IGNORECASE)
_DECLARED = Pattern(r"(?m)^[ \t]*#?[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_]\w*)[ \t]*=")


class _Template(NamedTuple):
    """A template. ``target``: the file that is made from it; ``environment``: the start of its name, or ""."""

    source: Source
    entries: list[EnvEntry]
    target: str
    environment: str

    @property
    def declared(self) -> set[str]:
        """Keys that it sets, and those that it shows in a comment."""
        return {match["key"] for match in _DECLARED.finditer(self.source.text)} | {entry.key for entry in self.entries}

    @property
    def is_for_compose(self) -> bool:
        """True for a template of the file that Compose takes variables from."""
        return bool(self.environment) or self.target in (".env", "env")


def _templates(deployment: Deployment) -> list[_Template]:
    known = deployment.root.cache.get("(env templates)")
    if not isinstance(known, list):
        known = deployment.root.cache["(env templates)"] = list(_find(deployment))
    return known


def _find(deployment: Deployment) -> Iterator[_Template]:
    reader = deployment.reader
    for name in reader.listing(deployment.folder):
        example, named = _EXAMPLE.match(name), _NAMED.match(name)
        if (example is None and named is None) or "env" not in name.lower():
            continue
        path = os.path.join(deployment.folder, name)
        try:
            source = reader.read(path)
            entries = read_env(source)
        except InfraAuditError:
            continue
        target = ((example["target"] if example else name) or ".env").removeprefix("env") or ".env"
        inner = _NAMED.match(target)
        environment = (inner["environment"] or inner["other"])[:4] if inner else ""
        if example is not None or _is_template(source, entries):
            yield _Template(source, entries, target, environment)


def _is_template(source: Source, entries: list[EnvEntry]) -> bool:
    """True where a file for one environment says that it is a template, or leaves a credential open."""
    head = "\n".join(source.text.split("\n")[:_HEAD])
    open_ones = any(is_credential_name(entry.key) and is_placeholder(entry.value or "") for entry in entries)
    return _SAYS_SO.search(head) is not None or open_ones


_HEAD = 12


# -- what the deployment uses --------------------------------------------------------------------


class _Use(NamedTuple):
    """A variable that a Compose file uses. ``defaulted``: a default stands beside it."""

    name: str
    place: Span
    defaulted: bool


_OUTSIDE = Pattern(
    r"COMPOSE_|DOCKER_|GITHUB_|CI\Z|CI_|BUILDKIT_|HOME\Z|PWD\Z|USER\Z|LOGNAME\Z|PATH\Z|SHELL\Z|HOSTNAME\Z|TMPDIR\Z"
)
"""Variables that Compose, a shell or a build server sets by itself."""
_HOP_KINDS = ("variable", "unset", "required")


def _uses(deployment: Deployment) -> list[_Use]:
    """Each variable of the Compose files at its first use, those without a default first."""
    found: dict[str, _Use] = {}
    for _, node in deployment.tree.walk():
        if not node.hops or any(hop.kind == "env_file" for hop in node.hops):
            continue
        for hop in node.hops:
            name = hop.note.split(" ", 1)[0] if hop.kind in _HOP_KINDS else ""
            if not name or _OUTSIDE.match(name) or "the project's name" in hop.note:
                continue
            defaulted = re.search(rf"\$\{{{re.escape(name)}:?[-+]", node.span.text) is not None
            known = found.get(name)
            if known is None or (known.defaulted and not defaulted):
                found[name] = _Use(name, node.span, defaulted)
    return list(found.values())


@fact("deployment.undeclared_variables", on="deployment")
def undeclared_variables(deployment: Subject) -> Fact[list[Item]]:
    """Variables without a default that none of the templates beside the Compose files declares."""
    templates = [template for template in _templates(deployment.deployment) if template.is_for_compose]
    if not templates:
        return Known([], deployment.node)
    declared = {key for template in templates for key in template.declared}
    names = ", ".join(template.source.path for template in templates)
    uses = [use for use in _uses(deployment.deployment) if not use.defaulted and use.name not in declared]
    return Known([Item(use.name, (Evidence(use.place),), expected=names) for use in uses], deployment.node)


@fact("deployment.is_planned_production", on="deployment")
def is_planned_production(deployment: Subject) -> Fact[bool]:
    """True where an adopted plan judges a deployment whose files are called after production."""
    whole = deployment.deployment
    names = [os.path.basename(name) for name in (*whole.files, *whole.env_files)]
    production = any("prod" in name for name in names)
    return Known(production and whole.plan is not None and bool(whole.plan.adopted), deployment.node)


_READERS = Pattern(
    r".*compose.*\.ya?ml\Z|.*\.(?:sh|bash|mk|conf|tmpl|template|yml|yaml|toml|hcl|py|js|ts|rb|go|php)\Z|(?i:makefile|justfile"
    r"|taskfile.*|dockerfile.*|procfile|jenkinsfile)\Z"
)
_LARGEST = 400_000
_WORD = Pattern(r"[A-Za-z_]\w*")


@fact("deployment.unused_template_keys", on="deployment")
def unused_template_keys(deployment: Subject) -> Fact[list[Item]]:
    """Keys of templates that no Compose file, script or configuration beside them mentions.

    A template for a file that ``env_file`` names, or beside the source of a service that is built, is the
    application's own.
    """
    whole = deployment.deployment
    items: list[Item] = []
    templates = _templates(whole)
    if not templates:
        return Known(items, deployment.node)
    applications = _files_of_applications(whole)
    words = {word for text in _texts_beside(whole) for word in _WORD.findall(text)}
    for template in templates:
        name = os.path.basename(template.source.path)
        if {name, template.target} & applications:
            continue
        unused = [
            entry
            for entry in template.entries
            if not _OUTSIDE.match(entry.key)
            and entry.key not in words
            and not re.search(rf"\$\{{?{re.escape(entry.key)}\b", template.source.text)
        ]
        if unused and _is_build_context(whole):
            why = f"{template.source.path} may be read by the application that is built from its folder"
            items.append(Item(why, (), unknown=True))
            continue
        items += [Item(entry.key, (Evidence(entry.key_span),)) for entry in unused]
    return Known(items, deployment.node)


def _files_of_applications(deployment: Deployment) -> set[str]:
    """Names of the files that services get whole: as their environment, a secret or a config."""
    names: set[str] = set()
    for service in deployment.subjects("service"):
        files = service.node.get("env_file")
        names |= {os.path.basename(str((one.get("path") or one).value)) for one in (files.entries() if files else ())}
    for kind in ("secret", "config"):
        granted = [one.node.get("file") for one in deployment.subjects(kind)]
        names |= {os.path.basename(str(file.value)) for file in granted if file is not None}
    return names


def _texts_beside(deployment: Deployment) -> Iterator[str]:
    """Texts that may use a variable: Compose files, scripts and settings of the folder, and of the folders below it."""
    reader = deployment.reader
    for folder in (deployment.folder, *_folders(deployment)):
        for name in reader.listing(folder):
            path = os.path.join(folder, name)
            if (not _READERS.match(name) and "." in name) or reader.is_folder(path):
                continue
            try:
                text = reader.read(path).text
            except InfraAuditError:
                continue
            if len(text) <= _LARGEST:
                yield text


def _folders(deployment: Deployment) -> Iterator[str]:
    for name in deployment.reader.listing(deployment.folder):
        path = os.path.join(deployment.folder, name)
        if not name.startswith(".") and name not in ("node_modules", "vendor") and deployment.reader.is_folder(path):
            yield path


def _is_build_context(deployment: Deployment) -> bool:
    for service in deployment.subjects("service"):
        context = service.node.get("build", "context")
        if context is not None and f"{deployment.folder}/".startswith(f"{str(context.value).rstrip('/')}/"):
            return True
    return False


@fact("deployment.template_differences", on="deployment")
def template_differences(deployment: Subject) -> Fact[list[Item]]:
    """Keys that the template of one environment declares and that of another lacks.

    A key that only a later Compose file uses belongs to the environment that adds the file.
    """
    whole = deployment.deployment
    templates = [template for template in _templates(whole) if template.environment]
    if len(templates) < _PAIR:
        return Known([], deployment.node)
    base = os.path.abspath(whole.files[0]) if whole.files else ""
    words = set(_WORD.findall(whole.reader.read(base).text)) if base and whole.reader.exists(base) else set()
    used = {use.name: use for use in _uses(whole)}
    items: list[Item] = []
    for template in templates:
        for entry in template.entries:
            lacking = [other.source.path for other in templates if entry.key not in other.declared]
            elsewhere = entry.key in used and entry.key not in words
            if not lacking or elsewhere or _OUTSIDE.match(entry.key):
                continue
            if entry.key in used and used[entry.key].defaulted:
                continue
            items.append(Item(entry.key, (Evidence(entry.key_span),), expected=", ".join(lacking)))
    return Known(items, deployment.node)


_PAIR = 2


@fact("deployment.template_secrets", on="deployment")
def template_secrets(deployment: Subject) -> Fact[list[Item]]:
    """Values in templates that are surely real secrets: known tokens, chance under the name of a credential."""
    items = [
        Item(entry.key, (Evidence(entry.span),))
        for template in _templates(deployment.deployment)
        for entry in template.entries
        if entry.value and looks_real(entry.key, entry.value)
    ]
    return Known(items, deployment.node)
