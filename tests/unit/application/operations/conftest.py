"""Worlds of fakes, whose processes end with the test."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.fakes.operations import NewWorld, StripeAndStores


@pytest.fixture
async def new_world() -> AsyncIterator[NewWorld]:
    """Makes worlds; their processes end with the test."""
    made: list[StripeAndStores] = []

    def make(**options: Any) -> StripeAndStores:
        made.append(StripeAndStores(**options))
        return made[-1]

    yield make
    for world in made:
        await world.end()
