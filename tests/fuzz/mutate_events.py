"""Mutations of an event as a tree: what a Stripe of another version, or none at all, would send."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from application.events.readings import Observed
from infrastructure.stripe.readers.envelopes import received
from infrastructure.stripe.readers.events import StripeEventReader
from tests.fuzz.odd_values import Chance, odd_number, odd_text, odd_value
from tests.fuzz.real_events import Event
from tests.support.fakes.stores import NOON

Place = tuple[Any, Any]
"""A container of a tree and one of its keys or indices."""

ACCOUNTS: Final = ("acct_1FuzzConnected", "acct_1FuzzStranger")
"""A Stripe account that is connected, and one that nobody knows."""

_NOUNS: Final = (
    "balance_transaction charge customer dispute invoice invoice_payment payment_intent payout"
    " price product refund subscription account application card event list widget"
).split()
_MOST_NODES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Templates:
    """The real events, as bytes, and what can be borrowed from them."""

    bodies: Sequence[bytes]
    mirrored: Sequence[bytes]
    ids: Sequence[str]
    types: Sequence[str]

    def pick(self, chance: Chance) -> Event:
        """A fresh copy of one of them."""
        found: Event = msgspec.json.decode(chance.choice(self.bodies))
        return found

    def pick_mirrored(self, chance: Chance) -> Event:
        """A fresh copy of one whose object the mirror shows afterwards."""
        found: Event = msgspec.json.decode(chance.choice(self.mirrored))
        return found


def templates_of(events: Sequence[Event]) -> Templates:
    """What the mutations of a run start from."""
    ids = {event["data"]["object"]["id"] for event in events} | {event["id"] for event in events}
    bodies = [msgspec.json.encode(event) for event in events]
    return Templates(
        bodies,
        [body for body in bodies if _tells_all(body)],
        sorted(ids),
        sorted({event["type"] for event in events}),
    )


def _tells_all(body: bytes) -> bool:
    """Whether an event tells what its object is like, and nothing has to be asked of Stripe."""
    event = received(body, now=NOON, livemode=False, stripe_account=ACCOUNTS[0])
    reading = StripeEventReader().read(event, ACCOUNTS[0])
    if not isinstance(reading, Observed) or reading.snapshot.deleted:
        return False
    return reading == Observed(reading.noun, reading.snapshot)


def mutated(chance: Chance, event: Event, templates: Templates) -> str:
    """Mutate an event in place, once to three times; the names of what was done."""
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        name = chance.choice(_NAMES)
        _MUTATIONS[name](chance, event, templates)
        done.append(name)
    return ", ".join(done)


def _places(value: Any) -> Iterator[Place]:
    """Every place in a tree, outer ones first."""
    waiting = [value]
    for node in waiting:
        if isinstance(node, dict):
            keys: Sequence[Any] = list(node)
        elif isinstance(node, list):
            keys = range(len(node))
        else:
            continue
        for key in keys:
            yield node, key
            if len(waiting) < _MOST_NODES:
                waiting.append(node[key])


def _place(chance: Chance, event: Event) -> Place | None:
    """A place: often one of the envelope's or the object's own fields, else one anywhere."""
    found = _object(event)
    luck = chance.random()
    if luck < 0.2 and event:
        return event, chance.choice(list(event))
    if luck < 0.6 and found:
        return found, chance.choice(list(found))
    places = list(_places(event))
    return chance.choice(places) if places else None


def _object(event: Event) -> Event:
    """The object that an event is about; a throw-away one where it has none any more."""
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _drop(chance: Chance, event: Event, _: Templates) -> None:
    if place := _place(chance, event):
        del place[0][place[1]]


def _replace(chance: Chance, event: Event, _: Templates) -> None:
    if place := _place(chance, event):
        place[0][place[1]] = odd_value(chance)


def _retype(chance: Chance, event: Event, _: Templates) -> None:
    """The same value in another type."""
    if place := _place(chance, event):
        node, key = place
        old = node[key]
        node[key] = chance.choice(
            ([old], {"id": old}, str(old), {"object": old}, [old, old], not old)
        )


def _add(chance: Chance, event: Event, _: Templates) -> None:
    node = chance.choice((event, _object(event), event.get("data")))
    if isinstance(node, dict):
        node[odd_text(chance)] = odd_value(chance)


def _exchange(chance: Chance, event: Event, _: Templates) -> None:
    """Two values change places."""
    one, other = _place(chance, event), _place(chance, event)
    if one and other and one[0] is other[0]:
        node = one[0]
        node[one[1]], node[other[1]] = node[other[1]], node[one[1]]


def _graft(chance: Chance, event: Event, templates: Templates) -> None:
    """A part of another event, or all that it is about."""
    other = templates.pick(chance)
    places = [place for place in (_place(chance, event), _place(chance, other)) if place]
    if chance.random() < 0.3:
        event["data"] = other["data"]
    elif len(places) == 2:
        (node, key), (source, at) = places
        node[key] = source[at]


def _other_id(chance: Chance, event: Event, templates: Templates) -> None:
    """Some id becomes another one, its own event's or object's among them."""
    places = [
        place
        for place in _places(event)
        if isinstance(found := place[0][place[1]], str) and found in templates.ids
    ]
    places += [(event, "id"), (_object(event), "id")]
    node, key = chance.choice(places)
    node[key] = chance.choice(templates.ids)


def _odd_id(chance: Chance, event: Event, _: Templates) -> None:
    """An id that is a string, if a strange one; two events may be about the same such object."""
    node = chance.choice((event, _object(event), _object(event)))
    node["id"] = odd_text(chance)


def _other_noun(chance: Chance, event: Event, _: Templates) -> None:
    _object(event)["object"] = chance.choice(_NOUNS)


def _other_type(chance: Chance, event: Event, templates: Templates) -> None:
    others = (
        "invoice.upcoming", "product.deleted", "charge.dispute.closed", "account.updated",
        "account.application.deauthorized", "widget.made", "", "a" * 256,
    )  # fmt: skip
    event["type"] = chance.choice((*templates.types, *others))


def _other_release(chance: Chance, event: Event, _: Templates) -> None:
    event["api_version"] = chance.choice(
        ("2020-08-27", "2025-03-31.basil", "2099-01-01.endive", "", None, "x" * 5_000, 7, ".endive")
    )


def _other_mode(chance: Chance, event: Event, _: Templates) -> None:
    event["livemode"] = chance.choice((True, True, True, None, 0, 1, "false"))


def _other_account(chance: Chance, event: Event, _: Templates) -> None:
    event["account"] = chance.choice(
        (
            *ACCOUNTS, None, "", "acct_", "ACCT_1", "acct_1 ", "acct_1\n", "acct_\u0661",
            "acct_1/../acct_2", "acct_" + "1" * 64, "acct_" + "1" * 65, 1, ["acct_1"],
            {"id": "acct_1"},
        )
    )  # fmt: skip


def _other_time(chance: Chance, event: Event, _: Templates) -> None:
    node = chance.choice((event, _object(event)))
    node["created"] = chance.choice(
        (0, 1, -1, 1_600_000_000, 1_793_620_000, 253_402_300_799, 253_402_300_800, 1.5, "1", None)
    )


def _other_history(chance: Chance, event: Event, _: Templates) -> None:
    """What the object was before."""
    data = event.get("data")
    if not isinstance(data, dict):
        return
    found = _object(event)
    previous: Any = {name: odd_value(chance) for name in list(found)[: chance.randrange(6)]}
    if chance.random() < 0.5 and found:
        name = chance.choice(list(found))
        previous = {name: found[name], "metadata": {"tier": None, "": odd_value(chance)}}
    data["previous_attributes"] = chance.choice((previous, previous, previous, odd_value(chance)))


def _cut_lists(chance: Chance, event: Event, _: Templates) -> None:
    """Nested lists that show their beginning only."""
    for node, key in list(_places(event)):
        if key == "has_more":
            node[key] = chance.choice((True, True, None, "true"))


def _odd_amounts(chance: Chance, event: Event, _: Templates) -> None:
    found = _object(event)
    for name in [name for name in found if "amount" in name or name in ("currency", "total")]:
        if chance.random() < 0.5:
            found[name] = odd_number(chance) if chance.random() < 0.7 else odd_text(chance)


_Mutation = Callable[[Chance, Event, Templates], None]
_MUTATIONS: Final[dict[str, _Mutation]] = {
    "drop": _drop,
    "replace": _replace,
    "retype": _retype,
    "add": _add,
    "exchange": _exchange,
    "graft": _graft,
    "other id": _other_id,
    "odd id": _odd_id,
    "other noun": _other_noun,
    "other type": _other_type,
    "other release": _other_release,
    "other mode": _other_mode,
    "other account": _other_account,
    "other time": _other_time,
    "other history": _other_history,
    "cut lists": _cut_lists,
    "odd amounts": _odd_amounts,
}
_NAMES: Final = [*_MUTATIONS, "replace", "replace", "drop", "retype"]
