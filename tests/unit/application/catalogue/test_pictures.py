"""Pictures in memory are bounded, and none is kept once its call is over."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from application.catalogue import pictures
from application.catalogue.commands import UploadPicture
from application.catalogue.pictures import ProductPictures
from application.requests.callers import Caller
from domain.errors import InvalidArgument, RateLimited, Reason
from tests.support.pictures import GIF

CALLER = Caller("service", "acme", frozenset())
ANNOUNCED = UploadPicture("prod_1", len(GIF), "one")


def desk() -> tuple[ProductPictures, Any]:
    """The use case, and what runs its mutation."""
    mutations, run = Mock(), AsyncMock(return_value="the product")
    mutations.method.return_value.run = run
    return ProductPictures(mutations, Mock(), Mock(), Mock(), Mock()), run


async def pieces(*parts: bytes, goes_on: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if goes_on is not None:
        await goes_on.wait()


async def test_more_than_memory_is_refused_and_room_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "MEMORY_BYTES", len(GIF))
    use_case, run = desk()
    goes_on = asyncio.Event()
    first = asyncio.ensure_future(use_case.upload(CALLER, ANNOUNCED, pieces(GIF, goes_on=goes_on)))
    await asyncio.sleep(0)
    with pytest.raises(RateLimited) as refused:
        await use_case.upload(CALLER, ANNOUNCED, pieces(GIF))
    assert refused.value.reason is Reason.OVERLOADED
    goes_on.set()
    await first
    await use_case.upload(CALLER, ANNOUNCED, pieces(GIF))
    assert run.await_count == 2


async def test_nothing_is_kept_of_what_is_refused_or_done() -> None:
    use_case, run = desk()
    for parts in ((GIF[:-1],), (GIF, b"more"), (b"RIFF" * 9,)):
        with pytest.raises(InvalidArgument):
            await use_case.upload(CALLER, ANNOUNCED, pieces(*parts))
    assert run.await_count == 0
    await use_case.upload(CALLER, ANNOUNCED, pieces(GIF[:7], GIF[7:]))
    assert (use_case._free, dict(use_case._held)) == (pictures.MEMORY_BYTES, {})
