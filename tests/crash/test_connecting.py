"""A process is killed at each step of connecting and disconnecting: a code is exchanged once at
most, and what Billing says of a link is what Stripe gives.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import stripe

from application.operations.log import OperationLog
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.operations import OperationKind
from infrastructure.clock import SystemClock
from sandbox.emulator.core.messages import AccountSpec
from sandbox.emulator.running import RunningEmulator, emulator_process
from tests.contract.samples import NOON
from tests.crash.brood import KILLED, Brood, brood, every_point, prepared
from tests.crash.forks import News, opened
from tests.crash.rounds import Life

TOKEN: Final = "POST /oauth/token"

pytestmark = pytest.mark.timeout(240)


class Connecting:
    """A store, an emulator, and lives on them."""

    def __init__(self, place: tuple[str, ...], emulator: RunningEmulator, lives: Brood) -> None:
        self.place, self.emulator = place, emulator
        self._lives = lives

    async def live(self, does: str, number: str = "", **changes: object) -> News:
        """One life; how it ended. Each number is an account of its own."""
        life = Life(
            self.place, self.emulator.url, does, f"account-{number}", f"acct_{number}", "one"
        )
        life = replace(life, **changes)  # type: ignore[arg-type]  # as given
        return await self._lives.live(life)

    async def owner(self, number: str, *, connected: bool) -> None:
        """A Stripe account; where it is connected, with its link."""
        spec = AccountSpec(id=f"acct_{number}", connected=connected)
        await self.emulator.control.create_account(spec)
        if connected:
            async with opened(self.place) as stores:
                await stores.connections.put(
                    Connection(
                        f"account-{number}", f"acct_{number}", Mode.TEST, ConnectionKind.OAUTH, NOON
                    )
                )

    async def link(self, number: str) -> Connection | None:
        async with opened(self.place) as stores:
            return await stores.connections.get(f"account-{number}", Mode.TEST)

    async def has_backfill(self, number: str) -> bool:
        async with opened(self.place) as stores:
            log = OperationLog(stores.checkpoints, SystemClock())
            return await log.find(f"acct_{number}", OperationKind.BACKFILL) is not None

    async def has_access(self, number: str) -> bool:
        async with self.emulator.sdk() as sdk:
            try:
                await sdk.v1.customers.list_async(options={"stripe_account": f"acct_{number}"})
            except stripe.PermissionError:
                return False
        return True

    async def exchanges(self) -> int:
        return (await self.emulator.control.stats()).routes.get(TOKEN, 0)


@pytest.fixture(params=["sqlite", "mongo"])
async def world(request: pytest.FixtureRequest, on_disk: Path) -> AsyncIterator[Connecting]:
    async with (
        prepared(request, on_disk) as place,
        emulator_process() as emulator,
        brood("tests.crash.rounds") as lives,
    ):
        yield Connecting(place, emulator, lives)


async def test_wherever_connecting_is_killed_the_code_is_exchanged_once_at_most(
    world: Connecting, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    ends: Counter[bool] = Counter()
    await world.owner("whole", connected=False)
    whole = await world.live("connect", "whole")
    assert whole.ended == 0
    assert await world.link("whole")
    numbers = []
    for at, point in enumerate(every_point(whole.calls)):
        numbers.append(number := f"c{at}")
        await world.owner(number, connected=False)
        before = await world.exchanges()
        assert (await world.live("connect", number, point=point)).ended == KILLED, point
        assert await world.exchanges() - before <= 1, point
        killed[point.step] += 1
    before = await world.exchanges()
    assert (await world.live("settle")).ended == 0
    assert await world.exchanges() == before  # what another process has begun nobody sends
    for number in numbers:
        link = await world.link(number)
        ends[link is not None] += 1
        if link is None:
            assert (await world.live("connect", number, request_id="anew")).ended == 0
            link = await world.link(number)
        assert link is not None
        assert (link.stripe_account, link.state) == (f"acct_{number}", ConnectionState.ACTIVE)
        assert await world.has_access(number)
        assert await world.has_backfill(number)
    assert killed.keys() >= {
        "oauth_states.use", "oauth.exchange", "connections.put", "checkpoints.save",
        "mutation_log.begin", "mutation_log.save_step", "mutation_log.finish",
    }  # fmt: skip
    assert ends.keys() == {True, False}
    kind = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"connecting killed at {killed.total()} points on {kind}: {dict(killed)}")


async def test_wherever_disconnecting_is_killed_a_link_has_access_or_is_ended(
    world: Connecting, report: list[str]
) -> None:
    killed: Counter[str] = Counter()
    ends: Counter[ConnectionState] = Counter()
    await world.owner("whole", connected=True)
    whole = await world.live("disconnect", "whole")
    assert whole.ended == 0
    assert not await world.has_access("whole")
    numbers = []
    for at, point in enumerate(every_point(whole.calls)):
        numbers.append(number := f"d{at}")
        await world.owner(number, connected=True)
        assert (await world.live("disconnect", number, point=point)).ended == KILLED, point
        killed[point.step] += 1
    assert (await world.live("settle")).ended == 0
    for number in numbers:
        link = await world.link(number)
        assert link is not None
        ends[link.state] += 1
        active = link.state is ConnectionState.ACTIVE
        assert await world.has_access(number) is active
        assert link.ending_since is None or not active
        assert (await world.live("disconnect later", number)).ended == 0
        link = await world.link(number)
        assert link is not None
        assert link.state is ConnectionState.REVOKED
        assert not await world.has_access(number)
    assert killed.keys() >= {
        "connections.mark", "oauth.deauthorize", "connections.revoke",
        "mutation_log.begin", "mutation_log.save_step", "mutation_log.finish",
    }  # fmt: skip
    assert ends.keys() == {*ConnectionState}
    kind = "sqlite" if len(world.place) == 1 else "mongo"
    report.append(f"disconnecting killed at {killed.total()} points on {kind}: {dict(killed)}")
