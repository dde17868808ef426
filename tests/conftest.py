"""In CI a skipped test is a failure: it means that the machine lacks something that setup should have brought."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.lab.fixtures import extra, lab
from tests.lab.small import small

__all__ = ["extra", "lab", "small"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI", "").lower() == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {item.nodeid}: {call.excinfo.value if call.excinfo else 'no reason'}"
    return report
