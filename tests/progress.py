"""A line of progress now and then, instead of bare dots: ``pytest -p tests.progress``."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

_LINES = 20
"""So many lines at most, evenly spread over the tests."""


class Progress:
    """Counts the tests that are done, in the process that reports them."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._began = time.monotonic()
        self._total = self._done = self._failed = self._lines = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = max(self._total, len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._total = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
        return ("passed", "", "PASSED") if report.passed and report.when == "call" else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed += report.failed
        if report.when == "teardown":
            self._done += 1
            if self._total and self._done * _LINES // self._total > self._lines:
                self._lines = self._done * _LINES // self._total
                seconds = time.monotonic() - self._began
                self._reporter.write_line(
                    f"{self._done} of {self._total} tests, {self._failed} failed, {seconds:.0f} s", flush=True
                )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter):
        config.pluginmanager.register(Progress(reporter), "progress-lines")
