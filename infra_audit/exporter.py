"""The last audit of running projects as Prometheus metrics.

The exposition is made from the last report that could be made; while the engine is away the old numbers stay, and
their age says so.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from infra_audit.errors import InfraAuditError, UsageError
from infra_audit.finding import Report, Severity

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Exporter", "serve"]


class Exporter:
    """Audits when told to, and collects what the last audit said."""

    def __init__(self, look: Callable[[], Report]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._report = Report()
        self._seconds = 0.0
        self._done = 0.0
        self._up = False

    def refresh(self) -> InfraAuditError | None:
        """One audit; returns the error that kept it from being made, and keeps the numbers of the last one then."""
        begun = time.monotonic()
        try:
            report, error = self._look(), None
        except InfraAuditError as caught:
            report, error = None, caught
        with self._lock:
            self._up = report is not None and not report.errors
            self._seconds = time.monotonic() - begun
            if report is not None:
                error = next(iter(report.errors), None)
            if report is not None and (error is None or report.deployments):
                self._report, self._done = report, time.time()
        return error

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        with self._lock:
            report, seconds, done, up = self._report, self._seconds, self._done, self._up
        findings = GaugeMetricFamily(
            "infra_audit_findings", "Findings of the last audit.", labels=("deployment", "severity", "policy")
        )
        counted = Counter((one.deployment, one.severity.name, one.policy) for one in report.active())
        for labels, count in sorted(counted.items()):
            findings.add_metric(labels, count)
        yield findings
        totals = GaugeMetricFamily(
            "infra_audit_findings_by_severity",
            "Findings of the last audit by severity; 0 where there is none.",
            labels=("deployment", "severity"),
        )
        gaps = GaugeMetricFamily("infra_audit_gaps", "What the last audit could not decide.", labels=("deployment",))
        for deployment in dict.fromkeys(info.name for info in report.deployments):
            for severity in Severity:
                count = sum(
                    n for (name, level, _), n in counted.items() if (name, level) == (deployment, severity.name)
                )
                totals.add_metric((deployment, severity.name), count)
            gaps.add_metric((deployment,), sum(gap.deployment == deployment for gap in report.gaps))
        yield totals
        yield gaps
        yield _gauge("infra_audit_up", "1 where the last audit was wholly done.", float(up))
        yield _gauge("infra_audit_duration_seconds", "How long the last audit took.", seconds)
        yield _gauge(
            "infra_audit_last_audit_timestamp_seconds", "When the last audit was made; 0 before the first.", done
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value=value)


def serve(exporter: Exporter, listen: str) -> None:
    """Serves /metrics in the background; raises UsageError where it cannot."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise UsageError("the exporter needs the extra: pip install 'infra-audit[live]'") from None
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--listen wants HOST:PORT, not {listen}")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    try:
        start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1", registry=registry)
    except OSError as error:
        raise UsageError(f"cannot listen on {listen}: {error.strerror}") from None
