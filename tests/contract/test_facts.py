"""The promises of `application.facts.ports`: evidence, facts, and what is due."""

import asyncio
import datetime as dt
from dataclasses import replace
from functools import partial

import pytest

from application.facts.gathering import Gathering
from application.facts.ports import MAX_ROWS, Due, Topic
from application.mirror.nouns import CHARGES, REFUNDS
from domain.attribution import FIRST
from domain.charges import Charge
from domain.coupons import Coupon, Discount
from domain.evidence import ClosingEvidence, DiscountEvidence, SubscriptionEvidence
from domain.facts import Basis, Fact, Series, Statement
from domain.mirror import Facet, Version
from domain.money import Money
from domain.periods import to_milliseconds
from domain.prices import Recurrence, Tier, TransformQuantity
from domain.refunds import Refund
from domain.subscriptions import Subscription, SubscriptionItem
from tests.contract.samples import NOON, OURS, SECOND, THEIRS, store_new
from tests.contract.test_plans import assert_ordered, plans_of, plans_or_nothing
from tests.support.servers.stores import Stores

KNOWN = NOON + dt.timedelta(days=1)
OFF = Discount("di_1", "SALE", Coupon("SALE", NOON, "forever", percent_off="33.3"), NOON)
ITEM = SubscriptionItem(
    "si_1", "price_1", "prod_1", 3, "usd", None, None, Recurrence("month", 1), NOON, NOON + SECOND,
    "tiered", "graduated", (Tier(5, 10, "10", 1, "1.5"), Tier(None)), TransformQuantity(10, "up"),
    ("di_1",),
)  # fmt: skip
SUBSCRIPTION = Subscription(
    "sub_1", NOON, "cus_1", "active", "usd", (ITEM,), metadata={"a.b": "$c"}, discounts=("di_2",),
    discount_details=(OFF,), cancellation_reason="payment_failed", billing_mode="flexible",
)  # fmt: skip


def shown(
    id_: str, *, at: dt.datetime = NOON, customer: str = "cus_1", status: str = "active"
) -> SubscriptionEvidence:
    subscription = replace(SUBSCRIPTION, customer=customer, status=status)
    return SubscriptionEvidence(
        id_, at, KNOWN, subscription, "customer.subscription.updated", frozenset({"metadata"}), True
    )


def fact(
    generation: int,
    *,
    subject: str = "cus_1",
    series: Series = Series.MRR,
    amount: int = 120_000,
    restates: int = 0,
) -> Fact:
    statement = Statement(
        series, subject, NOON + SECOND * generation, "new", "usd", amount, 1, "cause", subject,
        "prod_1", "sub_1", Basis.RECONSTRUCTED,
    )  # fmt: skip
    return Fact(statement, generation, KNOWN, restates)


async def test_evidence_comes_in_stripes_order(stores: Stores) -> None:
    first = SubscriptionEvidence("read:sub_1", NOON, KNOWN, SUBSCRIPTION)
    second = shown("evt_9", at=NOON + SECOND)
    third = DiscountEvidence(
        "evt_1", NOON + 2 * SECOND, KNOWN, "cus_1", OFF, "customer.discount.created", NOON
    )
    fourth = DiscountEvidence("evt_3", NOON + 2 * SECOND, KNOWN, "cus_1", None)
    closing = ClosingEvidence("evt_7", NOON, KNOWN, "dp_1", "charge.dispute.closed")
    other = shown("evt_8", customer="cus_2")
    await stores.evidence.append(OURS, [fourth, third, second, first, closing, other])
    await stores.evidence.append(THEIRS, [shown("evt_9", status="theirs")])
    assert await stores.evidence.of(OURS, ["cus_1", "dp_1", "cus_3"]) == {
        "cus_1": [first, second, third, fourth],
        "dp_1": [closing],
    }
    assert await stores.evidence.of(OURS, ["cus_2"]) == {"cus_2": [other]}
    assert await stores.evidence.of(OURS, []) == {}


async def test_of_evidence_the_first_row_of_an_id_stands(stores: Stores) -> None:
    await stores.evidence.append(OURS, [shown("evt_1")])
    await stores.evidence.append(OURS, [])
    await stores.evidence.append(OURS, [shown("evt_1", status="canceled"), shown("evt_2")])
    assert await stores.evidence.of(OURS, ["cus_1"]) == {"cus_1": [shown("evt_1"), shown("evt_2")]}
    assert await stores.evidence.known(OURS, ["evt_1", "evt_3"]) == {"evt_1"}
    assert await stores.evidence.known(THEIRS, ["evt_1"]) == frozenset()
    assert await stores.evidence.known(OURS, []) == frozenset()


async def test_subjects_come_in_order_each_once(stores: Stores) -> None:
    rows = [shown(f"evt_{n}", customer=f"cus_{n % 3}") for n in range(7)]
    await stores.evidence.append(OURS, rows)
    await stores.evidence.append(THEIRS, [shown("evt_9", customer="cus_9")])
    assert await stores.evidence.subjects(OURS) == ["cus_0", "cus_1", "cus_2"]
    assert await stores.evidence.subjects(OURS, after="cus_1") == ["cus_2"]
    assert await stores.evidence.subjects(OURS, after="cus_2") == []


async def test_facts_stand_by_series_and_subject(stores: Stores) -> None:
    mine = [fact(1), fact(2, amount=-(2**62), restates=1), fact(1, series=Series.TRIAL)]
    assert await stores.facts.post(OURS, mine) == 3
    assert await stores.facts.post(OURS, [fact(1, subject="cus_2")]) == 1
    assert await stores.facts.post(THEIRS, [fact(1, amount=7)]) == 1
    assert await stores.facts.post(OURS, []) == 0
    assert await stores.facts.standing(OURS, [Series.MRR], ["cus_1", "cus_3"]) == {
        (Series.MRR, "cus_1"): mine[:2]
    }
    both = [Series.MRR, Series.TRIAL]
    assert await stores.facts.standing(OURS, both, ["cus_1", "cus_2"]) == {
        (Series.MRR, "cus_1"): mine[:2],
        (Series.TRIAL, "cus_1"): mine[2:],
        (Series.MRR, "cus_2"): [fact(1, subject="cus_2")],
    }
    assert await stores.facts.standing(OURS, both, []) == {}


async def test_facts_are_posted_up_to_the_first_whose_place_is_taken(stores: Stores) -> None:
    await stores.facts.post(OURS, [fact(1), fact(2)])
    offered = [fact(1, subject="cus_2"), fact(2, amount=5), fact(3), fact(1, subject="cus_3")]
    assert await stores.facts.post(OURS, offered) == 1
    standing = await stores.facts.standing(OURS, [Series.MRR], ["cus_1", "cus_2", "cus_3"])
    assert standing == {
        (Series.MRR, "cus_1"): [fact(1), fact(2)],
        (Series.MRR, "cus_2"): [fact(1, subject="cus_2")],
    }


async def test_of_two_writers_one_posts(stores: Stores) -> None:
    posted = await asyncio.gather(
        *(
            stores.facts.post(OURS, [fact(1, amount=writer), fact(2, amount=writer)])
            for writer in (1, 2, 3, 4)
        )
    )
    assert sorted(posted) == [0, 0, 0, 2]
    ((_, standing),) = (await stores.facts.standing(OURS, [Series.MRR], ["cus_1"])).items()
    assert len({each.statement.amount for each in standing}) == 1


async def test_the_earliest_instant_of_a_subject_is_due(stores: Stores) -> None:
    one = Due(OURS, Topic.CUSTOMER, "cus_1", NOON + 3 * SECOND)
    other = Due(THEIRS, Topic.CUSTOMER, "cus_1", NOON + 2 * SECOND)
    charge = Due(OURS, Topic.CHARGE, "cus_1", NOON)
    await stores.dues.plan([one, other, charge])
    await stores.dues.plan([replace(one, due_at=NOON + SECOND), replace(one, due_at=KNOWN)])
    await stores.dues.plan([])
    sooner = replace(one, due_at=NOON + SECOND)
    assert await stores.dues.due(NOON + 2 * SECOND, limit=10) == [charge, sooner, other]
    assert await stores.dues.due(NOON + 2 * SECOND, limit=1) == [charge]
    assert await stores.dues.due(NOON - SECOND, limit=10) == []
    assert await stores.dues.earliest(OURS) == NOON
    assert await stores.dues.earliest("acct_none") is None


async def test_what_is_due_moves_unless_it_was_planned_anew(stores: Stores) -> None:
    due = Due(OURS, Topic.CUSTOMER, "cus_1", NOON)
    await stores.dues.plan([due])
    await stores.dues.move(due, NOON + SECOND)
    moved = replace(due, due_at=NOON + SECOND)
    assert await stores.dues.due(KNOWN, limit=10) == [moved]
    await stores.dues.move(due, None)
    await stores.dues.move(due, KNOWN)
    assert await stores.dues.due(KNOWN, limit=10) == [moved]
    await stores.dues.move(moved, None)
    assert await stores.dues.due(KNOWN, limit=10) == []


async def test_more_than_the_bounds_is_refused(stores: Stores) -> None:
    many = [f"cus_{number}" for number in range(MAX_ROWS + 1)]
    with pytest.raises(ValueError, match="at most"):
        await stores.evidence.append(OURS, [shown(id_) for id_ in many])
    with pytest.raises(ValueError, match="at most"):
        await stores.evidence.of(OURS, many)
    with pytest.raises(ValueError, match="at most"):
        await stores.facts.standing(OURS, [Series.MRR], many)
    with pytest.raises(ValueError, match="at most"):
        await stores.facts.post(OURS, [fact(1, subject=id_) for id_ in many])
    with pytest.raises(ValueError, match="at most"):
        await stores.dues.plan([Due(OURS, Topic.CUSTOMER, id_, NOON) for id_ in many])


async def test_every_query_uses_an_index(stores: Stores) -> None:
    for number in range(9):
        await stores.evidence.append(OURS, [shown(f"evt_{number}", customer=f"cus_{number}")])
        await stores.facts.post(OURS, [fact(1, subject=f"cus_{number}")])
        await stores.dues.plan([Due(OURS, Topic.CUSTOMER, f"cus_{number}", NOON)])
    await assert_ordered(stores, partial(stores.evidence.of, OURS, ["cus_1"]))
    await plans_of(stores, partial(stores.evidence.of, OURS, ["cus_1", "cus_2"]))
    await assert_ordered(stores, partial(stores.evidence.subjects, OURS))
    await plans_of(stores, partial(stores.evidence.known, OURS, ["evt_1", "evt_2"]))
    both = [Series.MRR, Series.TRIAL]
    await assert_ordered(stores, partial(stores.facts.standing, OURS, both, ["cus_1", "cus_2"]))
    await assert_ordered(stores, partial(stores.dues.due, KNOWN, limit=5))
    await assert_ordered(stores, partial(stores.dues.earliest, OURS))
    moved = Due(OURS, Topic.CUSTOMER, "cus_1", NOON)
    await plans_or_nothing(stores, lambda: stores.dues.move(moved, KNOWN))
    await plans_or_nothing(stores, lambda: stores.evidence.append(OURS, [shown("evt_77")]))
    await plans_or_nothing(stores, lambda: stores.facts.post(OURS, [fact(1, subject="cus_77")]))


async def test_charges_are_gathered_many_at_once(stores: Stores) -> None:
    """No more values than the mirror takes go into a question of it."""
    usd = Money(500, "usd")
    ids = [f"ch_{number:03}" for number in range(250)]
    charges = [Charge(id_, NOON, usd, usd, usd, "succeeded", True, True, False) for id_ in ids]
    await store_new(stores.mirror, CHARGES, *charges)
    refunds = [Refund(f"re_{id_}", NOON, usd, "succeeded", id_) for id_ in ids[::60]]
    await store_new(stores.mirror, REFUNDS, *refunds)
    told = {"at": to_milliseconds(NOON)}
    await stores.mirror.derive(
        REFUNDS, [Facet(OURS, each.id, FIRST, told, Version.of_event(1)) for each in refunds]
    )
    gathered = await Gathering(stores.evidence, stores.mirror).charges(OURS, ids)
    assert len(gathered) == 250
    assert [id_ for id_ in ids if gathered[id_].refunded] == ids[::60]
