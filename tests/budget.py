"""How long each part of the tests took, against what it may take on two idle cores."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

# Minutes by the clock. Under `make test BUDGET=1` the run fails where a part took twice its own.
MINUTES = {"package": 7, "chapters": 4, "pages and explorers": 6, "exercises and the rest": 3}

FILES = {
    "chapters": ("test_notebooks", "test_colab"),
    "pages and explorers": ("test_book", "test_engine", "test_equations", "test_explorers", "test_explorers_live",
                            "test_explorers_static", "test_firefox", "test_fit", "test_forced_gates_explorer",
                            "test_links", "test_live_explorer", "test_live_own", "test_live_speed", "test_live_views",
                            "test_offline", "test_own_photograph_in_page", "test_pages", "test_paper",
                            "test_slides", "test_stylesheets", "test_table_explorer", "test_transformer_explorer",
                            "test_try_role"),
    "exercises and the rest": ("test_exercises", "test_repository", "test_publishing", "test_binder", "test_snippets",
                               "test_benchmarks", "test_running", "test_classroom"),
}


def part_of(nodeid: str) -> str:
    """The part to which a test belongs, by its file."""
    path = Path(nodeid.split("::")[0])
    if path.suffix == ".ipynb":
        return "chapters"
    return next((part for part, files in FILES.items() if path.stem in files), "package")


class Budget:
    """A pytest plugin: tells at the end how many seconds each part took, and fails the run where it was asked to."""

    def __init__(self, workers: int, building: Callable[[], float]) -> None:
        self.workers = workers
        self.building = building
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[part_of(report.nodeid)] += report.duration / self.workers

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if set(self.seconds) == set(MINUTES):
            # The build has executed the chapters for these tests, a worker a core.
            self.seconds["chapters"] += self.building() / self.workers
        terminalreporter.section("seconds a part")
        for part, minutes in MINUTES.items():
            if part in self.seconds:
                terminalreporter.line(f"{part:24} {self.seconds[part]:6.0f} s of {60 * minutes} s")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if os.environ.get("BUDGET") and self.over() and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def over(self) -> list[str]:
        """The parts that took more than twice their budget."""
        return [part for part, minutes in MINUTES.items() if self.seconds[part] > 2 * 60 * minutes]


if __name__ == "__main__":
    # The files of a part, for the command that runs it alone.
    print(*(path for path in sorted(Path(__file__).parent.glob("test_*.py")) if part_of(path.name) == sys.argv[1]))
