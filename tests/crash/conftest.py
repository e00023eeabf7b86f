"""The counts of the crash tests stand at the end of the run, whether or not it is verbose."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_LINES: Final = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")
def on_disk() -> Iterator[Path]:
    """A folder that is not in memory: what a kill leaves in files is what these tests are about."""
    with tempfile.TemporaryDirectory(prefix="billing-crash-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> list[str]:
    """Lines that are printed in the summary of the run."""
    return pytestconfig.stash.setdefault(_LINES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests have counted."""
    lines = terminalreporter.config.stash.get(_LINES, [])
    if lines:
        terminalreporter.section("kills")
        for line in lines:
            terminalreporter.write_line(line)
