"""Worlds of fakes, whose processes end with the test."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.fakes.operations import NewWorld, World


@pytest.fixture
async def new_world() -> AsyncIterator[NewWorld]:
    """Makes worlds; their processes end with the test."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(**options))
        return made[-1]

    yield make
    for world in made:
        await world.end()
