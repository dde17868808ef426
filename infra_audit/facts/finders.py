"""Subjects that are not in the Compose files themselves: what Prometheus and Grafana read through their mounts.

``deployment`` finds services and their parts in its own tree. The other kinds have a finder here, imported
when somebody first asks for the kind, so that a deployment without them pays nothing. A finder gives
subjects whose ``cache`` holds what was read, under the name of the module that reads it.

| kind | what | name | parent |
| --- | --- | --- | --- |
| scrape_job | an entry of scrape_configs | its job_name | the service that scrapes |
| scrape_target | an address that a job asks | job/host:port | the scrape_job |
| rule_file | a file of rules, loaded or not | its path | the service that loads it, if any |
| alert | an alerting rule | its name | the rule_file |
| recording_rule | a recording rule | what it records | the rule_file |
| datasource | a datasource that Grafana is provisioned with | its name | the Grafana service |
| dashboard | a dashboard file, provisioned or mounted or named to be judged | its title | the Grafana service, if any |
| panel | a panel of a dashboard | dashboard/title | the dashboard |
| expression | the PromQL of an alert, recording rule or panel | owner's kind and name | its owner |
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.products import MONITORS
from infra_audit.facts.services import may_run

__all__ = ["FINDERS", "attach"]

FINDERS: dict[str, tuple[str, ...]] = {
    "scrape_job": ("infra_audit.facts.scrapes:scrape_jobs",),
    "scrape_target": ("infra_audit.facts.scrapes:scrape_targets",),
    "rule_file": ("infra_audit.facts.rule_files:rule_files",),
    "alert": ("infra_audit.facts.rule_files:alerts",),
    "recording_rule": ("infra_audit.facts.rule_files:recording_rules",),
    "expression": ("infra_audit.facts.expressions:of_rules", "infra_audit.facts.panels:find_expressions"),
    "datasource": ("infra_audit.facts.grafana:find_datasources",),
    "dashboard": ("infra_audit.facts.grafana:find_dashboards",),
    "panel": ("infra_audit.facts.grafana:find_panels",),
}
"""Kind → functions (``module:name``) that find its subjects in a deployment, in this order."""


def attach(deployment: Deployment) -> Deployment:
    """Lets a deployment find every kind of subject."""
    deployment.finder = _find
    return deployment


def _find(deployment: Deployment, kind: str) -> Iterable[Subject]:
    if not _is_monitored(deployment):
        return
    for name in FINDERS.get(kind, ()):
        module, _, function = name.partition(":")
        find: Any = getattr(importlib.import_module(module), function)
        yield from find(deployment)


def _is_monitored(deployment: Deployment) -> bool:
    """True where some service may bring subjects of these kinds, or a file is judged by itself; looked at once."""
    cache = deployment.root.cache
    if "(monitored)" not in cache:
        services = deployment.subjects("service")
        cache["(monitored)"] = bool(deployment.loose) or any(may_run(service, MONITORS) for service in services)
    return bool(cache["(monitored)"])
