"""Deliveries: each follows from the run's seed and its own index alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from infrastructure.stripe.readers.envelopes import read_envelope
from interfaces.http_webhook.app import MAX_BODY_BYTES
from tests.fuzz import mutate_bytes, mutate_events, signatures
from tests.fuzz.mutate_events import ACCOUNTS, Templates
from tests.fuzz.odd_values import Chance, written
from tests.fuzz.real_events import Event
from tests.fuzz.signatures import CONNECT_SECRET, PLATFORM_SECRET, HeaderLines


class Group(StrEnum):
    """Where a delivery was tampered with, and so what has to become of it."""

    TAMPERED = "mutated after it was signed"
    SIGNED = "mutated, then signed"
    HEADERS = "mutated headers"
    GOOD = "not mutated"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST: a body, the header lines beside it, and the statuses of which one has to follow."""

    index: int
    group: Group
    how: str
    body: bytes
    lines: HeaderLines
    expected: frozenset[int]

    @property
    def oversized(self) -> bool:
        """Whether it is refused for its length alone, perhaps before all of it was sent."""
        return len(self.body) > MAX_BODY_BYTES


_TAKEN: Final = frozenset({200})
_REFUSED: Final = frozenset({400})
_TOO_LARGE: Final = frozenset({413})


def bad_delivery(seed: int, index: int, templates: Templates) -> Delivery:
    """The mutated delivery of an index."""
    chance = random.Random(f"{seed}:{index}")  # noqa: S311 - to be repeated, no secret
    event = templates.pick(chance)
    event["id"] = f"evt_fuzz{index}"
    if chance.random() < 0.5:  # else it is about an object that others are about, too
        event["data"]["object"]["id"] += f"f{index}"
    connect = _belong_somewhere(chance, event)
    luck = chance.random()
    if luck < 0.25:
        return _headers(chance, index, event, connect=connect)
    if luck < 0.5:
        return _tampered(chance, index, event, templates, connect=connect)
    return _signed(chance, index, event, templates, connect=connect)


def good_delivery(seed: int, index: int, templates: Templates) -> Delivery:
    """A right delivery, about an object that no mutation knows, in one of JSON's spellings."""
    chance = random.Random(f"good:{seed}:{index}")  # noqa: S311 - to be repeated, no secret
    event = templates.pick_mirrored(chance)
    event["id"] = f"evt_good{index}"
    event["data"]["object"]["id"] += f"good{index}"
    secret = CONNECT_SECRET if _belong_somewhere(chance, event) else PLATFORM_SECRET
    body = _spelt(chance, event)
    return Delivery(index, Group.GOOD, "as it is", body, signatures.signed(body, secret), _TAKEN)


def _belong_somewhere(chance: Chance, event: Event) -> bool:
    """Make it a connected account's, a stranger's or the platform's; whether it is Connect's."""
    account = chance.choice((ACCOUNTS[0], ACCOUNTS[0], ACCOUNTS[1], ""))
    if account:
        event["account"] = account
    return bool(account)


def _tampered(
    chance: Chance, index: int, event: Event, templates: Templates, *, connect: bool
) -> Delivery:
    """Signed, and changed on its way."""
    how = mutate_events.mutated(chance, event, templates) if chance.random() < 0.2 else "nothing"
    body = written(msgspec.json.encode(event))
    lines = signatures.signed(body, CONNECT_SECRET if connect else PLATFORM_SECRET)
    changed, after = mutate_bytes.mutated(chance, body)
    how = f"{how}; after signing: {after}"
    return Delivery(index, Group.TAMPERED, how, changed, lines, _expected(changed, _REFUSED))


def _signed(
    chance: Chance, index: int, event: Event, templates: Templates, *, connect: bool
) -> Delivery:
    """Changed in any way before it was signed, and refused only where the other scope signed it."""
    how = mutate_events.mutated(chance, event, templates)
    body = written(msgspec.json.encode(event))
    if chance.random() < 0.3:
        body, after = mutate_bytes.mutated(chance, body)
        how = f"{how}; {after}"
    if chance.random() < 0.1:
        connect, how = not connect, f"{how}; signed by the other scope"
    lines = signatures.signed(body, CONNECT_SECRET if connect else PLATFORM_SECRET)
    envelope = read_envelope(body)
    other_scope = envelope.tells_scope and bool(envelope.account) != connect
    expected = _REFUSED if other_scope else _TAKEN
    return Delivery(index, Group.SIGNED, how, body, lines, _expected(body, expected))


def _headers(chance: Chance, index: int, event: Event, *, connect: bool) -> Delivery:
    """A right body under mutated headers."""
    body = msgspec.json.encode(event)
    found = signatures.mutated(chance, body, connect=connect)
    return Delivery(index, Group.HEADERS, found.how, body, found.lines, found.expected)


def _expected(body: bytes, otherwise: frozenset[int]) -> frozenset[int]:
    return _TOO_LARGE if len(body) > MAX_BODY_BYTES else otherwise


def _spelt(chance: Chance, event: Event) -> bytes:
    """One of the spellings that mean the same."""
    plain = msgspec.json.encode(event)
    match chance.randrange(4):
        case 0:
            return msgspec.json.format(plain, indent=2)
        case 1:
            return msgspec.json.encode(_shuffled(chance, event))
        case 2:
            return b" \r\n\t" + plain + b"\n"
        case _:
            return plain


def _shuffled(chance: Chance, value: Any) -> Any:
    """The same tree with the keys of its objects in another order."""
    if isinstance(value, dict):
        keys: Sequence[str] = chance.sample(list(value), len(value))
        return {key: _shuffled(chance, value[key]) for key in keys}
    return [_shuffled(chance, one) for one in value] if isinstance(value, list) else value
