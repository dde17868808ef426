"""Options that several commands share, so that each means the same everywhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from infra_audit.audit import Request
from infra_audit.named import NamedTuple
from infra_audit.units import parse_duration

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = [
    "DURATION",
    "PATH",
    "Address",
    "color_options",
    "config_option",
    "engine_address",
    "engine_options",
    "format_option",
    "plan_option",
    "request_options",
]

Function = TypeVar("Function", bound=Callable[..., Any])


class _Path(click.ParamType[str]):
    """A path as it is written. click's own type asks for its name in the user's language, which imports locale."""

    name = "path"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


PATH = _Path()

config_option = click.option(
    "--config",
    type=PATH,
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


def request_options(*, config: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What makes up a deployment, as options that Docker Compose has too; the function gets them as ``request``.

    ``config``: also --config, and all profiles are active where none is named. Without it everything is as
    in Docker Compose.
    """
    default = "all are active" if config else "only services without a profile"
    options = (
        click.option(
            "-f",
            "--file",
            multiple=True,
            type=PATH,
            metavar="FILE",
            help="A Compose file, in merge order (repeatable).",
        ),
        click.option(
            "--env-file", multiple=True, type=PATH, metavar="FILE", help="An env file instead of .env (repeatable)."
        ),
        click.option(
            "--profile", multiple=True, metavar="NAME", help=f"An active profile (repeatable). Default: {default}."
        ),
        click.option("--environ", is_flag=True, help="Let the process environment set variables, as Compose does."),
        click.option("-p", "--project-name", metavar="NAME", help="The project's name."),
        click.option(
            "--project-directory",
            type=PATH,
            metavar="DIR",
            help="What relative paths start from. Default: the first file's folder.",
        ),
        *([config_option] if config else []),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_request(
            *args: Any,
            file: tuple[str, ...],
            env_file: tuple[str, ...],
            profile: tuple[str, ...],
            environ: bool,
            project_name: str | None,
            project_directory: str | None,
            config: str | None = None,
            **kwargs: Any,
        ) -> Any:
            request = Request(
                files=file,
                env_files=env_file,
                profiles=profile or None,
                environ=dict(os.environ) if environ else None,
                folder=project_directory,
                name=project_name,
                config=config,
            )
            return function(*args, request=request, **kwargs)

        for option in reversed(options):
            with_request = option(with_request)
        return with_request

    return decorate


class _Duration(click.ParamType[float]):
    """A time such as 30s or 5m, or a number of seconds; the function gets seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        found = parse_duration(text if text[-1:].isalpha() else f"{text}s")
        if found is None or found <= 0:
            self.fail(f"{text!r} is no time such as 30s or 5m", param, ctx)
        return found / 10**9


DURATION = _Duration()


class Address(NamedTuple):
    """Where an engine is, None for where the Docker client would look, and the seconds for all requests together."""

    host: str | None
    context: str | None
    timeout: float


def engine_address(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which engine to look at, and how long; the function gets ``address``."""

    @click.option(
        "-H", "--host", metavar="URL", help="The engine's address. Default: as the Docker client's, DOCKER_HOST first."
    )
    @click.option("-c", "--context", metavar="NAME", help="The Docker client's context that names the engine.")
    @click.option(
        "--timeout",
        type=DURATION,
        default="30s",
        show_default=True,
        help="The time for all requests and probes of one look together; with --wait, how long to wait.",
    )
    @functools.wraps(function)
    def with_address(*args: Any, host: str | None, context: str | None, timeout: float, **kwargs: Any) -> Any:
        return function(*args, address=Address(host, context, timeout), **kwargs)

    return with_address


def engine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which engine to look at, how long and how deep; the function gets ``look``."""

    @engine_address
    @click.option("--all", "every", is_flag=True, help="Every project of the engine.")
    @click.option(
        "--no-probe",
        "without",
        multiple=True,
        metavar="NAME|all",
        help="Leave out a probe: redis, cgroup, interface, postgres, rabbitmq, prometheus, grafana (repeatable).",
    )
    @click.option("--no-exec", is_flag=True, help="Run nothing inside containers; only the postgres probe does.")
    @click.option(
        "--redis-password-file",
        type=PATH,
        metavar="FILE",
        help="Holds the password for Redis. Default: what the container itself is given.",
    )
    @functools.wraps(function)
    def with_look(
        *args: Any,
        address: Address,
        every: bool,
        without: tuple[str, ...],
        no_exec: bool,
        redis_password_file: str | None,
        **kwargs: Any,
    ) -> Any:
        from infra_audit.running import Look

        look = Look(
            *address,
            every,
            without=frozenset(without),
            execute=not no_exec,
            redis_password_file=redis_password_file,
        )
        return function(*args, look=look, **kwargs)

    return with_look
