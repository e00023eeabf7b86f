"""How fast, and how right, the mirror gets where Stripe delivers twice and in any order.

    python -m bench.shuffled [--events 10000] [--store sqlite|mongo] [--seed 7]

Recorded histories of several nouns, a third of their events within one second with others of the
same object. Half of the events are delivered twice, all are shuffled, 32 deliveries are under way
at once, and the projector runs beside them as in the service. Measured from the first delivery to
an empty inbox, and beside it the same events in order, once each, on a store of their own. What
cannot be settled is read again: from a stand-in that knows how each object ends, and counts. Then
every row, every charge's invoice, every billing event and every subscription's history is compared
with what it must be.
"""

import argparse
import asyncio
import datetime as dt
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import uvloop
from dependency_injector import providers
from rich.console import Console
from typing_extensions import override

from application.mirror.nouns import CHARGES, NOUN_BY_NAME
from application.mirror.ports import Filter, Mirror, Noun
from application.mirror.stripe import ObjectReader, Priority
from bench.events import signature
from bench.histories import History, record
from bench.opening import STORES, machine, settings, spare_the_collector
from bootstrap.containers.service import Container
from bootstrap.process import opened
from bootstrap.settings import Settings
from domain.attribution import INVOICE, attribution
from domain.connections import Connection, ConnectionKind, Mode
from domain.mirror import MirroredObject, Row, Snapshot, Version
from domain.periods import to_milliseconds
from infrastructure.stripe.translations import TRANSLATIONS

T = TypeVar("T", bound=MirroredObject)

WANTED_A_SECOND: Final = 2_000
WANTED_REREADS: Final = 0.02
AT_ONCE: Final = 32
LIMIT_SECONDS: Final = 240.0

_ACCOUNT: Final = "bench"
_PAGE: Final = 1_000

Truth = Mapping[str, Mapping[str, Snapshot[Any]]]
"""How every object ends, by noun and id."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Distinct events in the order in which they happened, and what they must come to.

    `tied` are those within one second with another of the same object. `changes` counts the events
    of each subscription.
    """

    stripe_account: str
    bodies: Sequence[bytes]
    tied: int
    truth: Truth
    changes: Counter[str]

    def shuffled(self, seed: int) -> Sequence[bytes]:
        """The deliveries of an unruly Stripe: half of the events twice, in any order."""
        chance = random.Random(seed)
        deliveries = [*self.bodies, *chance.sample(self.bodies, len(self.bodies) // 2)]
        chance.shuffle(deliveries)
        return deliveries


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to; `right` tells in words what was compared."""

    seconds: float
    cpu_seconds: float
    rereads: Counter[str]
    right: str


class Stripe(ObjectReader):
    """Answers re-reads with the truth, and counts them by noun."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.asked: Counter[str] = Counter()

    @override
    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        self.asked[noun.name] += 1
        now = to_milliseconds(dt.datetime.now(dt.UTC))
        version = Version.of_read(
            date_ms=now, duration_ms=1, sent_at_ms=now, not_before_ms=not_before_ms
        )
        found = self._truth[noun.name][object_id]
        return Snapshot(stripe_account, object_id, version, found.object, found.unknown)


def traffic(history: History, events: int) -> Traffic:
    """At least so many events, of as many businesses as that takes."""
    copies = -(-events // len(history.events))
    bodies = [event.copy(number) for number in range(copies) for event in history.events]
    recorded = [json.loads(event.copy(0)) for event in history.events]
    about = Counter(map(_moment, recorded))
    changes = Counter(
        event["data"]["object"]["id"]
        for event in map(json.loads, bodies)
        if event["data"]["object"]["object"] == "subscription"
    )
    # Balance transactions have no events of their own: nothing here tells them.
    told = {event["data"]["object"]["object"] for event in recorded} & set(TRANSLATIONS)
    return Traffic(
        history.account,
        bodies,
        copies * sum(about[_moment(event)] > 1 for event in recorded),
        {name: _ends(history, name, copies) for name in told},
        changes,
    )


def _moment(event: Mapping[str, Any]) -> tuple[str, int]:
    return event["data"]["object"]["id"], event["created"]


def _ends(history: History, name: str, copies: int) -> Mapping[str, Snapshot[Any]]:
    """How the objects of a noun end, in all copies."""
    translation, version = TRANSLATIONS[name], Version(0, 0)
    ends = (
        translation.observe(one.copy(number), history.account, version)
        for number in range(copies)
        for one in history.objects[name]
    )
    return {end.id: end for end in ends}


async def run(chosen: Settings, sent: Traffic, deliveries: Sequence[bytes]) -> Figures:
    """Deliver everything, with the projector beside, until the inbox is empty; then compare."""
    signed = [(body, signature(body)) for body in deliveries]
    stripe = Stripe(sent.truth)
    async with asyncio.timeout(LIMIT_SECONDS), opened(chosen) as container:
        week_ago = container.clock().now() - dt.timedelta(days=7)
        await container.stores.connections().put(
            Connection(_ACCOUNT, sent.stripe_account, Mode.TEST, ConnectionKind.MANUAL, week_ago)
        )
        container.object_reader.override(providers.Object(stripe))
        spare_the_collector()
        started, cpu = time.perf_counter(), _cpu_seconds()
        await _deliver(container, signed)
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu
        right = await check(container, sent)
    return Figures(seconds, cpu_seconds, stripe.asked, right)


async def _deliver(container: Container, signed: Sequence[tuple[bytes, str]]) -> None:
    receiver, projector = container.receiver(), container.projector()
    inbox = container.stores.inbox()
    waiting = iter(signed)

    async def deliver() -> None:
        for body, header in waiting:
            await receiver.receive(body, header)

    projecting = asyncio.create_task(projector.loop.run())
    await asyncio.gather(*(deliver() for _ in range(AT_ONCE)))
    while await inbox.backlog():  # noqa: ASYNC110 - the inbox tells nobody that it is empty
        await asyncio.sleep(0.01)
    projector.loop.stop()
    await projecting


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# --- what must have come of it --------------------------------------------------------------------


async def check(container: Container, sent: Traffic) -> str:
    """Compare everything; what was compared, in words. RuntimeError where anything is wrong."""
    rows = {
        name: await _rows(container.mirror(), NOUN_BY_NAME[name], sent.stripe_account)
        for name in sent.truth
    }
    for name, ends in sent.truth.items():
        _same(f"{name}s in the mirror", set(rows[name]), set(ends))
        for id_, end in ends.items():
            snapshot = rows[name][id_].snapshot
            _same(f"{name} {id_}", snapshot and (snapshot.object, snapshot.unknown),
                  (end.object, end.unknown))  # fmt: skip
    attributed = _attributions(sent.truth)
    for id_, row in rows[CHARGES.name].items():
        facet = row.derived.get(INVOICE)
        _same(f"the invoice of {id_}", facet and facet.values, attributed.get(id_))
    told = await _billing_events(container)
    _same("billing events", told, _facts(sent.truth))
    history = container.stores.subscription_history()
    for id_, count in sent.changes.items():
        changes = await history.of_subscription(sent.stripe_account, id_, after=None, limit=_PAGE)
        _same(f"changes of {id_}", len(changes), count)
    total = sum(map(len, rows.values()))
    return (
        f"right: {total:,} rows of {len(rows)} nouns, {len(attributed):,} charges with their"
        f" invoice, {told.total():,} billing events, {sent.changes.total():,} subscription changes"
    )


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise RuntimeError(f"{what}: {found!r} instead of {expected!r}"[:2_000])


async def _rows(mirror: Mirror, noun: Noun[Any], stripe_account: str) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    after = None
    while True:
        page = await mirror.list(
            noun, stripe_account, Filter(), order=noun.orders[0], after=after, limit=_PAGE
        )
        found |= {row.id: row for row in page.rows}
        after = page.next
        if after is None:
            return found


def _attributions(truth: Truth) -> Mapping[str, Mapping[str, Any]]:
    """What each charge that paid an invoice was for."""
    payments = {
        payment.object.payment_intent: payment
        for payment in truth["invoice_payment"].values()
        if payment.object
    }
    found = {}
    for id_, charge in truth["charge"].items():
        payment = charge.object and payments.get(charge.object.payment_intent)
        if payment and payment.object:
            facet = attribution(id_, payment, truth["invoice"][payment.object.invoice])
            if facet is not None:
                found[id_] = facet.values
    return found


async def _billing_events(container: Container) -> Counter[str]:
    """The billing events in the outbox, by their facts."""
    told: Counter[str] = Counter()
    after = 0
    while page := await container.stores.outbox().watch(_ACCOUNT, after=after, limit=_PAGE):
        told.update(one.job.kind.removeprefix("events.") for one in page)
        after = page[-1].position
    return told


def _facts(truth: Truth) -> Counter[str]:
    """The business facts that lie in how everything ends: each happened once."""
    ends = {name: [one.object for one in found.values()] for name, found in truth.items()}

    def count(name: str, status: str) -> int:
        return sum(one is not None and one.status == status for one in ends[name])

    return Counter(
        customer_created=len(ends["customer"]),
        subscription_created=len(ends["subscription"]),
        subscription_ended=count("subscription", "canceled"),
        invoice_paid=count("invoice", "paid"),
        refund_succeeded=count("refund", "succeeded"),
        payment_succeeded=count("charge", "succeeded"),
        payment_failed=count("charge", "failed"),
    )


def measure(store: str, events: int, seed: int, console: Console) -> None:
    """Record, deliver in order and shuffled, compare, print."""
    sent = traffic(uvloop.run(record()), events)
    with settings(store) as chosen:
        orderly = uvloop.run(run(chosen, sent, sent.bodies))
    deliveries = sent.shuffled(seed)
    with settings(store) as chosen:
        figures = uvloop.run(run(chosen, sent, deliveries))
    count = len(sent.bodies)
    console.print(
        f"{store}: {count:,} events, {sent.tied / count:.0%} of them within a second with another"
        f" of their object; {len(deliveries):,} deliveries, shuffled by {seed}"
    )
    console.print(
        f"{count / figures.seconds:,.0f} events a second"
        + (f" (wanted: {WANTED_A_SECOND:,})" if store == "sqlite" else "")
        + f", {figures.cpu_seconds * 1_000 / count:.3f} ms CPU an event ({machine()});"
        f" of the same events in order, once each: {orderly.seconds / figures.seconds:.2f} of the"
        f" rate, {figures.cpu_seconds / orderly.cpu_seconds:.2f} of the CPU"
    )
    rereads = figures.rereads.total()
    console.print(
        f"re-reads: {rereads} = {rereads / count:.2%} of the events (wanted: below"
        f" {WANTED_REREADS:.0%}), {dict(figures.rereads)}; in order {orderly.rereads.total()}"
    )
    console.print(figures.right)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    measure(arguments.store, arguments.events, arguments.seed, Console(soft_wrap=True))
