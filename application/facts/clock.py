"""What changes facts without an event: the clock, and what is known later of a charge."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from application.background.clock import Clock
from application.background.loops import Loop
from application.background.outages import AccountOutages
from application.facts.ports import MAX_ROWS, Due, Dues, Topic
from application.facts.posting import Posting
from application.mirror.enrichment import Joined
from application.mirror.nouns import CHARGES, DISPUTES, NOUN_BY_NAME, REFUNDS
from application.mirror.ports import Mirror
from domain.errors import BillingError
from domain.mirror import Facet
from domain.periods import from_milliseconds
from domain.refunds import Refund

INTERVAL_SECONDS: Final = 1.0
"""How late what is due is posted at most, where there is not more of it than can be."""

_AT_ONCE: Final = 500
_AGAIN_AFTER: Final = dt.timedelta(hours=1)
"""When a subject is looked at again whose evidence makes no sense."""

_log = logging.getLogger(__name__)


class DueFacts:
    """Posts what is due: at the end of a discount, which no event tells, and for charges.

    Any number of processes may be at it: what one has posted is no difference for the next one.
    """

    def __init__(self, dues: Dues, posting: Posting, clock: Clock) -> None:
        self._dues = dues
        self._posting = posting
        self._clock = clock
        self._waiting = AccountOutages(
            _log, "an account's facts cannot be posted", "an account's facts are posted again"
        )
        self.loop: Final = Loop("facts that are due", self.post_all, INTERVAL_SECONDS)

    async def post_all(self) -> int:
        """Post all that is due by now; returns of how many subjects."""
        count = 0
        while dues := await self._dues.due(self._clock.now(), limit=_AT_ONCE):
            moved = await self.post(dues)
            count += moved
            if moved == 0:
                break  # it waits for what is away, and is due again in the next round
        return count

    async def post(self, dues: Sequence[Due]) -> int:
        """Post what is due, each account apart; returns of how many subjects."""
        alike: dict[tuple[str, Topic], list[Due]] = defaultdict(list)
        for due in dues:
            alike[due.stripe_account, due.topic].append(due)
        count = 0
        for (stripe_account, topic), own in alike.items():
            try:
                await self._post(stripe_account, topic, own)
            except BillingError as error:
                self._waiting.waits(stripe_account, error)
            except Exception:  # noqa: BLE001 - whatever it is, other accounts go on
                _log.exception(
                    "facts cannot be posted",
                    extra={"stripe_account": stripe_account, "topic": topic},
                )
                for due in own:
                    await self._dues.move(due, self._clock.now() + _AGAIN_AFTER)
            else:
                self._waiting.answered(stripe_account)
                count += len(own)
        return count

    async def _post(self, stripe_account: str, topic: Topic, dues: Sequence[Due]) -> None:
        posted = await self._posting.post(stripe_account, topic, [due.subject for due in dues])
        for due in dues:
            failed = due.subject in posted.failed
            again = self._clock.now() + _AGAIN_AFTER if failed else posted.next_at.get(due.subject)
            await self._dues.move(due, again)


class JoinedFacts(Joined):
    """Plans what balance transactions and invoices tell of charges, refunds and disputes.

    No event says that a charge is settled: its transaction is listed. So each row that was told
    something is looked at by the loop. It is planned before the listing goes on, at the time that
    it is about: nothing of a time is closed before its facts are posted.
    """

    def __init__(self, mirror: Mirror, dues: Dues) -> None:
        self._mirror = mirror
        self._dues = dues

    @override
    async def after(self, noun: str, facets: Sequence[Facet]) -> None:
        if noun not in (CHARGES.name, REFUNDS.name, DISPUTES.name):
            return
        dues = []
        charges = await self._charges(facets) if noun == REFUNDS.name else {}
        for facet in facets:
            at = from_milliseconds(_about(facet))
            if noun == REFUNDS.name:
                charge = charges.get((facet.stripe_account, facet.id))
                if charge is not None:
                    dues.append(Due(facet.stripe_account, Topic.CHARGE, charge, at))
            else:
                topic = Topic.CHARGE if noun == CHARGES.name else Topic.DISPUTE
                dues.append(Due(facet.stripe_account, topic, facet.id, at))
        for start in range(0, len(dues), MAX_ROWS):
            await self._dues.plan(dues[start : start + MAX_ROWS])

    async def _charges(self, facets: Sequence[Facet]) -> Mapping[tuple[str, str], str]:
        """The charges of refunds, by Stripe account and refund."""
        by_account: dict[str, list[str]] = defaultdict(list)
        for facet in facets:
            by_account[facet.stripe_account].append(facet.id)
        found: dict[tuple[str, str], str] = {}
        for stripe_account, ids in by_account.items():
            for start in range(0, len(ids), MAX_ROWS):
                some = ids[start : start + MAX_ROWS]
                rows = await self._mirror.fetch(NOUN_BY_NAME[REFUNDS.name], stripe_account, some)
                for id_, row in rows.items():
                    refund: Any = row.snapshot.object if row.snapshot is not None else None
                    if isinstance(refund, Refund) and refund.charge is not None:
                        found[stripe_account, id_] = refund.charge
        return found


def _about(facet: Facet) -> int:
    """The instant that a facet is about: the transaction's, else when it was seen."""
    told = facet.values.get("created", facet.values.get("at"))
    return told if isinstance(told, int) else facet.version.bounded().low
