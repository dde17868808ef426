"""What a request names, opened: files on disk to deployments.

An *opener* finds what there is to audit and gives it as *openings* in groups, each under its own configuration.
None of them is read yet, so that their number is known and several cores can read them. ``open_files`` is the opener
for files on disk; a running engine is another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from infra_audit.deployment import Deployment, Files
from infra_audit.engine.config import Config, DeploymentConfig, Rule, find_config, read_config
from infra_audit.errors import InfraAuditError, LeftOut, ReadError
from infra_audit.named import NamedTuple
from infra_audit.source import display_path

if TYPE_CHECKING:  # few runs need them
    from infra_audit.baseline import Baseline
    from infra_audit.changes import Changes

__all__ = ["Group", "Opened", "Opener", "Opening", "Request", "by_config", "from_files", "open_files"]


class Request(NamedTuple):
    """What to audit.

    ``paths``: files and folders to find deployments in; ``files``: instead, the files of one
    deployment, in merge order. ``profiles``: active profiles, None for all. ``environ``: variables
    that win over env files. ``plan``: a plan's name, file, or "none"; None lets the configuration and
    the deployment decide. ``policies``: only these, also where they are off by default.
    ``config``: a configuration file instead of the one that is found. ``baseline``: the findings that
    are known. ``changes``: only findings on these lines are wanted.
    """

    paths: tuple[str, ...] = (".",)
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] | None = None
    environ: Mapping[str, str] | None = None
    folder: str | None = None
    name: str | None = None
    plan: str | None = None
    policies: tuple[str, ...] = ()
    config: str | None = None
    use_config: bool = True
    baseline: Baseline | None = None
    changes: Changes | None = None


class Opened(NamedTuple):
    """A deployment that was opened, or the error that it gave, with what the configuration says about it."""

    name: str
    result: Deployment | InfraAuditError
    notes: tuple[str, ...] = ()
    plan: str | None = None
    rules: tuple[Rule, ...] = ()
    files: tuple[str, ...] = ()

    def open(self) -> Opened:
        return self


class Opening(Protocol):
    """Something to audit that may not be read yet."""

    def open(self) -> Opened: ...


class Group(NamedTuple):
    """What lies under one configuration, and the part of the request that speaks about it."""

    config: Config
    request: Request
    openings: Iterable[Opening]


Opener: TypeAlias = Callable[[Request], Iterable[Group]]


def open_files(request: Request) -> Iterator[Group]:
    """The files on disk that a request names, each group under the configuration that is found for it."""
    for config, part in by_config(request):
        yield Group(config, part, from_files(part, config))


def by_config(request: Request) -> Iterator[tuple[Config, Request]]:
    """The request in parts, each under its own configuration."""
    if request.config is not None:
        yield read_config(request.config), request
        return
    if not request.use_config:
        yield Config(), request
        return
    if request.files or not request.paths:
        found = find_config(request.files[0] if request.files else ".")
        yield (read_config(found) if found else Config()), request
        return
    groups: dict[str | None, list[str]] = {}
    for path in request.paths:
        groups.setdefault(find_config(path), []).append(path)
    for file, paths in groups.items():
        yield (read_config(file) if file else Config()), request._replace(paths=tuple(paths))


def from_files(request: Request, config: Config) -> Iterator[Opening]:
    """Opens the `-f` files, the deployments that the configuration names, or all that are found."""
    from infra_audit.compose import survey

    if request.files:
        yield _Composed(request, request.files, _named(config, request.files))
        return
    paths, lonely = _apart(request.paths)
    if lonely:
        yield from _open_mounting(request, config, lonely)
        if not paths:
            return
    named = _under(config, paths)
    if named:
        for entry in named:
            yield _Composed(request, entry.files, entry)
        return
    opened: set[tuple[str, ...]] = set()
    for path in paths:
        specs = survey([path])
        if not specs:
            yield from _open_folder(request, config, path)
        for spec in specs:
            if spec.files not in opened:
                opened.add(spec.files)
                if spec.part:
                    yield Opened("", LeftOut(f"left out: {spec.part}", file=display_path(spec.files[-1])))
                    continue
                yield _Composed(request, spec.files, None, spec.variant, spec.notes)


def _apart(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths that may lead to Compose files, and the rule files, dashboards and configurations among the others."""
    lonely: list[str] = []
    for path in paths:
        if "compose" not in os.path.basename(path) and os.path.isfile(path):
            from infra_audit.mounted import monitoring_files

            lonely += monitoring_files(path)
    named = set(lonely)
    return [path for path in paths if os.path.abspath(path) not in named], lonely


def _open_folder(request: Request, config: Config, path: str) -> Iterator[Opening]:
    """What a folder without a Compose file holds: rules and dashboards, or nothing, which is an error."""
    from infra_audit.mounted import monitoring_files

    found = monitoring_files(path) if os.path.isdir(path) else []
    if found:
        yield from _open_mounting(request, config, found)
    else:
        yield Opened("", ReadError("no Compose file found here", file=display_path(path)))


def _open_mounting(request: Request, config: Config, lonely: Sequence[str]) -> Iterator[Opening]:
    """The deployments that mount files which were named by themselves; the files alone where none does."""
    from infra_audit.mounted import by_themselves, mounting

    entries = {entry.files: entry for entry in config.deployments}
    found = mounting(lonely, entries)
    specs = {spec.files: spec for specs in found.values() for spec in specs}
    for files, spec in specs.items():
        parts = [display_path(location) for location, specs in found.items() if spec in specs]
        shown = parts[0] if len(parts) == 1 else f"{parts[0]} and {len(parts) - 1} more"
        notes = (*spec.notes, f"{shown}: mounted here")
        yield _Composed(request, files, entries.get(files), spec.variant, notes)
    alone = [location for location, specs in found.items() if not specs]
    if alone:
        deployment = by_themselves(alone)
        yield Opened(deployment.name, deployment, ("no Compose file here mounts them: judged by themselves",))


class _Composed(NamedTuple):
    """The files of one deployment; what the command line says wins over what the configuration says."""

    request: Request
    files: Sequence[str]
    entry: DeploymentConfig | None
    variant: str = ""
    notes: tuple[str, ...] = ()

    def open(self) -> Opened:
        from infra_audit.compose import load

        request, files, entry, variant, notes = self
        env_files = request.env_files or (entry.env_files if entry else ())
        profiles = request.profiles if request.profiles is not None else (entry.profiles if entry else None)
        plan, rules = (entry.plan, entry.rules) if entry else (None, ())
        try:
            deployment = load(
                files,
                profiles=("*",) if profiles is None else profiles,
                env_files=env_files,
                environ=request.environ,
                folder=request.folder,
                name=request.name,
                reader=Files(),
            )
        except InfraAuditError as error:
            shown = tuple(map(display_path, files))
            return Opened(entry.name if entry else _label(files, variant), error, notes, plan, rules, shown)
        if entry is not None:
            deployment.name = entry.name
        elif variant:
            deployment.name = f"{deployment.name} ({variant})"
        said = dict.fromkeys((*notes, *deployment.notes))
        if not said and len(deployment.files) > 1:
            said[f"merged {' + '.join(deployment.files)}"] = None
        return Opened(deployment.name, deployment, tuple(said), plan, rules)


def _label(files: Sequence[str], variant: str) -> str:
    """A name for what could not be read."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(files[0])))
    return f"{folder} ({variant})" if variant else folder


def _named(config: Config, files: Sequence[str]) -> DeploymentConfig | None:
    """What the configuration says about exactly these files."""
    wanted = tuple(os.path.abspath(file) for file in files)
    return next((entry for entry in config.deployments if entry.files == wanted), None)


def _under(config: Config, paths: Iterable[str]) -> list[DeploymentConfig]:
    """The deployments of the configuration that lie in the paths or are made of them."""
    tops = [os.path.abspath(path) for path in paths]

    def touches(entry: DeploymentConfig) -> bool:
        return any(file == top or file.startswith(top.rstrip(os.sep) + os.sep) for file in entry.files for top in tops)

    return [entry for entry in config.deployments if touches(entry)]
