"""The promises of `application.connecting.ports.OauthStates`."""

import asyncio
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from application.connecting.ports import STATES_KEPT
from domain.connections import Mode
from domain.oauth import STATE_LIFETIME, Binding, OauthState, digest_of
from tests.contract.samples import NOON
from tests.support.servers.stores import Stores

HERE = Binding("acme", digest_of("session"), "https://platform.example/back", Mode.TEST)
STATE = OauthState(digest_of("state"), HERE, "grace", NOON + STATE_LIFETIME)
TICK = dt.timedelta(milliseconds=1)


async def test_a_state_is_used_up_once(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=NOON)
    assert not await stores.oauth_states.use(HERE, STATE.digest, by="two", now=NOON)


async def test_what_has_used_a_state_may_do_so_again_however_late(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=NOON)
    late = NOON + 2 * STATE_LIFETIME
    assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=late)
    assert not await stores.oauth_states.use(HERE, STATE.digest, by="two", now=late)


async def test_of_many_at_once_one_uses_it(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    used = await asyncio.gather(
        *(stores.oauth_states.use(HERE, STATE.digest, by=f"{n}", now=NOON) for n in range(20))
    )
    assert sum(used) == 1


async def test_a_state_ends(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    assert not await stores.oauth_states.use(HERE, STATE.digest, by="one", now=STATE.expires_at)
    last = STATE.expires_at - TICK
    assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=last)


@pytest.mark.parametrize(
    "other",
    [
        {"account": "other"},
        {"session_digest": digest_of("other")},
        {"redirect_uri": "https://platform.example/back2"},
        {"mode": Mode.LIVE},
    ],
)
async def test_elsewhere_it_is_not_used_and_stays(stores: Stores, other: dict[str, Any]) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    elsewhere = replace(HERE, **other)
    assert not await stores.oauth_states.use(elsewhere, STATE.digest, by="one", now=NOON)
    assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=NOON)
    assert not await stores.oauth_states.use(elsewhere, STATE.digest, by="one", now=NOON)


async def test_a_state_that_was_never_made_is_not_used(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    assert not await stores.oauth_states.use(HERE, digest_of("no"), by="one", now=NOON)


async def test_an_accounts_open_states_are_counted(stores: Stores) -> None:
    for number in range(5):
        own = replace(STATE, digest=digest_of(f"{number}"))
        await stores.oauth_states.add(own, now=NOON)
    foreign = replace(STATE, binding=replace(HERE, account="other"))
    await stores.oauth_states.add(foreign, now=NOON)
    await stores.oauth_states.use(HERE, digest_of("3"), by="one", now=NOON)

    async def count(at: dt.datetime, limit: int = 100) -> int:
        return await stores.oauth_states.count("acme", now=at, limit=limit)

    assert (await count(NOON), await count(NOON, 2)) == (4, 2)
    assert (await count(STATE.expires_at - TICK), await count(STATE.expires_at)) == (4, 0)


async def test_states_that_ended_long_ago_are_removed_as_others_come(stores: Stores) -> None:
    await stores.oauth_states.add(STATE, now=NOON)
    await stores.oauth_states.use(HERE, STATE.digest, by="one", now=NOON)
    for number, at in enumerate((STATE.expires_at + STATES_KEPT - TICK, STATE.expires_at)):
        fresh = replace(STATE, digest=digest_of(f"{number}"), expires_at=at + STATES_KEPT)
        await stores.oauth_states.add(fresh, now=at)
        assert await stores.oauth_states.use(HERE, STATE.digest, by="one", now=at)
    at = STATE.expires_at + STATES_KEPT
    await stores.oauth_states.add(replace(STATE, digest=digest_of("last")), now=at)
    assert not await stores.oauth_states.use(HERE, STATE.digest, by="one", now=at)
