"""Enrichment: what arrives is joined to the rows that it tells about, whichever came first.

Each piece is stored before its counterparts are looked for, so that of two pieces that arrive at
once at least the later one finds the other.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

from application.mirror.nouns import (
    BALANCE_TRANSACTIONS,
    CHARGES,
    INVOICE_PAYMENTS,
    INVOICES,
    NOUN_BY_NAME,
    PAYMENT_INTENTS,
)
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun
from domain.attempts import attempts
from domain.attribution import attribution, told_by
from domain.charges import Charge
from domain.invoice_payments import InvoicePayment
from domain.mirror import Facet, MirroredObject, Snapshot

T = TypeVar("T", bound=MirroredObject)

_PAID: Final = "paid"
_AT_ONCE: Final = 100
"""How many values one list is narrowed to."""

_PAGE: Final = 1_000
_MAX_PAGES: Final = 100
"""How many pages of counterparts of a hundred objects are read: an intent has few charges."""


class Joined(Protocol):
    """Follows what is joined to rows: no event tells that a charge is settled.

    `bootstrap` gives `Enrichment` those that are registered.
    """

    async def after(self, noun: str, facets: Sequence[Facet]) -> None:
        """Do what follows from facets of a noun's rows, which are stored; at most 1,000.

        Also from those that an earlier or a later one stands in place of. Durable on return, and
        idempotent: they may come again. Raises Unavailable where the store does not answer: what
        has told the facets is then read again.
        """
        ...


class Enrichment:
    """Derives facets from what is mirrored. Idempotent; it asks the mirror only, never Stripe."""

    def __init__(self, mirror: Mirror, joined: Sequence[Joined] = ()) -> None:
        self._mirror = mirror
        self._joined = tuple(joined)

    async def after(self, noun: Noun[Any], snapshots: Sequence[Snapshot[Any]]) -> None:
        """Derive what observations tell that are stored already.

        Raises Unavailable (STORE_UNAVAILABLE): the same call may then be made again.
        """
        live = [snapshot for snapshot in snapshots if snapshot.object is not None]
        if noun.name == BALANCE_TRANSACTIONS.name:
            await self._settle(live)
            return
        by_account: dict[str, list[Any]] = defaultdict(list)
        for snapshot in live:
            by_account[snapshot.stripe_account].append(snapshot.object)
        for stripe_account, objects in by_account.items():
            ids = [one.id for one in objects]
            if noun.name == CHARGES.name:
                await self._after_charges(stripe_account, objects)
            elif noun.name == INVOICE_PAYMENTS.name:
                found = await self._fetch(INVOICE_PAYMENTS, stripe_account, ids)
                await self._attribute(stripe_account, found)
            elif noun.name == INVOICES.name:
                payments = self._matching(INVOICE_PAYMENTS, stripe_account, "invoice", ids)
                await self._attribute(stripe_account, [one async for one in payments])

    async def _settle(self, told: Iterable[Snapshot[Any]]) -> None:
        facets: dict[str, list[Facet]] = defaultdict(list)
        for snapshot in told:
            for name, facet in told_by(snapshot):
                facets[name].append(facet)
        for name, found in facets.items():
            await self._derive(NOUN_BY_NAME[name], found)

    async def _after_charges(self, stripe_account: str, charges: Sequence[Charge]) -> None:
        intents = [charge.payment_intent for charge in charges if charge.payment_intent]
        of_intent: dict[str, list[Snapshot[Charge]]] = defaultdict(list)
        async for snapshot in self._matching(CHARGES, stripe_account, "payment_intent", intents):
            if snapshot.object is not None and snapshot.object.payment_intent:
                of_intent[snapshot.object.payment_intent].append(snapshot)
        facets = [attempts(intent, found) for intent, found in of_intent.items()]
        await self._derive(PAYMENT_INTENTS, [facet for facet in facets if facet is not None])
        without = [charge.id for charge in charges if not charge.payment_intent]
        payments = [
            payment
            for column, values in (("payment_intent", intents), ("charge", without))
            async for payment in self._matching(INVOICE_PAYMENTS, stripe_account, column, values)
        ]
        await self._attribute(stripe_account, payments)

    async def _attribute(
        self, stripe_account: str, payments: Sequence[Snapshot[InvoicePayment]]
    ) -> None:
        """Tell the charges of these payments what they were for, as far as that is mirrored."""
        live = [(snapshot, snapshot.object) for snapshot in payments if snapshot.object]
        if not live:
            return
        # The one that is paid, and else the newest, comes last and so stands.
        live.sort(key=lambda pair: (pair[1].status == _PAID, pair[1].created, pair[1].id))
        ids = [payment.invoice for _, payment in live]
        invoices = {one.id: one for one in await self._fetch(INVOICES, stripe_account, ids)}
        by_intent = {payment.payment_intent: snapshot for snapshot, payment in live}
        charges = self._matching(
            CHARGES, stripe_account, "payment_intent", [intent for intent in by_intent if intent]
        )
        pairs = [(payment.charge, snapshot) for snapshot, payment in live if payment.charge]
        pairs += [
            (charge.id, by_intent[charge.object.payment_intent])
            async for charge in charges
            if charge.object is not None
        ]
        facets: dict[str, Facet] = {}
        for charge_id, snapshot in pairs:
            invoice = invoices.get(snapshot.object.invoice) if snapshot.object else None
            facet = attribution(charge_id, snapshot, invoice) if invoice else None
            if facet is not None:
                facets[charge_id] = facet
        await self._derive(CHARGES, list(facets.values()))

    async def _derive(self, noun: Noun[Any], facets: Sequence[Facet]) -> None:
        for start in range(0, len(facets), _PAGE):
            some = facets[start : start + _PAGE]
            await self._mirror.derive(noun, some)
            for each in self._joined:
                await each.after(noun.name, some)

    async def _fetch(
        self, noun: Noun[T], stripe_account: str, ids: Iterable[str]
    ) -> list[Snapshot[T]]:
        """The stored snapshots of the ids."""
        wanted = sorted(set(ids))
        rows = [
            row
            for start in range(0, len(wanted), _PAGE)
            for row in (
                await self._mirror.fetch(noun, stripe_account, wanted[start : start + _PAGE])
            ).values()
        ]
        return [row.snapshot for row in rows if row.snapshot is not None]

    async def _matching(
        self, noun: Noun[T], stripe_account: str, column: str, values: Sequence[str]
    ) -> AsyncIterator[Snapshot[T]]:
        """The live rows whose column has one of the values."""
        wanted = sorted(set(values))
        for start in range(0, len(wanted), _AT_ONCE):
            where = Filter(one_of={column: wanted[start : start + _AT_ONCE]})
            after = None
            for _ in range(_MAX_PAGES):
                page = await self._mirror.list(
                    noun, stripe_account, where, order=NEWEST_FIRST, after=after, limit=_PAGE
                )
                for row in page.rows:
                    if row.snapshot is not None:
                        yield row.snapshot
                after = page.next
                if after is None:
                    break
