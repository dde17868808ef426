"""``infra-audit graph``: the topology as a picture."""

from __future__ import annotations

import click

from infra_audit.audit import Request, audit
from infra_audit.cli.app import COMMANDS
from infra_audit.cli.choose import the_deployment
from infra_audit.cli.options import PATH, format_option, plan_option, request_options
from infra_audit.cli.output import write
from infra_audit.errors import UsageError
from infra_audit.graph import dot, graph, mermaid

__all__ = ["command"]


@click.command("graph", short_help=COMMANDS["graph"])
@click.argument("path", required=False, type=PATH)
@request_options()
@plan_option
@format_option("svg", "mermaid", "dot")
@click.option("--monitoring", is_flag=True, help="Also who watches whom: scrapes, alerts, datasources.")
@click.option("--findings/--no-findings", default=True, show_default=True, help="Colour services by their findings.")
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Write it to a file.")
def command(
    path: str | None,
    request: Request,
    plan: str | None,
    form: str,
    monitoring: bool,
    findings: bool,
    output: str | None,
) -> None:
    """Draw the deployment at PATH: services by layer, networks, and who talks to whom.

    Arrows are hosts in settings, URLs, commands and proxies' files; a service that only waits for another one
    (depends_on) has a dashed arrow. SVG needs Graphviz (Debian's package graphviz, and infra-audit[graph]).
    """
    request = request._replace(plan=plan)
    deployment = the_deployment(request, path)
    found = audit(request._replace(paths=(path or ".",))).findings if findings else []
    drawn = graph(deployment, found, monitoring=monitoring)
    text = mermaid(drawn) if form == "mermaid" else dot(drawn)
    write(_svg(text) if form == "svg" else text, output)


def _svg(text: str) -> str:
    """Graphviz's own drawing; raises UsageError where it is not there."""
    try:
        import graphviz
    except ImportError:
        raise UsageError("SVG needs the package graphviz: pip install 'infra-audit[graph]', or --format dot") from None
    try:
        return str(graphviz.Source(text).pipe(format="svg", encoding="utf-8", quiet=True))
    except graphviz.ExecutableNotFound:
        raise UsageError("SVG needs Graphviz's program dot: apt-get install graphviz, or --format dot") from None
    except graphviz.CalledProcessError as error:
        raise UsageError(f"Graphviz refuses the graph: {str(error.stderr).strip()[:200]}") from None
