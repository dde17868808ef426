"""The one deployment that a command speaks about."""

from __future__ import annotations

from infra_audit.audit import Request, deployments
from infra_audit.deployment import Deployment
from infra_audit.errors import InfraAuditError, UsageError

__all__ = ["the_deployment"]


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
