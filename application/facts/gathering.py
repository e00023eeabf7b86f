"""Gathering: all evidence of a subject, from what is kept and from the mirror."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from application.facts.ports import EvidenceStore
from application.mirror.nouns import (
    CHARGES,
    CUSTOMERS,
    DISPUTES,
    INVOICES,
    PRICES,
    REFUNDS,
)
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun, Order
from application.requests.paging import Position
from domain.attribution import FIRST, INVOICE
from domain.coupons import Coupon
from domain.customers import Customer
from domain.evidence import (
    ChargeEvidence,
    ClosingEvidence,
    CustomerEvidence,
    DiscountEvidence,
    DisputeEvidence,
    Evidence,
    SubscriptionEvidence,
)
from domain.invoices import Invoice
from domain.mirror import MirroredObject, Row
from domain.periods import from_milliseconds
from domain.prices import Price
from domain.refunds import Refund
from domain.reporting_categories import REVERSAL, SETTLEMENT

T = TypeVar("T", bound=MirroredObject)

AT_ONCE: Final = 500
"""Of how many subjects a call gathers at most."""

_CREATED: Final = "customer.subscription.created"
_PAID: Final = "paid"
_SUCCEEDED: Final = "succeeded"
_OLDEST_FIRST: Final = Order("created", descending=False)
_PAGE: Final = 1_000
_MAX_PAGES: Final = 10
"""How many pages of a customer's paid invoices, the newest, are evidence."""

_TOGETHER: Final = 20
"""Of how many customers the invoices are read at once, as long as they fit into a page."""

_CHARGES_TOGETHER: Final = 100
"""Of how many charges the refunds are read at once: the mirror takes no more values."""

_FIRST_CHARGES: Final = 100
"""Among how many of a customer's charges the first that took money is looked for."""


class Gathering:
    """Gathers evidence: rows that were kept, and what the mirror holds and never loses.

    Paid invoices, captured charges, refunds and disputes cannot be deleted at Stripe, so they are
    evidence as they are mirrored. All methods raise Unavailable (STORE_UNAVAILABLE) when the store
    does not answer; of at most AT_ONCE subjects a call.
    """

    def __init__(self, evidence: EvidenceStore, mirror: Mirror) -> None:
        self._evidence = evidence
        self._mirror = mirror

    async def customers(
        self,
        stripe_account: str,
        ids: Sequence[str],
        first_paid: Mapping[str, dt.datetime | None] | None = None,
    ) -> Mapping[str, CustomerEvidence]:
        """All that is known of each customer.

        `first_paid` says of customers when they first paid, where nobody has to look for that.
        """
        kept = await self._evidence.of(stripe_account, ids)
        rows = await self._mirror.fetch(CUSTOMERS, stripe_account, ids)
        unseen = [id_ for id_ in ids if not _seen_from_the_start(kept.get(id_, ()))]
        tried = [id_ for id_ in ids if _had_a_trial(kept.get(id_, ()))]
        invoices = await self._paid_invoices(stripe_account, sorted({*unseen, *tried}))
        reconstructed = [invoice for id_ in unseen for invoice in invoices[id_]]
        prices = await self._prices(stripe_account, reconstructed)
        paid = dict(first_paid or {})
        for id_ in ids:
            if id_ not in paid:
                paid[id_] = await self._first_paid(stripe_account, id_)
        return {
            id_: _customer(
                id_, kept.get(id_, ()), rows.get(id_), paid[id_], invoices.get(id_, ()), prices
            )
            for id_ in ids
        }

    async def charges(
        self, stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, ChargeEvidence]:
        """Each charge that is mirrored, with what it paid for and what was given back of it."""
        rows = _live(await self._mirror.fetch(CHARGES, stripe_account, ids))
        named = {id_: _told(row, INVOICE, "invoice") for id_, (_, row) in rows.items()}
        invoices = await self._fetched(INVOICES, stripe_account, filter(None, named.values()))
        refunds = await self._refunds(stripe_account, list(rows))
        found = {}
        for id_, (charge, row) in rows.items():
            settled = _told(row, SETTLEMENT, "created")
            found[id_] = ChargeEvidence(
                charge,
                None if settled is None else from_milliseconds(settled),
                invoices.get(named[id_] or ""),
                tuple(refunds.get(id_, ())),
            )
        return found

    async def disputes(
        self, stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, DisputeEvidence]:
        """Each dispute that is mirrored, with when it was closed and reversed."""
        rows = _live(await self._mirror.fetch(DISPUTES, stripe_account, ids))
        kept = await self._evidence.of(stripe_account, list(rows))
        found = {}
        for id_, (dispute, row) in rows.items():
            closed = [one.at for one in kept.get(id_, ()) if isinstance(one, ClosingEvidence)]
            back = _told(row, REVERSAL, "created")
            found[id_] = DisputeEvidence(
                dispute,
                min(closed, default=None),
                None if back is None else from_milliseconds(back),
            )
        return found

    async def _first_paid(self, stripe_account: str, customer: str) -> dt.datetime | None:
        """When the customer's first charge that took money counts."""
        page = await self._mirror.list(
            CHARGES,
            stripe_account,
            Filter({"customer": customer, "status": _SUCCEEDED}),
            order=_OLDEST_FIRST,
            after=None,
            limit=_FIRST_CHARGES,
        )
        for row in page.rows:
            charge = row.snapshot.object if row.snapshot else None
            if charge is not None and charge.amount_captured.amount > 0:
                settled = _told(row, SETTLEMENT, "created")
                return charge.created if settled is None else from_milliseconds(settled)
        return None

    async def _paid_invoices(
        self, stripe_account: str, customers: Sequence[str]
    ) -> Mapping[str, Sequence[Invoice]]:
        """The paid invoices of each customer, in order of time."""
        found: dict[str, list[Invoice]] = {customer: [] for customer in customers}
        for start in range(0, len(customers), _TOGETHER):
            some = customers[start : start + _TOGETHER]
            rows = await self._mirror.having(
                INVOICES, stripe_account, "customer", some, limit=_PAGE
            )
            if len(rows) == _PAGE:
                for customer in some:
                    found[customer] = await self._pages(stripe_account, customer)
                continue
            for row in rows:
                if row.object.status == _PAID and row.object.customer is not None:
                    found[row.object.customer].append(row.object)
        for invoices in found.values():
            invoices.sort(key=lambda invoice: (invoice.created, invoice.id))
        return found

    async def _pages(self, stripe_account: str, customer: str) -> list[Invoice]:
        """The paid invoices of one customer, who has many."""
        found: list[Invoice] = []
        after: Position | None = None
        for _ in range(_MAX_PAGES):
            page = await self._mirror.list(
                INVOICES,
                stripe_account,
                Filter({"customer": customer, "status": _PAID}),
                order=NEWEST_FIRST,
                after=after,
                limit=_PAGE,
            )
            found += [
                row.snapshot.object for row in page.rows if row.snapshot and row.snapshot.object
            ]
            after = page.next
            if after is None:
                break
        return found

    async def _prices(
        self, stripe_account: str, invoices: Iterable[Invoice]
    ) -> Mapping[str, Price]:
        """The prices of invoices' lines, which tell what a line is by."""
        ids = {line.price for invoice in invoices for line in invoice.lines if line.price}
        return await self._fetched(PRICES, stripe_account, ids)

    async def _refunds(
        self, stripe_account: str, charges: Sequence[str]
    ) -> Mapping[str, Sequence[tuple[Refund, Any]]]:
        """The refunds of each charge that have taken money, each with when it first did."""
        found: dict[str, list[tuple[Refund, Any]]] = defaultdict(list)
        for start in range(0, len(charges), _CHARGES_TOGETHER):
            ids = await self._refunded(stripe_account, charges[start : start + _CHARGES_TOGETHER])
            rows = await self._mirror.fetch(REFUNDS, stripe_account, ids) if ids else {}
            for refund, row in _live(rows).values():
                at = _told(row, FIRST, "at")
                if at is not None and refund.charge is not None:
                    found[refund.charge].append((refund, from_milliseconds(at)))
        for refunds in found.values():
            refunds.sort(key=lambda pair: (pair[1], pair[0].id))
        return found

    async def _refunded(self, stripe_account: str, charges: Sequence[str]) -> Sequence[str]:
        """The refunds of charges, by id; where they fill a page, each charge by itself."""
        told = await self._mirror.having(REFUNDS, stripe_account, "charge", charges, limit=_PAGE)
        if len(told) == _PAGE and len(charges) > 1:
            apart = [await self._refunded(stripe_account, [charge]) for charge in charges]
            return [id_ for ids in apart for id_ in ids]
        return [one.object.id for one in told]

    async def _fetched(
        self, noun: Noun[T], stripe_account: str, ids: Iterable[str]
    ) -> Mapping[str, T]:
        wanted = sorted(set(ids))
        found: dict[str, T] = {}
        for start in range(0, len(wanted), _PAGE):
            rows = await self._mirror.fetch(noun, stripe_account, wanted[start : start + _PAGE])
            found |= {id_: each for id_, (each, _) in _live(rows).items()}
        return found


def _live(rows: Mapping[str, Row[T]]) -> dict[str, tuple[T, Row[T]]]:
    return {
        id_: (row.snapshot.object, row)
        for id_, row in rows.items()
        if row.snapshot is not None and row.snapshot.object is not None
    }


def _told(row: Row[Any], facet: str, name: str) -> Any:
    """A value of a facet; None where nobody has told it."""
    derived = row.derived.get(facet)
    return None if derived is None else derived.values.get(name)


def _customer(
    id_: str,
    kept: Sequence[Evidence],
    row: Row[Customer] | None,
    first_paid: dt.datetime | None,
    invoices: Sequence[Invoice],
    prices: Mapping[str, Price],
) -> CustomerEvidence:
    subscriptions = tuple(one for one in kept if isinstance(one, SubscriptionEvidence))
    discounts = tuple(one for one in kept if isinstance(one, DiscountEvidence))
    created = [one.created for one in discounts if one.created is not None]
    if row is not None and row.snapshot is not None and row.snapshot.object is not None:
        created.append(row.snapshot.object.created)
    return CustomerEvidence(
        id_,
        min(created, default=None),
        first_paid,
        subscriptions,
        discounts,
        tuple(invoices),
        prices,
        _coupons(subscriptions, discounts),
    )


def _had_a_trial(kept: Sequence[Evidence]) -> bool:
    """Whether invoices tell what became of a trial."""
    return any(
        row.subscription.trial_end is not None
        for row in kept
        if isinstance(row, SubscriptionEvidence)
    )


def _seen_from_the_start(kept: Sequence[Evidence]) -> bool:
    """Whether every subscription was seen as it began: then invoices need not tell what it was."""
    first: dict[str, str] = {}
    for row in kept:
        if isinstance(row, SubscriptionEvidence):
            first.setdefault(row.subscription.id, row.event_type)
    return all(event_type == _CREATED for event_type in first.values())


def _coupons(
    subscriptions: Iterable[SubscriptionEvidence], discounts: Iterable[DiscountEvidence]
) -> Mapping[str, Coupon]:
    """The coupons that are known, by the id of a discount."""
    told = [one for row in subscriptions for one in row.subscription.discount_details]
    told += [row.discount for row in discounts if row.discount is not None]
    return {discount.id: discount.coupon for discount in told if discount.coupon is not None}
