"""infra-audit: a configuration-policy linter and audit tool for Docker Compose deployments."""

__version__ = "0.1.0"
