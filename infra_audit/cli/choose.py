"""What a command speaks about: the one deployment, the baseline that counts for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from infra_audit.audit import Request, deployments
from infra_audit.deployment import Deployment
from infra_audit.errors import InfraAuditError, UsageError

if TYPE_CHECKING:
    from infra_audit.baseline import Baseline
    from infra_audit.running import Look

__all__ = ["BASELINE_NAME", "find_baseline", "folder_of", "the_deployment", "the_project"]

BASELINE_NAME = ".infra-audit-baseline.json"


def folder_of(request: Request) -> str:
    """The folder that a request starts in: that of its first file or path."""
    first = os.path.abspath((request.files or request.paths or (".",))[0])
    return first if os.path.isdir(first) else os.path.dirname(first)


def find_baseline(file: str | None, request: Request) -> Baseline | None:
    """The named baseline, or the nearest one upwards in the repository; None where there is none."""
    here = folder_of(request)
    while file is None:
        found = os.path.join(here, BASELINE_NAME)
        above = os.path.dirname(here)
        if os.path.lexists(found):
            file = found
        elif above == here or os.path.exists(os.path.join(here, ".git")):
            return None
        here = above
    from infra_audit.baseline import Baseline  # most runs have none

    return Baseline.read(file)


def the_project(request: Request, look: Look) -> Deployment:
    """Opens the running project that a request names, or the only one; raises UsageError where there are several."""
    from infra_audit.running import Running

    opened = list(deployments(request, Running(look, os.environ)))
    for each in opened:
        if isinstance(each.result, InfraAuditError):
            raise each.result
    if len(opened) != 1:
        names = ", ".join(each.name for each in opened) or "none"
        raise UsageError(f"one project is wanted, and the snapshot has {names}: choose one with -p")
    [one] = opened
    assert isinstance(one.result, Deployment)
    return one.result


def the_deployment(request: Request, path: str | None) -> Deployment:
    """Opens the deployment of the ``-f`` files or of a path; raises UsageError where there are several."""
    if path is not None and request.files:
        raise UsageError("name the files either with -f or as PATH, not both")
    opened = list(deployments(request._replace(paths=(path or ".",))))
    found = [each.result for each in opened if not isinstance(each.result, InfraAuditError)]
    if len(found) == 1 and len(opened) == 1:
        return found[0]
    if len(opened) > 1:
        listed = "; ".join(f"{each.name} ({' '.join(each.files)})" for each in found[:5])
        raise UsageError(f"there are {len(opened)} deployments here, name the files of one with -f: {listed}")
    for each in opened:
        if isinstance(each.result, InfraAuditError):
            raise each.result
    raise UsageError(f"no Compose file found in {path or '.'}")
