"""An upload whose answer was lost, and whose process is gone: nobody else has the picture."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest
from typing_extensions import override

from application.background.leases import Leases
from application.background.tasks import Tasks
from application.catalogue.commands import UploadPicture
from application.catalogue.pictures import ProductPictures
from application.catalogue.ports import PictureGateway, PictureKey, PictureLink, ProductChange
from application.connections.use_cases import Connections
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import RETRY_UNKNOWN, Mutations
from application.mutations.ports import MutationState
from application.mutations.steps import LEASE
from application.mutations.stripe import Call, Unanswered
from domain.connections import Mode
from domain.errors import InvalidArgument, OutcomeUnknown, Reason
from domain.mirror import Snapshot
from domain.products import Product
from tests.support.fakes.catalogue import FakeProducts
from tests.support.fakes.lists import FakeCheckpoints
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import NOON, FakeStripeAccounts
from tests.support.pictures import GIF
from tests.support.rooms.mutations import CALLER, Platform

ANNOUNCED = UploadPicture("prod_1", len(GIF), "r-1")
LINK = PictureLink("link_1", "https://files.example/1.gif")


async def pieces() -> AsyncIterator[bytes]:
    yield GIF


class FakePictures(PictureGateway):
    """Pictures at Stripe: the link of each tag, once it came there; `arrives` says whether it does.

    `cut` loses the answers of uploads. `uploads` are their idempotency keys, `looks` the tags that
    were looked for.
    """

    def __init__(self, *, arrives: bool) -> None:
        self.arrives, self.cut = arrives, True
        self.links: dict[str, PictureLink] = {}
        self.uploads: list[str] = []
        self.looks: list[str] = []
        self.ended: list[PictureLink] = []

    @override
    async def upload(self, call: Call, params: PictureKey, content: bytes) -> PictureLink:
        assert (content, params.size) == (GIF, len(GIF))
        self.uploads.append(call.idempotency_key)
        if self.arrives:
            self.links[call.tag] = LINK
        if self.cut:
            raise Unanswered("cut")
        return LINK

    @override
    async def find_uploaded(
        self, call: Call, params: PictureKey, sent_at: dt.datetime
    ) -> PictureLink | None:
        self.looks.append(call.tag)
        return self.links.get(call.tag)

    @override
    async def expire(self, call: Call, params: PictureLink) -> PictureLink:
        self.ended.append(params)
        return params

    @override
    async def find_expired(
        self, call: Call, params: PictureLink, sent_at: dt.datetime
    ) -> PictureLink | None:
        return params if params in self.ended else None


class World:
    """What processes share: the stores, the time, and Stripe with one product."""

    def __init__(self, *, arrives: bool) -> None:
        self.platform = Platform()
        self.clock = self.platform.clock
        self.pictures = FakePictures(arrives=arrives)
        self.checkpoints = FakeCheckpoints()
        self.objects = FakeObjects(self.clock, self._of)
        self.products = {"prod_1": Product("prod_1", NOON, "Seat", True)}

    def process(self) -> tuple[ProductPictures, Mutations]:
        platform = self.platform
        connections = Connections(
            platform.repository, FakeStripeAccounts(), platform.mirror, self.clock, Mode.TEST
        )
        mutations = Mutations(
            platform.log, connections, MirrorWriter(platform.mirror), self.clock, Tasks(),
            self.objects,
        )  # fmt: skip
        gateway = FakeProducts(self.clock, self.products).gateway
        gateway.update.side_effect = self._update
        leases = Leases(self.checkpoints, self.clock)
        return ProductPictures(mutations, gateway, self.pictures, leases, self.clock), mutations

    def _of(self, id_: str) -> Product | None:
        return self.products.get(id_)

    async def _update(self, call: Call, change: ProductChange) -> Snapshot[Product]:
        images = change.fields.images
        assert images is not None
        shown = self.products[change.id] = replace(self.products[change.id], images=images)
        (snapshot,) = await FakeProducts(self.clock, {shown.id: shown}).read(
            call.stripe_account, [shown.id]
        )
        return snapshot

    async def cut_off(self) -> None:
        """An upload whose answer is lost; then its process is gone."""
        with pytest.raises(OutcomeUnknown):
            await self.process()[0].upload(CALLER, ANNOUNCED, pieces())
        self.pictures.cut = False

    async def recovered(self, later: dt.timedelta) -> int:
        """How many mutations another process settles so much later."""
        self.clock.instant += later
        return await self.process()[1].recover()

    @property
    def images(self) -> Mapping[str, tuple[str, ...]]:
        return {id_: product.images for id_, product in self.products.items()}


SOON = max(LEASE, RETRY_UNKNOWN)


async def test_what_arrived_is_found_by_its_tag_and_shown() -> None:
    world = World(arrives=True)
    await world.cut_off()
    assert await world.recovered(SOON) == 1
    assert world.images == {"prod_1": (LINK.url,)}
    assert [*world.pictures.links] == world.pictures.looks
    assert len(world.pictures.uploads) == 1
    # The caller who repeats the call hears how it ended, and nothing is sent again.
    shown = await world.process()[0].upload(CALLER, ANNOUNCED, pieces())
    assert shown.images == (LINK.url,)
    assert len(world.pictures.uploads) == 1


async def test_what_did_not_arrive_waits_for_its_caller_for_an_hour() -> None:
    world = World(arrives=False)
    await world.cut_off()
    assert await world.recovered(SOON) == 0
    assert world.platform.record.state is not MutationState.DONE
    shown = await world.process()[0].upload(CALLER, ANNOUNCED, pieces())
    assert shown.images == (LINK.url,)
    first, again = world.pictures.uploads
    assert first == again


async def test_after_an_hour_it_ends_and_tells_why() -> None:
    world = World(arrives=False)
    await world.cut_off()
    assert await world.recovered(dt.timedelta(minutes=59)) == 0
    await world.recovered(dt.timedelta(minutes=30))
    assert world.platform.record.state is MutationState.DONE
    with pytest.raises(InvalidArgument) as told:
        await world.process()[0].upload(CALLER, ANNOUNCED, pieces())
    assert told.value.reason is Reason.UPLOAD_STALLED
    assert len(world.pictures.uploads) == 1
    assert world.images == {"prod_1": ()}
    assert world.pictures.ended == []
