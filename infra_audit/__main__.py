"""``python -m infra_audit`` is ``infra-audit``."""

from infra_audit.cli.app import main

main()
