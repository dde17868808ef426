"""Scrape jobs and their targets as subjects, and which service of the deployment each target is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from infra_audit.deployment import Deployment, Subject
from infra_audit.facts.products import is_exporter
from infra_audit.facts.prometheus import Server, product_of, servers
from infra_audit.facts.topology import topology_of
from infra_audit.monitoring.prometheus_config import Job, Target
from infra_audit.named import NamedTuple
from infra_audit.tree import Node

__all__ = [
    "LOCALHOST",
    "Scrape",
    "exporter_product",
    "job_of",
    "scrape_jobs",
    "scrape_targets",
    "scrapes_of",
    "target_of",
    "target_service",
]

LOCALHOST = frozenset(("localhost", "127.0.0.1", "[::1]", "0.0.0.0"))


class Scrape(NamedTuple):
    """A target with its job, its server and the service that it is; ``service`` is None for any other host."""

    server: Server
    job: Job
    target: Target
    service: Subject | None


def scrapes_of(deployment: Deployment) -> list[Scrape]:
    """Every target that the files tell; read once."""
    known = deployment.root.cache.get("(scrapes)")
    if not isinstance(known, list):
        known = [
            Scrape(server, job, target, target_service(server.service, target.address.host))
            for server in servers(deployment)
            if server.config is not None
            for job in server.config.jobs
            for target in job.targets
        ]
        deployment.root.cache["(scrapes)"] = known
    return known


def target_service(client: Subject, host: str) -> Subject | None:
    """The service that a name means for a client; the client itself for localhost."""
    if host.lower() in LOCALHOST:
        return client
    named = topology_of(client.deployment).named(host)
    return client.deployment.service(named[0]) if named else None


def scrape_jobs(deployment: Deployment) -> Iterator[Subject]:
    """The entries of ``scrape_configs`` of every server."""
    names: Counter[str] = Counter()
    for server in servers(deployment):
        for job in server.config.jobs if server.config is not None else ():
            names[job.name] += 1
            number = names[job.name]
            name = job.name if number == 1 else f"{job.name}#{number}"
            cache = {"(job)": job, "(server)": server}
            yield Subject("scrape_job", name, job.node, deployment, server.service, cache)


def scrape_targets(deployment: Deployment) -> Iterator[Subject]:
    """The addresses that jobs ask, as far as the files tell."""
    names: Counter[str] = Counter()
    for subject in deployment.subjects("scrape_job"):
        job, server = job_of(subject)
        for target in job.targets:
            name = f"{subject.name}/{target.address}"
            names[name] += 1
            if names[name] > 1:
                name = f"{name}#{names[name]}"
            scrape = Scrape(server, job, target, target_service(server.service, target.address.host))
            node = target.place if isinstance(target.place, Node) else job.node
            yield Subject("scrape_target", name, node, deployment, subject, {"(scrape)": scrape})


def job_of(subject: Subject) -> tuple[Job, Server]:
    """The job and the server of a scrape_job."""
    job, server = subject.cache.get("(job)"), subject.cache.get("(server)")
    assert isinstance(job, Job)
    assert isinstance(server, Server)
    return job, server


def target_of(subject: Subject) -> Scrape:
    """What a scrape_target asks."""
    found = subject.cache.get("(scrape)")
    assert isinstance(found, Scrape)
    return found


def exporter_product(service: Subject) -> str | None:
    """The product of a service that is an exporter, else None."""
    product = product_of(service)
    return product if is_exporter(product) else None
