"""How much is tried, and from where: what a failure prints repeats it."""

import os
from typing import Final

from tests.property.seed import SEED

BODIES: Final = int(os.environ.get("BILLING_FUZZ_BODIES") or 3_000)
"""How many mutated deliveries a run sends."""

CALLS: Final = int(os.environ.get("BILLING_FUZZ_CALLS") or 2_000)
"""How many calls a run makes."""

INPUTS: Final = int(os.environ.get("BILLING_FUZZ_INPUTS") or 500)
"""How many inputs of each other kind a run gives: answers, files, callbacks, cells."""

FIRST: Final = int(os.environ.get("BILLING_FUZZ_FIRST") or 0)
"""The index of the first of them."""


def again(first: int, count: int) -> str:
    """The command that sends these deliveries again."""
    return (
        f"BILLING_TEST_SEED={SEED} BILLING_FUZZ_FIRST={first} BILLING_FUZZ_BODIES={count}"
        " .venv/bin/pytest tests/fuzz -s"
    )


def calls_again(first: int, count: int) -> str:
    """The command that makes these calls again."""
    return (
        f"BILLING_TEST_SEED={SEED} BILLING_FUZZ_FIRST={first} BILLING_FUZZ_CALLS={count}"
        " .venv/bin/pytest tests/fuzz/test_fuzzed_calls.py -s"
    )


def inputs_again(index: int) -> str:
    """The command that gives this input again."""
    return (
        f"BILLING_TEST_SEED={SEED} BILLING_FUZZ_FIRST={index} BILLING_FUZZ_INPUTS=1"
        " .venv/bin/pytest tests/fuzz -s"
    )
