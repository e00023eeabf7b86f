"""How hard the properties are tried, and from which seed."""

import hypothesis
import pytest

from tests.property.seed import SEED

hypothesis.settings.register_profile(
    "properties", max_examples=1_000, deadline=None, database=None, print_blob=True
)


def pytest_report_header() -> str:
    """Name the seed, so that a failure can be had again."""
    return f"property tests: BILLING_TEST_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every property starts from the seed."""
    for item in items:
        function = getattr(item, "function", None)
        if function is not None and hypothesis.is_hypothesis_test(function):
            hypothesis.seed(SEED)(function)
