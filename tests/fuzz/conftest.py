"""The real events that every mutation starts from, made once a run."""

import asyncio

import pytest

from tests.fuzz.mutate_events import Templates, templates_of
from tests.fuzz.real_events import real_events


@pytest.fixture(scope="session")
def templates() -> Templates:
    """What the mutations start from."""
    return templates_of(asyncio.run(real_events()))
