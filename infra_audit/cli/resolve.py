"""``infra-audit resolve``: the effective deployment, as ``docker compose config`` prints it."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import click

from infra_audit.audit import Request
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.options import PATH, format_option, request_options
from infra_audit.cli.output import write
from infra_audit.compose import discover, load, usual
from infra_audit.compose.canonical import canonical
from infra_audit.errors import UsageError
from infra_audit.source import display_path

__all__ = ["command"]


@click.command("resolve", short_help=COMMANDS["resolve"])
@click.argument("path", required=False, type=PATH)
@request_options(config=False)
@format_option("json", "yaml")
def command(path: str | None, request: Request, form: str) -> None:
    """Print the effective deployment in Docker Compose's canonical form: what `docker compose config` prints.

    Without PATH and -f it takes the files that Compose would take here. What Compose refuses is refused,
    with the place. The output is complete: it holds the secrets that the files hold.
    """
    files = _files(path, request)
    deployment = load(
        files,
        profiles=request.profiles or (),
        env_files=request.env_files or _usual_env_files(path, request, files),
        environ=request.environ,
        folder=request.folder,
        name=request.name,
        strict=True,
    )
    data = canonical(deployment)
    write(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n" if form == "json" else _yaml(data))


def _files(path: str | None, request: Request) -> tuple[str, ...]:
    if path is None:
        spec = None if request.files else usual(request.folder or ".", request.environ)
        files = request.files or (spec.files if spec else ())
        if not files:
            raise UsageError("no Compose file found here or above")
        return files
    if request.files:
        raise UsageError("name the files either with -f or as PATH, not both")
    found = discover([path])
    if len(found) == 1:
        return found[0].files
    if not found:
        raise UsageError("no Compose file found here", file=display_path(path))
    listed = "; ".join(" ".join(map(display_path, spec.files)) for spec in found[:5])
    raise UsageError(f"there are {len(found)} deployments here, name the files of one with -f: {listed}")


def _usual_env_files(path: str | None, request: Request, files: tuple[str, ...]) -> tuple[str, ...]:
    """Where Compose found the files itself: the `.env` beside them, and over it that of the working directory."""
    if path is not None or request.files:
        return ()
    project = request.folder or os.path.dirname(files[0])
    folders = dict.fromkeys((os.path.abspath(project), os.path.abspath(request.folder or ".")))
    return tuple(file for folder in folders if os.path.isfile(file := os.path.join(folder, ".env")))


_SAFE_PLAIN = re.compile(r"[A-Za-z/][\w./-]*\Z", re.ASCII)
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null"))


def _yaml(data: Any) -> str:
    """YAML in which a text stays a text for readers of YAML 1.1 and of YAML 1.2."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        plain = _SAFE_PLAIN.match(value) and value.lower() not in _WORDS
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')

    Dumper.add_representer(str, text)
    rendered: str = yaml.dump(data, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=4096)
    return rendered
