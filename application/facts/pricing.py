"""Pricing: evidence gets what an event leaves out, tiers and coupons, from whom knows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from application.mirror.nouns import COUPONS, PRICES, SUBSCRIPTIONS
from application.mirror.ports import Mirror, Noun
from application.mirror.rereader import Rereader
from domain.coupons import Coupon, Discount
from domain.errors import BillingError, NotFound
from domain.evidence import DiscountEvidence, Evidence, SubscriptionEvidence
from domain.mirror import LAST, Row
from domain.oddities import is_hopeless
from domain.periods import from_milliseconds, to_milliseconds
from domain.prices import TIERED, Price
from domain.subscriptions import Subscription, SubscriptionItem

_PAGE: Final = 1_000


@dataclass(slots=True)
class Priced:
    """Rows with all that could be found, and those that have to come again, by id."""

    rows: list[Evidence] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


class Pricing:
    """Completes evidence while it comes, since later nobody knows any more what stood then.

    An event has the ids of discounts alone: what they are is in the mirror, where a read has told
    it, or in the subscription at Stripe, which is then read once. Coupons and tiers likewise. What
    Stripe does not tell stays unknown, and nothing is taken off for it.
    """

    def __init__(self, mirror: Mirror, rereader: Rereader) -> None:
        self._mirror = mirror
        self._rereader = rereader

    async def priced(self, stripe_account: str, rows: Sequence[Evidence]) -> Priced:
        """The rows of a Stripe account, completed. Raises Unavailable where the store is away."""
        failed: dict[tuple[str, str], Exception] = {}
        details = await self._details(stripe_account, rows, failed)
        coupons = await self._coupons(stripe_account, rows, details, failed)
        prices = await self._prices(stripe_account, rows, failed)
        priced = Priced()
        for row in rows:
            error = next((failed[key] for key in _looks_at(row, details) if key in failed), None)
            if error is not None:
                priced.failed[row.id] = error
            else:
                priced.rows.append(_completed(row, details, coupons, prices))
        return priced

    async def _details(
        self,
        stripe_account: str,
        rows: Sequence[Evidence],
        failed: dict[tuple[str, str], Exception],
    ) -> Mapping[str, Discount]:
        """The discounts of subscriptions by id, as far as anybody tells them."""
        shown = [row for row in rows if isinstance(row, SubscriptionEvidence)]
        found = {one.id: one for row in shown for one in row.subscription.discount_details}

        def lacking() -> dict[str, int]:
            return {
                row.subscription.id: to_milliseconds(row.at)
                for row in shown
                if not _discount_ids(row.subscription) <= found.keys()
            }

        for read in (False, True):
            wanted = lacking()
            if not wanted:
                break
            if read:
                await self._read(SUBSCRIPTIONS, stripe_account, wanted, failed)
            stored = await self._fetch(SUBSCRIPTIONS, stripe_account, wanted)
            for row in stored.values():
                if row.snapshot is not None and row.snapshot.object is not None:
                    told: Subscription = row.snapshot.object
                    found |= {one.id: one for one in told.discount_details if one.id not in found}
        return found

    async def _coupons(
        self,
        stripe_account: str,
        rows: Sequence[Evidence],
        details: Mapping[str, Discount],
        failed: dict[tuple[str, str], Exception],
    ) -> Mapping[str, Coupon]:
        """The coupons by id, with what they apply to."""
        discounts = [*details.values()]
        discounts += [
            row.discount for row in rows if isinstance(row, DiscountEvidence) and row.discount
        ]
        at = max((to_milliseconds(row.at) for row in rows), default=0)
        wanted = {one.coupon_id: at for one in discounts if one.coupon_id is not None}
        stored = await self._known(COUPONS, stripe_account, wanted, failed)
        embedded = {one.coupon.id: one.coupon for one in discounts if one.coupon is not None}
        return {**embedded, **stored}

    async def _prices(
        self,
        stripe_account: str,
        rows: Sequence[Evidence],
        failed: dict[tuple[str, str], Exception],
    ) -> Mapping[str, Price]:
        """The prices by id of items whose tiers were not told."""
        wanted = {
            item.price: to_milliseconds(row.at)
            for row in rows
            if isinstance(row, SubscriptionEvidence)
            for item in row.subscription.items
            if _lacks_tiers(item)
        }
        return await self._known(PRICES, stripe_account, wanted, failed, "tiers")

    async def _known(
        self,
        noun: Noun[Any],
        stripe_account: str,
        wanted: Mapping[str, int],
        failed: dict[tuple[str, str], Exception],
        field_name: str = "",
    ) -> dict[str, Any]:
        """Objects by id, from the mirror, or read once where that does not tell them.

        `field_name` is a field that has to be told.
        """

        def tells(row: Row[Any] | None) -> bool:
            snapshot = None if row is None else row.snapshot
            return snapshot is not None and field_name not in snapshot.unknown

        rows = await self._fetch(noun, stripe_account, wanted)
        lacking = {id_: at for id_, at in wanted.items() if not tells(rows.get(id_))}
        if lacking:
            await self._read(noun, stripe_account, lacking, failed)
            rows |= await self._fetch(noun, stripe_account, lacking)
        return {id_: found for id_, row in rows.items() if (found := _shown(noun, row)) is not None}

    async def _read(
        self,
        noun: Noun[Any],
        stripe_account: str,
        wanted: Mapping[str, int],
        failed: dict[tuple[str, str], Exception],
    ) -> None:
        """Read objects once; notes what may be told another time, not what never will."""
        results = await self._rereader.read(
            noun, {(stripe_account, id_): at for id_, at in wanted.items()}
        )
        for (_, id_), result in results.items():
            if isinstance(result, NotFound):
                continue
            if isinstance(result, BillingError) and not is_hopeless(result):
                failed[noun.name, id_] = result

    async def _fetch(
        self, noun: Noun[Any], stripe_account: str, ids: Iterable[str]
    ) -> dict[str, Row[Any]]:
        wanted = sorted(set(ids))
        found: dict[str, Row[Any]] = {}
        for start in range(0, len(wanted), _PAGE):
            found |= await self._mirror.fetch(noun, stripe_account, wanted[start : start + _PAGE])
        return found


def _shown(noun: Noun[Any], row: Row[Any]) -> Any:
    """What a row shows, of a deleted coupon what it was at last; None where nobody knows."""
    if row.snapshot is not None and row.snapshot.object is not None:
        return row.snapshot.object
    last = row.derived.get(LAST)
    if noun.name != COUPONS.name or last is None or "duration" not in last.values:
        return None
    created = from_milliseconds(last.version.bounded().low)
    return msgspec.convert({"id": row.id, "created": created, **last.values}, Coupon)


def _discount_ids(subscription: Subscription) -> set[str]:
    return {
        *subscription.discounts,
        *(id_ for item in subscription.items for id_ in item.discounts),
    }


def _lacks_tiers(item: SubscriptionItem) -> bool:
    return item.billing_scheme == TIERED and item.tiers is None


def _looks_at(row: Evidence, details: Mapping[str, Discount]) -> list[tuple[str, str]]:
    """What a row's completion depends on, by noun and id."""
    match row:
        case SubscriptionEvidence():
            subscription = row.subscription
            keys = [(SUBSCRIPTIONS.name, subscription.id)]
            keys += [(PRICES.name, one.price) for one in subscription.items if _lacks_tiers(one)]
            told = [details[id_] for id_ in _discount_ids(subscription) if id_ in details]
        case DiscountEvidence():
            keys, told = [], [row.discount] if row.discount is not None else []
        case _:
            return []
    return keys + [(COUPONS.name, one.coupon_id) for one in told if one.coupon_id is not None]


def _completed(
    row: Evidence,
    details: Mapping[str, Discount],
    coupons: Mapping[str, Coupon],
    prices: Mapping[str, Price],
) -> Evidence:
    def whole(discount: Discount) -> Discount:
        coupon = coupons.get(discount.coupon_id or "", discount.coupon)
        return replace(discount, coupon=coupon)

    match row:
        case SubscriptionEvidence():
            ids = sorted(_discount_ids(row.subscription) & details.keys())
            subscription = replace(
                row.subscription,
                items=tuple(_with_tiers(item, prices) for item in row.subscription.items),
                discount_details=tuple(whole(details[id_]) for id_ in ids),
            )
            unknown = row.unknown - {"discount_details"}
            return replace(row, subscription=subscription, unknown=unknown)
        case DiscountEvidence():
            return replace(row, discount=row.discount and whole(row.discount))
        case _:
            return row


def _with_tiers(item: SubscriptionItem, prices: Mapping[str, Price]) -> SubscriptionItem:
    price = prices.get(item.price)
    if price is None or not _lacks_tiers(item):
        return item
    return replace(item, tiers=price.tiers, tiers_mode=item.tiers_mode or price.tiers_mode)
