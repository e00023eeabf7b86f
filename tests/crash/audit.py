"""What has come of a campaign: is anything acknowledged lost, is anything there twice?"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec
from nats.aio.client import Client

from application.events.inbox import EventState
from application.mirror.nouns import NOUNS
from application.mirror.ports import Mirror
from domain.attribution import INVOICE
from domain.mirror import Version
from infrastructure.queue.nats import STREAM, SUBJECTS
from infrastructure.stripe.translations import TRANSLATIONS
from tests.crash.business import Business, Effect
from tests.crash.raw_rows import Rows

_SOME_TIME: Final = Version(0, 0)
_FETCH: Final = 200
_FETCH_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Findings:
    """What was looked at, and all that is wrong, by name."""

    acknowledged: int
    lost: list[str]
    unprocessed: list[str]
    effects: int
    effects_lost: list[Effect]
    effects_doubled: list[Effect]
    rows: int
    rows_wrong: list[str]


async def audit(
    mirror: Mirror, rows: Rows, nats_url: str, business: Business, acknowledged: Iterable[str]
) -> Findings:
    """Compare everything that is there with everything that happened at Stripe."""
    events, told = rows.events(), set(acknowledged)
    due, found = business.effects(), rows.effects() + await _published(nats_url)
    return Findings(
        acknowledged=len(told),
        lost=sorted(told - set(events)),
        unprocessed=sorted(
            id_ for id_ in told & set(events) if events[id_] != EventState.PROCESSED
        ),
        effects=len(due),
        effects_lost=sorted(due - set(found)),
        # Also what nothing gave cause to: its cause had another name the other time.
        effects_doubled=sorted(one for one, count in found.items() if count > 1 or one not in due),
        rows=len(business.objects),
        rows_wrong=[wrong async for wrong in _wrong_rows(mirror, business)],
    )


async def _published(url: str) -> Counter[Effect]:
    """The jobs in the stream, each as often as it is there."""
    client = Client()
    await client.connect(url)
    jetstream = client.jetstream()
    count = (await jetstream.stream_info(STREAM)).state.messages
    consumer = await jetstream.pull_subscribe(f"{SUBJECTS}.>", stream=STREAM)
    found: Counter[Effect] = Counter()
    while found.total() < count:
        messages = await consumer.fetch(min(_FETCH, count - found.total()), timeout=_FETCH_SECONDS)
        for message in messages:
            job = msgspec.json.decode(message.data)
            found["published job", job["account"], job["payload"]["invoice"]] += 1
    await client.close()
    return found


async def _wrong_rows(mirror: Mirror, business: Business) -> AsyncIterator[str]:
    """The rows that do not show what Stripe shows, or are not there, or should not be."""
    counts: Counter[tuple[str, str]] = Counter()
    for (stripe_account, id_), shown in business.objects.items():
        translation = TRANSLATIONS[shown["object"]]
        noun = translation.noun
        counts[noun.name, stripe_account] += 1
        row = (await mirror.fetch(noun, stripe_account, [id_])).get(id_)
        wanted = translation.observe(msgspec.json.encode(shown), stripe_account, _SOME_TIME)
        if row is None or row.snapshot is None or row.snapshot.object != wanted.object:
            yield f"{noun.name} {stripe_account} {id_}"
        elif invoice := business.paid_for.get((stripe_account, id_)):
            facet = row.derived.get(INVOICE)
            if facet is None or facet.values["invoice"] != invoice:
                yield f"{noun.name} {stripe_account} {id_}: what it paid for"
    for noun in NOUNS:
        for stripe_account in {account for account, _ in business.objects}:
            count = await mirror.count(noun, stripe_account)
            if count != counts[noun.name, stripe_account]:
                yield f"{count} rows of {noun.name} of {stripe_account}"
