"""Options that several commands share, so that each means the same everywhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from infra_audit.audit import Request

__all__ = ["color_options", "config_option", "format_option", "plan_option", "request_options"]

Function = TypeVar("Function", bound=Callable[..., Any])

_FILE = click.Path(path_type=str, readable=False)

config_option = click.option(
    "--config",
    type=_FILE,
    metavar="FILE",
    help="Configuration instead of the .infra-audit.yaml that is found from the checked path upwards.",
)

plan_option = click.option(
    "--plan",
    metavar="NAME|FILE|none",
    help="Judge against this plan, or against none. Default: the configuration and the deployment decide.",
)


def format_option(*formats: str) -> Callable[[Function], Function]:
    """--format, the first one is the default; the function gets ``form``."""
    return click.option(
        "--format", "form", type=click.Choice(formats), default=formats[0], show_default=True, help="How to print."
    )


def color_options(function: Function) -> Function:
    """--color/--no-color and --width; the function gets ``color`` and ``width``."""
    function = click.option(
        "--width", type=click.IntRange(40), help="Columns to fill. Default: the terminal's, else 100."
    )(function)
    return click.option(
        "--color/--no-color",
        default=None,
        help="Colours. Default: NO_COLOR and FORCE_COLOR, else on a terminal only.",
    )(function)


def request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """-f, --env-file, --profile, --environ, --config; the function gets them as ``request``."""

    @functools.wraps(function)
    def with_request(
        *args: Any,
        file: tuple[str, ...],
        env_file: tuple[str, ...],
        profile: tuple[str, ...],
        environ: bool,
        config: str | None,
        **kwargs: Any,
    ) -> Any:
        request = Request(
            files=file,
            env_files=env_file,
            profiles=profile or None,
            environ=dict(os.environ) if environ else None,
            config=config,
        )
        return function(*args, request=request, **kwargs)

    for decorate in (
        config_option,
        click.option("--environ", is_flag=True, help="Let the process environment set variables, as Compose does."),
        click.option(
            "--profile", multiple=True, metavar="NAME", help="An active profile (repeatable). Default: all are active."
        ),
        click.option(
            "--env-file", multiple=True, type=_FILE, metavar="FILE", help="An env file instead of .env (repeatable)."
        ),
        click.option(
            "-f",
            "--file",
            multiple=True,
            type=_FILE,
            metavar="FILE",
            help="A Compose file, in merge order (repeatable).",
        ),
    ):
        with_request = decorate(with_request)
    return with_request
