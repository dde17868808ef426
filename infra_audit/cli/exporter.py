"""``infra-audit exporter``: findings about what runs, as Prometheus metrics."""

from __future__ import annotations

import os
import time

import click

from infra_audit.audit import Request, audit
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.door import tell
from infra_audit.cli.options import DURATION, engine_options, plan_option, request_options
from infra_audit.exporter import Exporter, serve
from infra_audit.running import Look, Running
from infra_audit.watching import rest

__all__ = ["command"]


@click.command("exporter", short_help=COMMANDS["exporter"])
@request_options()
@engine_options
@plan_option
@click.option(
    "--listen", default="127.0.0.1:9910", show_default=True, metavar="HOST:PORT", help="Where to serve /metrics."
)
@click.option("--interval", type=DURATION, default="60s", show_default=True, help="The time between two audits.")
def command(request: Request, look: Look, plan: str | None, listen: str, interval: float) -> int:
    """Audit running projects again and again and serve the result as Prometheus metrics.

    While the engine is away the last numbers stay; infra_audit_up is 0 and
    infra_audit_last_audit_timestamp_seconds tells their age.
    """
    request = request._replace(plan=plan)
    running = Running(look, os.environ)
    exporter = Exporter(lambda: audit(request, running))
    serve(exporter, listen)
    while True:
        begun = time.monotonic()
        error = exporter.refresh()
        if error is not None:
            tell(str(error))
        rest(max(1.0, interval - (time.monotonic() - begun)))
