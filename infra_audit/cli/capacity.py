"""``infra-audit capacity``: what a deployment takes and carries, against budget, host and target."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from infra_audit.audit import Request
from infra_audit.capacity import Capacity, Pipeline, Share, Sum, as_data, capacity
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import PATH, color_options, format_option, plan_option, request_options
from infra_audit.cli.output import look_for, write
from infra_audit.errors import UsageError
from infra_audit.reports.terminal import Look, printable
from infra_audit.secrets import mask, mask_data
from infra_audit.units import format_bytes, parse_bytes

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["command"]

_BAR = 24
_MAX_WORDS = 12


@click.command("capacity", short_help=COMMANDS["capacity"])
@click.argument("path", required=False, type=PATH)
@request_options()
@plan_option
@click.option("--host-cpus", type=click.FloatRange(0, min_open=True), metavar="N", help="CPUs of the host.")
@click.option("--host-memory", metavar="SIZE", help="Memory of the host, such as 64GiB.")
@format_option("text", "json")
@color_options
def command(
    path: str | None,
    request: Request,
    plan: str | None,
    host_cpus: float | None,
    host_memory: str | None,
    form: str,
    color: bool | None,
    width: int | None,
) -> None:
    """Add up what the deployment at PATH takes, by layer and role, and what its pipeline carries.

    Totals are limits and reservations × replicas of the services that keep running. The plan gives the budget
    and the pipeline: its slowest stage decides, replicas of different stages do not multiply.
    """
    memory = None if host_memory is None else parse_bytes(host_memory)
    if host_memory is not None and memory is None:
        raise UsageError(f"--host-memory: {host_memory!r} is no size such as 64GiB")
    host = Sum(host_cpus, memory=memory) if host_cpus is not None or memory is not None else None
    found = capacity(the_deployment(request._replace(plan=plan), path), host)
    if form == "json":
        write(json.dumps(mask_data(as_data(found)), indent=2) + "\n")
    else:
        write(_text(found, look_for(None, color, width)))


def _text(found: Capacity, look: Look) -> str:
    from rich.console import Console  # costs more than most commands need

    stream = io.StringIO()
    console = Console(
        file=stream,
        width=look.width,
        force_terminal=look.color,
        no_color=not look.color,
        color_system="standard" if look.color else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(printable(found.name), style="bold")
    if found.why:
        console.print(f"  {found.why}", style="dim")
    for part in (_services(found), _against(found)):
        console.print()
        console.print(part)
    if found.pipeline is not None:
        console.print()
        console.print(_stages(found.pipeline))
        for line in _verdict(found.pipeline):
            console.print(line)
    if found.connections:
        console.print()
        console.print(_pools(found))
    for line in _notes(found):
        console.print()
        console.print(printable(mask(line)))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().split("\n")[:-1])


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        left = column in ("", " ", "service", "stage")
        table.add_column(column.strip(), justify="left" if left else "right", overflow="fold", no_wrap=not left)
    return table


def _services(found: Capacity) -> Table:
    table = _table("service", "replicas", "CPUs", "= total", "reserved", "memory", "= total", "reserved")
    for layer, shares in found.layers():
        table.add_row(layer, style="bold")
        for share in shares:
            each, total = share.each, share.total
            table.add_row(
                f"  {printable(share.service)}{_role(share)}",
                str(share.replicas),
                *(_cpus(each.cpus), _cpus(total.cpus), _cpus(total.reserved_cpus)),
                *(_size(each.memory), _size(total.memory), _size(total.reserved_memory)),
            )
        if len(shares) > 1:
            table.add_row("  together", "", "", *_sums(Sum.over(share.total for share in shares)), style="dim")
    table.add_row("total", "", "", *_sums(found.total), style="bold")
    return table


def _role(share: Share) -> str:
    """The role where it has a name of its own."""
    return f" ({printable(share.role)})" if share.role not in ("", share.service) else ""


def _sums(total: Sum) -> tuple[str, ...]:
    return _cpus(total.cpus), _cpus(total.reserved_cpus), "", _size(total.memory), _size(total.reserved_memory)


def _against(found: Capacity) -> Table | str:
    """Totals beside what there is."""
    table = _table("", "CPUs", "of", " ", "memory", "of", " ")
    for name, there in (("budget of the plan", found.budget), ("host", found.host)):
        if there is not None:
            table.add_row(
                name,
                *(_cpus(found.total.cpus), _cpus(there.cpus), _share_bar(found.total.cpus, there.cpus)),
                *(_size(found.total.memory), _size(there.memory), _share_bar(found.total.memory, there.memory)),
            )
    return table if table.row_count else "no budget and no host to compare with: --plan, --host-cpus, --host-memory"


def _share_bar(value: float | None, there: float | None) -> str:
    if value is None or not there:
        return ""
    over = " ✗" if value > there else ""
    return f"{_bar(value, there, _BAR // 2)} {value / there * 100:.0f} %{over}"


def _bar(value: float, whole: float, width: int = _BAR) -> str:
    filled = max(0, min(width, round(value / whole * width))) if whole else 0
    return "█" * filled + "░" * (width - filled)


def _stages(pipeline: Pipeline) -> Table:
    table = _table("stage", "replicas × rate", "carries", " ")
    whole = max([pipeline.target or 0, *(stage.rate for stage in pipeline.stages)])
    for number, stage in enumerate(pipeline.stages, 1):
        roles = " and ".join(part.role for part in stage.parts)
        times = " + ".join(f"{part.replicas} × {part.rate:,g}" for part in stage.parts)
        slowest = " ◀ decides" if stage.rate == pipeline.slowest.rate else ""
        table.add_row(f"{number} {roles}", times, f"{stage.rate:,g}", f"{_bar(stage.rate, whole)}{slowest}")
    if pipeline.target is not None:
        table.add_row("target", "", f"{pipeline.target:,g}", _bar(pipeline.target, whole), style="dim")
    return table


def _pools(found: Capacity) -> Table:
    """What the clients' pools may take of what each database offers."""
    table = _table("stage", "connections", "of", " ")
    for one in found.connections:
        offered = "?" if one.offered is None else str(one.offered)
        table.add_row(f"{printable(one.server)}", str(one.wanted), offered, _share_bar(one.wanted, one.offered))
        for pool in one.pools:
            table.add_row(f"  {printable(mask(pool))}", style="dim")
    table.columns[0].header = "pools of clients"
    return table


def _verdict(pipeline: Pipeline) -> Iterator[str]:
    carries, unit = pipeline.slowest.rate, f" {pipeline.unit}" if pipeline.unit else ""
    yield f"carries {carries:,g}{unit}: the slowest stage decides"
    if pipeline.target is not None and carries < pipeline.target:
        short = [
            f"{math.ceil(pipeline.target / stage.parts[0].rate)} × {stage.parts[0].role}"
            for stage in pipeline.stages
            if stage.rate < pipeline.target and len(stage.parts) == 1 and stage.parts[0].rate > 0
        ]
        yield f"the target of {pipeline.target:,g}{unit} takes {', '.join(short)}" if short else "below the target"
    if len(pipeline.stages) > 1 and pipeline.single > 0:
        counts = " × ".join(str(sum(part.replicas for part in stage.parts)) for stage in pipeline.stages)
        gain = carries / pipeline.single
        yield (
            f"{counts} replicas are {pipeline.product} combinations, not a {pipeline.product}-fold throughput: "
            f"stages work one after the other, so it is {gain:,.3g} times that of one replica each "
            f"({pipeline.single:,g}{unit})"
        )


def _notes(found: Capacity) -> Iterator[str]:
    if found.missing:
        more = len(found.missing) - _MAX_WORDS
        listed = "; ".join(found.missing[:_MAX_WORDS]) + (f"; and {more} more" if more > 0 else "")
        yield f"Totals are lower bounds. Not in them: {listed}"
    if found.idle:
        yield f"Not counted, for they run to their end: {', '.join(found.idle)}"


def _cpus(value: Any) -> str:
    return "–" if value is None else f"{value:g}"


def _size(value: Any) -> str:
    return "–" if value is None else format_bytes(value)
