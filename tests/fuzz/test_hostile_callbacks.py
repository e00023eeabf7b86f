"""What a browser may bring back from Stripe: states, codes, errors and addresses of any kind."""

import string
from collections import Counter
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import pytest

from application.connecting.commands import CompleteConnection
from domain.errors import BillingError
from interfaces.cli.connections import read_address
from interfaces.cli.exits import Refused
from tests.fuzz.inputs import MARK, hostile_text, tells_nothing, tries
from tests.fuzz.odd_values import Chance, odd_text
from tests.support.rooms.connecting import (
    ACME,
    BACK,
    GLOBEX,
    OTHER_BACK,
    SESSION,
    ConnectingPlatform,
    ConnectingProcess,
)

REASONS: Final = {
    "INVALID_FIELDS", "STATE_UNKNOWN", "CODE_REFUSED", "ALREADY_EXISTS",
}  # fmt: skip
ADDRESS: Final = f"{BACK}?code=ac_{MARK}&state={MARK}&scope=read_write"


async def test_hostile_callbacks_connect_nothing() -> None:
    """Each has its reason; none is told what it sent, ends a round, or exchanges a code twice.

    Rounds of two accounts are open, and what comes is nearly right: fields of one's own round, of
    the other one's, and odd ones.
    """
    counts: Counter[str] = Counter()
    platform = ConnectingPlatform()
    process = platform.process()
    states = [await process.begin(), await process.begin(GLOBEX)]
    for number, tried in enumerate(tries("callback")):
        with tried as chance:
            command = callback(chance, states[0], states[1])
            caller = chance.choice((ACME, GLOBEX))
            counts[await outcome_of(process, caller, f"request-{number}", command)] += 1
            assert await platform.connection() is None
            assert await platform.connection("globex") is None
            platform.oauth.exchanged.clear()
            if await rounds_open(platform) < 2:
                states = [await process.begin(), await process.begin(GLOBEX)]
    assert {*counts} <= REASONS
    code = platform.oauth.consent("acct_1Acme")
    assert (await process.complete(await process.begin(), code)).stripe_account == "acct_1Acme"


async def rounds_open(platform: ConnectingPlatform) -> int:
    """How many of the two accounts have a round that can be completed."""
    now = platform.clock.now()
    counts = [
        await platform.states.count(account, now=now, limit=1) for account in ("acme", "globex")
    ]
    return sum(counts)


async def outcome_of(
    process: ConnectingProcess, caller: object, request_id: str, command: CompleteConnection
) -> str:
    """The reason for which a callback is refused."""
    try:
        await process.connecting.complete(caller, request_id, command)  # type: ignore[arg-type]
    except BillingError as error:
        tells_nothing(error)
        return error.reason.value
    return "connected"


def callback(chance: Chance, mine: str, theirs: str) -> CompleteConnection:
    """What comes back, with a code that nobody gave."""
    return CompleteConnection(
        chance.choice(
            (mine, mine, theirs, mine[:-1], mine + "A", mine.swapcase(), MARK, _odd(chance))
        ),
        chance.choice((f"ac_{MARK}", f"ac_{MARK}", "", "ac_", f"{MARK} ", _odd(chance))),
        chance.choice(("", "", "access_denied", "server_error", "Access Denied", _odd(chance))),
        chance.choice((BACK, BACK, OTHER_BACK, f"{BACK}/", BACK.upper(), _odd(chance))),
        chance.choice((SESSION, SESSION, SESSION[::-1], "5" * 64, SESSION[:-1], _odd(chance))),
    )


def _odd(chance: Chance) -> str:
    if chance.random() < 0.5:
        return odd_text(chance)
    return "".join(chance.choice(string.printable) for _ in range(chance.choice((1, 40, 3_000))))


def test_hostile_addresses_are_read_or_refused() -> None:
    """An address that is pasted into a command: whatever it is, it is told nowhere."""
    for tried in tries("address"):
        with tried as chance:
            address = hostile_text(chance, ADDRESS).decode(errors="surrogateescape")
            if chance.random() < 0.3:
                host = chance.choice(
                    ("[", "[::1", "a]b", "x" * 300, "\u2100.example", "", "@", ":x")
                )
                address = f"https://{host}/?code={MARK}&state={quote(odd_text(chance))}"
            try:
                own, query = read_address(address)
            except Refused as error:
                tells_nothing(error)
            else:
                _is_read(own, query)


def _is_read(own: str, query: Mapping[str, str]) -> None:
    assert "code=" not in own.partition("?")[2].split("&")
    assert {*query} <= {"code", "state", "error", "error_description", "scope"}


@pytest.mark.parametrize("address", ["https://[/?code=ac_1", "https://\u2100.example/?code=ac_1"])
def test_an_address_that_is_none_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(Refused) as refused:
        read_address(address)
    assert "ac_1" not in str(refused.value)
    assert refused.value.__suppress_context__
