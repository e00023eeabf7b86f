"""How hard the properties are tried, and from which seed."""

import hypothesis
import pytest

from tests.property.seed import EFFORT, FIGURES, SEED

hypothesis.settings.register_profile(
    "properties", max_examples=1_000, deadline=None, database=None, print_blob=True
)


def pytest_report_header() -> str:
    """Name the seed, so that a failure can be had again."""
    return _seed()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The seed where it is looked for after a failure, and what the tests have counted."""
    for line in (_seed(), *FIGURES):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every property starts from the seed."""
    for item in items:
        function = getattr(item, "function", None)
        if function is not None and hypothesis.is_hypothesis_test(function):
            hypothesis.seed(SEED)(function)


def _seed() -> str:
    return f"property tests: BILLING_TEST_SEED={SEED} BILLING_TEST_EFFORT={EFFORT}"
