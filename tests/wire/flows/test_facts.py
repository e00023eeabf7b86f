"""Facts of a real account at the emulator: what is posted, by events, by the clock, by a walk."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, cast

import pytest
from typing_extensions import override

from application.events.event_log import EventFilter
from application.events.inbox import EventState
from application.facts import posting
from application.facts.ports import FactStore, Topic
from application.facts.posting import SERIES
from application.mirror.stripe import ObjectReader
from domain.errors import Reason, Unavailable
from domain.evidence import SubscriptionEvidence
from domain.facts import Basis, Fact, Series, Statement
from domain.mirror import Snapshot
from tests.support.rooms.facts import ALL, FactsOfFlows
from tests.support.rooms.upkeep import CARD, Flows
from tests.wire.flows.test_closing import closed_through, keep_current, let_hours_close

DAY = 86_400
START = 1_772_323_200  # 2026-03-01T00:00:00Z


@pytest.fixture
async def facts(flows: Flows) -> FactsOfFlows:
    """An account of before which nothing is known, at the beginning of a month."""
    await flows.set_time(START)
    found = FactsOfFlows(flows)
    await found.import_all()
    return found


async def customer_of(flows: Flows) -> str:
    made = await flows.post("/v1/customers", name="Ada")
    method = await flows.post(f"/v1/payment_methods/{CARD}/attach", customer=made["id"])
    settings = {"default_payment_method": method["id"]}
    await flows.post(f"/v1/customers/{made['id']}", invoice_settings=settings)
    return str(made["id"])


async def price_of(flows: Flows, amount: int = 3_000, **params: Any) -> str:
    product = await flows.post("/v1/products", name="Gold")
    recurring = params.pop("recurring", {"interval": "month"})
    made = await flows.post(
        "/v1/prices",
        product=product["id"], currency="usd", recurring=recurring,
        **({"unit_amount": amount} | params),
    )  # fmt: skip
    return str(made["id"])


async def subscribed(flows: Flows, customer: str, price: str, **params: Any) -> dict[str, Any]:
    return await flows.post(
        "/v1/subscriptions", customer=customer, items=[{"price": price, "quantity": 1}], **params
    )


async def test_events_post_what_happened_and_repeats_nothing(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    made = await subscribed(flows, customer, price)
    await facts.follow()
    assert await facts.kinds(customer) == [("new", 3_000)]
    await flows.pass_time(10 * DAY)
    item = made["items"]["data"][0]["id"]
    await flows.post(f"/v1/subscription_items/{item}", quantity=2)
    await facts.follow()
    await flows.pass_time(10 * DAY)
    await flows.delete(f"/v1/subscriptions/{made['id']}")
    await facts.follow()
    assert await facts.kinds(customer) == [("new", 3_000), ("expansion", 3_000), ("churn", -6_000)]
    assert sum(fact.statement.count for fact in await facts.standing(customer)) == 0
    before = {series: await facts.standing(customer, series=series) for series in ALL}
    assert [fact.statement.kind for fact in before[Series.NEW_CUSTOMER]] == ["new_customer"]
    assert [fact.statement.kind for fact in before[Series.FIRST_PAYMENT]] == ["first_payment"]
    assert (await facts.rebuild()).posted == 0
    assert {series: await facts.standing(customer, series=series) for series in ALL} == before


async def test_what_is_deleted_changes_no_past_figure(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await flows.post("/v1/coupons", id="HALF", percent_off=50, duration="forever")
    await subscribed(flows, customer, price, discounts=[{"coupon": "HALF"}])
    await facts.follow()
    before = await facts.sums(customer)
    new = await facts.sums(customer, series=Series.NEW_CUSTOMER)
    await flows.pass_time(DAY)
    await flows.delete("/v1/coupons/HALF")
    await flows.delete(f"/v1/customers/{customer}")
    await facts.follow()
    after = await facts.sums(customer)
    assert before.items() <= after.items()
    assert {kind for _, kind in after.keys() - before.keys()} == {"churn", "discount"}
    await facts.rebuild()
    assert await facts.sums(customer) == after
    assert await facts.sums(customer, series=Series.NEW_CUSTOMER) == new


async def test_the_end_of_a_discount_is_posted_by_the_clock(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await flows.post(
        "/v1/coupons", id="TENTH", percent_off=10, duration="repeating", duration_in_months=1
    )
    await subscribed(flows, customer, price, discounts=[{"coupon": "TENTH"}])
    await facts.follow()
    assert ("new", 2_700) in await facts.kinds(customer)
    due = await flows.stores.dues.earliest(flows.account)
    assert due is not None
    assert due.timestamp() == START + 31 * DAY
    await flows.pass_time(31 * DAY + 5)
    await facts.due.post_all()
    ended = [
        fact.statement
        for fact in await facts.standing(customer)
        if fact.statement.cause == "discount_ended" and fact.statement.kind == "expansion"
    ]
    assert [(one.at, one.amount) for one in ended] == [(due, 300 * 10_000)]
    assert await flows.stores.dues.earliest(flows.account) is None
    await facts.follow()
    assert (await facts.rebuild()).posted == 0


async def test_a_customers_discount_is_evidence_of_its_own_events(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await flows.post("/v1/coupons", id="OFF5", amount_off=500, currency="usd", duration="forever")
    await subscribed(flows, customer, price)
    await flows.pass_time(DAY)
    await flows.emulator.control.give_discount(customer, "OFF5", account=flows.account)
    await flows.pass_time(DAY)
    await flows.delete(f"/v1/customers/{customer}/discount")
    await facts.follow()
    kinds = [(kind, amount) for kind, amount in await facts.kinds(customer) if kind != "discount"]
    assert kinds == [("new", 3_000), ("contraction", -500), ("expansion", 500)]


async def test_an_unseen_discount_is_read_once(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await flows.post("/v1/coupons", id="HALF", percent_off=50, duration="forever")
    made = await subscribed(flows, customer, price, discounts=[{"coupon": "HALF"}])
    await facts.follow()
    for name in ("one", "two"):
        await flows.pass_time(DAY)
        await flows.post(f"/v1/subscriptions/{made['id']}", metadata={"name": name})
    before = await reads(flows)
    await facts.follow()
    assert await reads(flows) == before
    kept = (await flows.stores.evidence.of(flows.account, [customer]))[customer]
    shown = [row.subscription for row in kept if isinstance(row, SubscriptionEvidence)]
    assert len(shown) >= 3
    for subscription in shown:
        ((discount),) = subscription.discount_details
        assert discount.coupon is not None
        assert discount.coupon.percent_off == "50"


async def reads(flows: Flows) -> int:
    """How many subscriptions and coupons were read so far."""
    routes = (await flows.emulator.control.stats()).routes
    assert "GET /v1/subscriptions/{id}" in routes
    return routes["GET /v1/subscriptions/{id}"] + routes.get("GET /v1/coupons/{id}", 0)


async def test_a_tiered_items_tiers_are_read(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer = await customer_of(flows)
    tiers = [{"up_to": 1, "unit_amount": 1_000}, {"up_to": "inf", "unit_amount": 400}]
    price = await price_of(
        flows, billing_scheme="tiered", tiers_mode="graduated", tiers=tiers, unit_amount=None
    )
    await flows.post(
        "/v1/subscriptions", customer=customer, items=[{"price": price, "quantity": 3}]
    )
    await facts.follow()
    assert await facts.kinds(customer) == [("new", 1_800)]


async def test_what_was_before_the_connection_is_reconstructed(flows: Flows) -> None:
    await flows.set_time(START)
    customer, price = await customer_of(flows), await price_of(flows)
    await subscribed(flows, customer, price)
    await flows.pass_time(40 * DAY)
    facts = FactsOfFlows(flows)
    await facts.import_all()
    standing = await facts.standing(customer)
    assert [(fact.statement.kind, fact.statement.basis) for fact in standing] == [
        ("new", Basis.RECONSTRUCTED)
    ]
    assert standing[0].statement.at.timestamp() == START
    assert await facts.kinds(customer, series=Series.NEW_CUSTOMER) == [("new_customer", 0)]
    await facts.follow()  # events of before say nothing else
    assert [kind for kind, _ in await facts.kinds(customer)] == ["new"]


async def test_a_charge_is_shared_once_it_is_settled(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await subscribed(flows, customer, price)
    await facts.follow()
    (charge,) = (await flows.get("/v1/charges"))["data"]
    assert await facts.standing(charge["id"], series=Series.REVENUE_LINE) == []
    await flows.balance_transactions.refresh(flows.account)
    await facts.due.post_all()
    rows = await facts.standing(charge["id"], series=Series.REVENUE_LINE)
    assert sum(fact.statement.amount for fact in rows) == 3_000 * 10_000
    assert {fact.statement.customer for fact in rows} == {customer}
    assert all(fact.statement.product for fact in rows)
    await flows.pass_time(DAY)
    await flows.post("/v1/refunds", charge=charge["id"], amount=1_000)
    await facts.follow()
    await flows.balance_transactions.refresh(flows.account)
    await facts.due.post_all()
    rows = await facts.standing(charge["id"], series=Series.REVENUE_LINE)
    assert sum(fact.statement.amount for fact in rows) == 2_000 * 10_000
    assert (await facts.rebuild()).posted == 0


async def test_many_charges_are_shared_at_once(facts: FactsOfFlows) -> None:
    """More than a query asks for at once, all with refunds."""
    flows = facts.flows
    for number in range(120):
        charge = await flows.post("/v1/charges", amount=900, currency="usd", source="tok_visa")
        if number % 40 == 0:
            await flows.post("/v1/refunds", charge=charge["id"], amount=100)
    await facts.follow()
    await flows.balance_transactions.refresh(flows.account)
    assert await facts.due.post_all() == 120
    charges = [one["id"] for one in (await flows.get("/v1/charges", limit=100))["data"]]
    rows = await facts.standing(*charges, series=Series.REVENUE_LINE)
    assert len({fact.statement.subject for fact in rows}) == len(charges)
    assert (await facts.rebuild()).posted == 0


async def test_what_is_odd_of_an_account_stops_no_other(facts: FactsOfFlows) -> None:
    """What is due of the odd one is due again later."""
    flows = facts.flows
    await flows.post("/v1/charges", amount=900, currency="usd", source="tok_visa")
    await facts.follow()
    await flows.balance_transactions.refresh(flows.account)
    dues = await flows.stores.dues.due(flows.clock.now(), limit=10)
    odd = [replace(due, stripe_account="acct_odd") for due in dues]
    await flows.stores.dues.plan(odd)
    charges = facts.gathering.charges

    async def break_of_odd(stripe_account: str, ids: Sequence[str]) -> Any:
        if stripe_account == "acct_odd":
            raise ValueError("odd")
        return await charges(stripe_account, ids)

    facts.gathering.charges = break_of_odd  # type: ignore[method-assign]
    assert await facts.due.post_all() == len(dues) == 1
    assert await flows.stores.dues.due(flows.clock.now(), limit=10) == []


async def test_a_dispute_is_closed_at_its_event(facts: FactsOfFlows) -> None:
    flows = facts.flows
    charge = await flows.post("/v1/charges", amount=900, currency="usd", source="tok_createDispute")
    await flows.pass_time(DAY)
    (dispute,) = (await flows.get("/v1/disputes"))["data"]
    await flows.emulator.control.happen(
        "disputes", dispute["id"], "close", {"status": "won"}, account=flows.account
    )
    await facts.follow()
    (fact,) = await facts.standing(dispute["id"], series=Series.DISPUTE_CLOSED)
    assert fact.statement.at.timestamp() // 60 == (START + DAY) // 60
    assert charge["id"]


class _Breaking(FactStore):
    """Posts one fact, and then is away, until it is mended."""

    shared = True

    def __init__(self, facts: FactStore) -> None:
        self._facts = facts
        self.broken = True

    @override
    async def standing(
        self, stripe_account: str, series: Sequence[Series], subjects: Sequence[str]
    ) -> Any:
        return await self._facts.standing(stripe_account, series, subjects)

    @override
    async def post(self, stripe_account: str, facts: Sequence[Fact]) -> int:
        if self.broken:
            await self._facts.post(stripe_account, facts[:1])
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the store is away")
        return await self._facts.post(stripe_account, facts)


async def test_what_was_cut_off_between_evidence_and_facts_is_posted_later(
    facts: FactsOfFlows,
) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await subscribed(flows, customer, price)
    breaking = _Breaking(flows.stores.facts)
    cut = FactsOfFlows(flows, facts=breaking)
    await flows.catch_up.poll(flows.source)
    with pytest.raises(Unavailable):
        await cut.project()
    breaking.broken = False
    await flows.pass_time(3_600)  # the claims of the process that died run out
    await cut.follow()
    assert await facts.kinds(customer) == [("new", 3_000)]
    counts = await flows.stores.event_log.counts(flows.account)
    assert counts.get(EventState.DEAD, 0) == 0
    assert (await facts.rebuild()).posted == 0


async def test_two_who_post_at_once_post_one_change_once(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await subscribed(flows, customer, price)
    other = FactsOfFlows(flows)
    await facts.follow()
    await flows.pass_time(DAY)
    await subscribed(flows, customer, await price_of(flows, 500))
    await flows.catch_up.poll(flows.source)
    projectors = [flows.projector(name, effects=each.effects)
                  for name, each in (("one", facts), ("two", other))]  # fmt: skip
    while any([await projector.project_batch() for projector in projectors]):
        pass
    assert await facts.kinds(customer) == [("new", 3_000), ("expansion", 500)]


async def test_a_proof_computes_facts_anew_from_their_evidence(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await subscribed(flows, customer, price)
    await facts.follow()
    await flows.balance_transactions.refresh(flows.account)
    unposted = await facts.proved()
    assert [each.subject.split()[0] for each in unposted.differences] == ["revenue_line"]
    await facts.due.post_all()
    proved = await facts.proved()
    assert (proved.checked, proved.differences) == (4, []), "MRR, new, first payment, a charge"
    (new,) = await facts.standing(customer)
    spoilt = replace(new.statement, amount=50_000)
    created = Statement(Series.NEW_CUSTOMER, customer, new.statement.at, "new_customer", count=1)
    await flows.stores.facts.post(
        flows.account, [Fact(spoilt, 2, new.known_at), Fact(created, 2, new.known_at)]
    )
    await flows.post(f"/v1/customers/{customer}", name="Ada L.")  # nothing follows from it
    told = {each.subject: each for each in (await facts.proved()).differences}
    at = f"{new.statement.at:%Y-%m-%dT%H:%M:%SZ}"
    mrr = told.pop(f"mrr of {customer}: new at {at}")
    assert (mrr.currency, mrr.expected, mrr.found) == ("usd", 3_000, 3_005)
    (wrong,) = told.values()
    assert wrong.subject == f"new_customer of {customer}: new_customer at {at}, 0 expected, 1 found"
    assert (await facts.rebuild()).posted == 2
    assert not (await facts.proved()).differences


async def test_closing_waits_for_what_is_still_to_be_posted(facts: FactsOfFlows) -> None:
    flows = facts.flows
    assert await facts.first_reads.oldest(flows.account) is None
    customer, price = await customer_of(flows), await price_of(flows)
    await flows.post(
        "/v1/coupons", id="TENTH", percent_off=10, duration="repeating", duration_in_months=1
    )
    await subscribed(flows, customer, price, discounts=[{"coupon": "TENTH"}])
    await facts.follow()
    assert await facts.first_reads.oldest(flows.account) == (START + 31 * DAY) * 1_000
    fresh = FactsOfFlows(flows)
    flows.account = "acct_other"
    assert await fresh.first_reads.oldest(flows.account) == 0


class _Copied(ObjectReader):
    """Shows the objects of one account as those of another."""

    def __init__(self, objects: ObjectReader, real: str) -> None:
        self._objects = objects
        self._real = real

    @override
    async def read(
        self, noun: Any, stripe_account: str, object_id: str, **how: Any
    ) -> Snapshot[Any]:
        shown = await self._objects.read(noun, self._real, object_id, **how)
        return replace(shown, stripe_account=stripe_account)


@pytest.mark.parametrize("seed", range(4))
async def test_any_order_of_delivery_and_repeats_post_the_same(
    facts: FactsOfFlows, seed: int
) -> None:
    flows = facts.flows
    customers = [await customer_of(flows) for _ in range(3)]
    prices = [await price_of(flows, 3_000), await price_of(flows, 500)]
    await flows.post(
        "/v1/coupons", id="TENTH", percent_off=10, duration="repeating", duration_in_months=1
    )
    made = [await subscribed(flows, customers[0], prices[0], discounts=[{"coupon": "TENTH"}])]
    made.append(await subscribed(flows, customers[1], prices[0]))
    made.append(await subscribed(flows, customers[2], prices[1], trial_period_days=5))
    await flows.pass_time(3 * DAY)
    await flows.emulator.control.give_discount(customers[1], "TENTH", account=flows.account)
    item = made[1]["items"]["data"][0]["id"]
    await flows.post(f"/v1/subscription_items/{item}", quantity=3)
    await flows.delete(f"/v1/subscriptions/{made[0]['id']}")
    await subscribed(flows, customers[0], prices[1])
    await flows.pass_time(7 * DAY)
    await flows.post(f"/v1/subscriptions/{made[2]['id']}", pause_collection={"behavior": "void"})
    await facts.follow()

    page = await flows.lister.events(
        flows.account, flows.place, since_ms=START * 1_000, priority=flows.priority
    )
    chance = Random(seed)  # noqa: S311 - the order of a test
    told = [*page.items, *chance.sample(list(page.items), 10)]
    chance.shuffle(told)
    copy = Flows(flows.emulator, flows.sdk, flows.api, flows.stores, "acct_copy", clock=flows.clock)
    copy.objects = cast("Any", _Copied(flows.objects, flows.account))
    copied = FactsOfFlows(copy)
    for number, event in enumerate(told):
        await copy.stores.inbox.append(
            replace(event, id=f"copy_{event.id}", stripe_account="acct_copy")
        )
        if number % 5 == 4:
            await copied.project()
    await copied.project()
    for series in SERIES[Topic.CUSTOMER]:
        expected = await facts.sums(*customers, series=series)
        assert await copied.sums(*customers, series=series) == expected, series
    assert await facts.kinds(*customers)
    assert (await copied.rebuild()).posted == 0


async def test_a_dead_letter_that_is_retried_after_closing_restates(
    facts: FactsOfFlows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    await facts.follow()
    await let_hours_close(flows)
    made = await subscribed(flows, customer, price)
    at = flows.clock.now()

    def poisoned(*_: Any) -> Any:
        raise ValueError("nobody understands it")

    monkeypatch.setattr(posting, "statements_of", poisoned)
    for _ in range(30):
        await facts.follow()
        await flows.pass_time(3_600)
    monkeypatch.undo()
    counts = await flows.stores.event_log.counts(flows.account)
    assert counts[EventState.DEAD] > 0
    assert await facts.kinds(customer) == []
    await keep_current(flows)
    await let_hours_close(flows)
    closed = await closed_through(flows)
    assert closed is not None
    assert closed > at, "a dead letter holds up no closing"
    known_by = flows.clock.now()
    figures, edges = flows.stores.fact_figures, (at - dt.timedelta(days=1), closed)
    asked = partial(figures.sums, flows.account, Series.MRR, edges)
    before = await asked()
    assert not before
    await flows.pass_time(60)
    dead = await flows.stores.event_log.list(
        EventFilter(flows.account, EventState.DEAD), after=None, limit=100
    )
    await flows.stores.event_log.retry([each.id for each in dead], now=flows.clock.now())
    await facts.project()
    (new,) = await facts.standing(customer)
    assert (new.statement.kind, new.statement.source, new.late) == ("new", made["id"], True)
    restated = flows.stores.fact_rows.restated
    assert await restated(flows.account, Series.MRR, after=None, limit=9) == [new]
    assert [each.amount for each in await asked()] == [30_000_000]
    assert await asked(known_by=known_by) == before, "as it was answered then"


async def test_unpaid_then_recovered_then_canceled(facts: FactsOfFlows) -> None:
    flows = facts.flows
    await flows.emulator.control.end_dunning_with("unpaid")
    customer, price = await customer_of(flows), await price_of(flows)
    made = await subscribed(flows, customer, price)
    broken = await flows.post("/v1/payment_methods/pm_card_chargeCustomerFail/attach",
                              customer=customer)  # fmt: skip
    settings = {"default_payment_method": broken["id"]}
    await flows.post(f"/v1/customers/{customer}", invoice_settings=settings)
    for _ in range(12):
        await flows.pass_time(5 * DAY)
        await facts.follow()
    assert (await facts.kinds(customer))[:2] == [("new", 3_000), ("churn", -3_000)]
    method = await flows.post(f"/v1/payment_methods/{CARD}/attach", customer=customer)
    settings = {"default_payment_method": method["id"]}
    await flows.post(f"/v1/customers/{customer}", invoice_settings=settings)
    invoices = await flows.get("/v1/invoices", subscription=made["id"], limit=100)
    for invoice in reversed(invoices["data"]):
        if invoice["status"] == "draft":
            await flows.post(f"/v1/invoices/{invoice['id']}/finalize")
        if invoice["status"] in ("draft", "open"):
            await flows.post(f"/v1/invoices/{invoice['id']}/pay")
    await flows.pass_time(DAY)
    await flows.delete(f"/v1/subscriptions/{made['id']}")
    await facts.follow()
    found = [fact.statement for fact in await facts.standing(customer)]
    assert [(each.kind, each.amount // 10_000, each.cause) for each in found] == [
        ("new", 3_000, ""), ("churn", -3_000, "involuntary"), ("reactivation", 3_000, ""),
        ("churn", -3_000, "voluntary"),
    ]  # fmt: skip
    assert not (await facts.proved()).differences


async def test_items_of_several_intervals_and_an_annual_upgrade(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, month = await customer_of(flows), await price_of(flows)
    year = await price_of(flows, 60_000, recurring={"interval": "year"})
    made = await subscribed(flows, customer, month)
    await flows.pass_time(10 * DAY)
    await flows.post(
        f"/v1/subscriptions/{made['id']}",
        items=[{"id": made["items"]["data"][0]["id"], "price": year}],
    )
    await flows.pass_time(10 * DAY)
    await flows.post("/v1/subscription_items", subscription=made["id"], price=month)
    await facts.follow()
    assert await facts.kinds(customer) == [
        ("new", 3_000), ("expansion", 2_000), ("expansion", 3_000),
    ]  # fmt: skip
    assert not (await facts.proved()).differences


async def test_two_subscriptions_swapped_in_a_second(facts: FactsOfFlows) -> None:
    flows = facts.flows
    customer, price = await customer_of(flows), await price_of(flows)
    first = await subscribed(flows, customer, price)
    await flows.pass_time(DAY)
    await subscribed(flows, customer, await price_of(flows, 5_000))
    await flows.delete(f"/v1/subscriptions/{first['id']}")
    await flows.pass_time(DAY)
    await facts.follow()
    swapped = await facts.kinds(customer)
    assert swapped == [("new", 3_000), ("expansion", 2_000)]
    counts = [fact.statement.count for fact in await facts.standing(customer)]
    assert sum(counts) == 1


async def test_one_event_reads_one_customer(
    facts: FactsOfFlows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = facts.flows
    price = await price_of(flows)
    customers = [await customer_of(flows) for _ in range(3)]
    subscriptions = [await subscribed(flows, each, price) for each in customers]
    await facts.follow()
    asked: list[str] = []
    whole = facts.gathering.customers

    async def customers_of(account: str, ids: Sequence[str], *more: Any) -> Any:
        asked.extend(ids)
        return await whole(account, ids, *more)

    monkeypatch.setattr(facts.gathering, "customers", customers_of)
    await flows.pass_time(DAY)
    item = subscriptions[1]["items"]["data"][0]["id"]
    await flows.post(f"/v1/subscription_items/{item}", quantity=2, proration_behavior="none")
    await facts.follow()
    assert set(asked) == {customers[1]}
