"""Docker Compose files to deployments, exactly as Docker Compose reads them.

``discover`` says which files make up which deployment, ``load`` reads them into one effective tree,
``canonical.canonical`` prints that tree as Compose's own JSON.
"""

from infra_audit.compose.discover import DeploymentSpec, discover, survey, usual
from infra_audit.compose.load import load

__all__ = ["DeploymentSpec", "discover", "load", "survey", "usual"]
