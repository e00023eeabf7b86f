"""Reloads as time passes: what is asked for, tried again, given up, and credited late."""

import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
import stripe

from application.payment_intents.ports import GivenBack
from application.processes.progress import NEEDS_ATTENTION
from application.wallet.commands import (
    ReloadDecision,
    ReloadOrder,
    ReloadPart,
    ReloadRetry,
    Resolution,
)
from application.wallet.ports import KeptSettings
from application.wallet.proof import prove
from application.wallet.reload_terms import terms_of
from domain.accounts import Account
from domain.errors import FailedPrecondition, PermissionDenied, Reason, WrongState
from domain.reloads import lost_of
from domain.wallets import AutoReload, Wallet, WalletSettings
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import StripeApi, StripeSettings
from sandbox.emulator.control_client import ControlError
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import PLATFORM_KEY
from tests.property.seed import SEED
from tests.support.fakes.machine_clock import MovableClock
from tests.support.rooms.ledger import reload
from tests.support.rooms.processes import carried_on
from tests.support.rooms.reloads import ACME, CREDITOR, OWNER, ReloadWorld
from tests.support.servers.stores import Opener

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
async def world(opener: Opener) -> AsyncIterator[ReloadWorld]:
    async with opener() as stores, emulator_in_process() as emulator, emulator.sdk() as sdk:
        clock = MovableClock()
        settings = StripeSettings(
            PLATFORM_KEY, api_base=emulator.url, first_backoff_seconds=0.001, tries=2
        )
        api = StripeApi(settings, RateBudget(10_000), clock)
        made = ReloadWorld(emulator, sdk, api, stores, clock)
        await made.begin()
        try:
            yield made
        finally:
            await made.tasks.drain(10)
            await api.close()


# --- the owner's own ------------------------------------------------------------------------------


async def test_an_hour_without_action_ends_it(world: ReloadWorld) -> None:
    view = await world.reload(await world.card("authenticationRequired"))
    id_ = view.record.id
    assert view.state == "requires_action"
    await world.later(HOUR - MINUTE)
    assert await world.state(id_) == "requires_action"
    await world.later(2 * MINUTE)
    assert await world.state(id_) == "expired"
    intent = await world.sdk.v1.payment_intents.retrieve_async(view.learnt.payment_intent)
    assert intent.status == "canceled"
    assert await world.entries() == []
    # An event a month later changes nothing.
    await world.later(30 * DAY)
    await world.wake(view.learnt.payment_intent)
    assert await world.state(id_) == "expired"


async def test_what_was_paid_within_the_hour_is_credited_though_nobody_told(
    world: ReloadWorld,
) -> None:
    view = await world.reload(await world.card("authenticationRequired"))
    payment = view.learnt.payment_intent
    await world.emulator.control.happen("payment_intents", payment, "authenticate", {})
    await world.later(HOUR + MINUTE)
    assert await world.state(view.record.id) == "credited"
    assert await world.available() == 2_000


async def test_the_hour_begins_anew_with_another_method(world: ReloadWorld) -> None:
    view = await world.reload(await world.card("chargeCustomerFail"))
    id_ = view.record.id
    await world.later(50 * MINUTE)
    again = ReloadRetry(id_, await world.card("authenticationRequired"))
    retried = await world.calls.retry(OWNER, world.fresh(), again)
    assert (retried.state, retried.learnt.attempt) == ("requires_action", 2)
    await world.later(50 * MINUTE)
    assert await world.state(id_) == "requires_action"
    await world.happen(id_, "authenticate")
    assert await world.available() == 2_000


async def test_a_challenge_that_fails_asks_for_another_method(world: ReloadWorld) -> None:
    view = await world.reload(await world.card("authenticationRequired"))
    await world.happen(view.record.id, "authenticate", succeeds="false")
    stands = await world.calls.get(OWNER, view.record.id)
    assert stands.state == "requires_action"
    assert stands.learnt.decline_code == "payment_intent_authentication_failure"


async def test_a_bank_takes_days(world: ReloadWorld) -> None:
    view = await world.reload(await world.bank())
    id_ = view.record.id
    assert view.state == "processing"
    with pytest.raises(WrongState, match="processing"):
        await world.calls.cancel(OWNER, world.fresh(), id_)
    with pytest.raises(FailedPrecondition) as caught:
        await world.reload(await world.card())
    assert (caught.value.reason, caught.value.metadata["id"]) == (Reason.RELOAD_OPEN, id_)
    await world.later(2 * DAY)
    assert await world.state(id_) == "processing"
    await world.later(3 * DAY)
    assert await world.state(id_) == "credited"
    assert await world.available() == 2_000
    # The bank takes it back after all: a refund object tells of it.
    charge = (await world.learnt(id_)).charge
    await world.emulator.control.happen("charges", charge, "fail", {})
    await world.wake(charge)
    assert await world.available() == 0


async def test_it_is_tried_again_while_stripe_is_away(world: ReloadWorld) -> None:
    card = await world.card()
    fault = FaultSpec(kind="fail", status=500, count=None, noun="payment_intent")
    await world.emulator.control.add_fault(fault)
    view = await world.reload(card)
    assert view.state == "frozen"
    await world.emulator.control.clear_faults()
    await world.later(HOUR)  # Stripe repeats for the key what it said
    await world.later(HOUR)
    assert await world.state(view.record.id) == "credited"
    assert len(await world.entries()) == 1


@pytest.mark.parametrize("route", ["", "/{id}/confirm"])
async def test_a_lost_answer_is_found_after_the_key_has_gone(
    world: ReloadWorld, route: str
) -> None:
    """Longer than Stripe keeps keys: it is looked for, and charged once."""
    card = await world.card()
    fault = FaultSpec(
        kind="drop_after", count=2, method="POST", route=f"/v1/payment_intents{route}"
    )
    await world.emulator.control.add_fault(fault)
    view = await world.reload(card)
    assert view.state in ("frozen", "charging")
    await world.later(25 * HOUR)
    await world.later(HOUR)
    assert await world.state(view.record.id) == "credited"
    payments = await world.sdk.v1.payment_intents.list_async({"customer": world.customer})
    assert [payment.status for payment in payments.data] == ["succeeded"]
    assert await world.available() == 2_000


@pytest.mark.parametrize(
    ("card", "state"), [("authenticationRequired", "canceled"), ("visa", "credited")]
)
async def test_it_is_canceled_while_nobody_knows_what_became_of_it(
    world: ReloadWorld, card: str, state: str
) -> None:
    """What Stripe says then counts: what was paid is credited."""
    route = "/v1/payment_intents/{id}/confirm"
    fault = FaultSpec(kind="drop_after", count=2, method="POST", route=route)
    await world.emulator.control.add_fault(fault)
    view = await world.reload(await world.card(card))
    assert view.state == "charging"
    ended = await world.calls.cancel(OWNER, world.fresh(), view.record.id)
    assert ended.state == state
    intent = await world.sdk.v1.payment_intents.retrieve_async(view.learnt.payment_intent)
    assert (intent.status == "succeeded") == (state == "credited")


async def test_what_people_have_to_look_at_waits_for_them(world: ReloadWorld) -> None:
    view = await world.reload(await world.card("authenticationRequired"))
    payments = world.sdk.v1.payment_intents
    await payments.update_async(view.learnt.payment_intent, {"amount": 100})
    await world.happen(view.record.id, "authenticate")
    assert await world.state(view.record.id) == NEEDS_ATTENTION
    assert (await world.processes.get(view.record.id)).progress.attention == "NOT_AS_ASKED"
    again = ReloadDecision(view.record.id, Resolution.RETRY, "look once more")
    looked = await world.calls.resolve(CREDITOR, world.fresh(), again)
    assert looked.state == NEEDS_ATTENTION
    close = ReloadDecision(view.record.id, Resolution.CLOSE, "given back by hand")
    request_id = world.fresh()
    ended = await world.calls.resolve(CREDITOR, request_id, close)
    assert (ended.state, ended.record.progress.attention) == ("failed", "")
    assert await world.calls.resolve(CREDITOR, request_id, close) == ended
    assert await world.entries() == []
    kinds = [job.kind for job in await world.jobs()]
    assert kinds.count("wallet.needs_attention") == 2
    with pytest.raises(WrongState):
        await world.calls.resolve(CREDITOR, world.fresh(), close)
    with pytest.raises(PermissionDenied):
        await world.calls.resolve(OWNER, world.fresh(), close)


async def test_a_payment_that_somebody_cancels_at_stripe_ends_it(world: ReloadWorld) -> None:
    view = await world.reload(await world.card("authenticationRequired"))
    await world.sdk.v1.payment_intents.cancel_async(view.learnt.payment_intent)
    await world.wake(view.learnt.payment_intent)
    assert await world.state(view.record.id) == "canceled"


async def test_a_repeat_a_year_later_answers_with_it_as_it_stands(world: ReloadWorld) -> None:
    view = await world.reload(await world.card())
    request_id = view.record.key.request_id
    await world.later(400 * DAY)
    order = ReloadOrder(2_000, "usd", view.terms.payment_method)
    again = await world.calls.reload(OWNER, request_id, order)
    assert again.record.id == view.record.id
    assert len(await world.entries()) == 1


async def test_a_refund_that_takes_days_holds_what_it_takes(
    world: ReloadWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await world.reload(await world.card())
    read = world.payments.given_back

    async def pending(stripe_account: str, payment_intent: str) -> GivenBack:
        given = await read(stripe_account, payment_intent)
        refunds = [replace(refund, status="pending") for refund in given.refunds]
        return replace(given, refunds=refunds)

    monkeypatch.setattr(world.payments, "given_back", pending)
    part = ReloadPart(view.record.id, 500, "usd", "asked for")
    given = await world.calls.give_back(CREDITOR, world.fresh(), part)
    assert (given.learnt.gone, given.learnt.under_way) == (0, 500)
    head = (await world.entries())[-1]
    assert (head.available_after, head.held_after) == (1_500, 500)
    with pytest.raises(FailedPrecondition, match="more would be given back"):
        await world.calls.give_back(CREDITOR, world.fresh(), replace(part, amount=1_501))
    monkeypatch.undo()
    await world.later(7 * HOUR)  # no event comes: it is looked at
    head = (await world.entries())[-1]
    assert (head.available_after, head.held_after, head.kind) == (1_500, 0, "reversal")


async def test_jobs_tell_of_credit_and_of_what_was_lost(world: ReloadWorld) -> None:
    view = await world.reload(await world.card())
    await world.sdk.v1.refunds.create_async({"charge": view.learnt.charge, "amount": 300})
    await world.wake(view.learnt.charge)
    await world.wake(view.learnt.charge)
    jobs = {job.kind: job for job in await world.jobs()}
    assert Counter(job.kind for job in await world.jobs()) == {
        "wallet.reloaded": 1, "wallet.reversed": 1,
    }  # fmt: skip
    assert jobs["wallet.reloaded"].payload["credit"] == 2_000
    reversed_ = jobs["wallet.reversed"].payload
    assert (reversed_["gone"], reversed_["available"]) == (300, 1_700)


async def happens(world: ReloadWorld, charge: str, chance: Random) -> None:
    """Something befalls a payment at Stripe, if it may now."""
    control, refunds = world.emulator.control, world.sdk.v1.refunds
    disputes = (await world.sdk.v1.disputes.list_async({"charge": charge})).data
    given = (await refunds.list_async({"charge": charge, "limit": 100})).data
    with suppress(stripe.InvalidRequestError, ControlError):
        match chance.choice(["refund", "fail", "dispute", "won", "lost", "inquiry"]):
            case "refund":
                await refunds.create_async({"charge": charge, "amount": chance.randint(1, 700)})
            case "fail" if given:
                await control.happen("refunds", chance.choice(given).id, "fail", {})
            case "dispute":
                await control.open_dispute(charge)
            case "inquiry":
                await control.open_dispute(charge, "warning_needs_response")
            case "won" | "lost" as verdict if disputes:
                await control.close_dispute(disputes[0].id, verdict)


async def test_events_in_any_number_and_late_lead_where_stripe_stands(world: ReloadWorld) -> None:
    chance, card = Random(SEED), await world.card()  # noqa: S311 - not for secrets
    expected = 0
    for _ in range(6):
        view = await world.reload(card)
        charge, payment = view.learnt.charge, view.learnt.payment_intent
        for _ in range(8):
            await happens(world, charge, chance)
            for _ in range(chance.choice([0, 0, 1, 2])):  # missing, told, told twice
                await world.wake(chance.choice([charge, payment]))
        await world.later(30 * DAY)
        await world.wake(charge)
        given = await world.payments.given_back(world.place, payment)
        lost = lost_of(2_000, given.refunds, given.disputes)
        stands = await world.learnt(view.record.id)
        assert stands.lost == lost, SEED
        expected += 2_000 - lost.left
        assert await world.available() == expected, SEED
    assert (await prove(world.stores.journal, ACME.name)).holds
    assert await untied(world) == []


# --- the wallet's own -----------------------------------------------------------------------------


def auto(card: str, **more: int) -> AutoReload:
    values = {
        "threshold": 500, "amount": 1_000, "most_per_charge": 5_000, "most_per_day": 8_000, **more
    }  # fmt: skip
    return AutoReload(payment_method=card, **values)


async def test_a_wallet_reloads_itself_by_what_it_needs(world: ReloadWorld) -> None:
    await world.set_auto(auto(await world.card()))
    await world.look()
    assert await world.available() == 1_000
    (record,) = await world.reloads()
    assert (terms_of(record).automatic, record.progress.state) == (True, "credited")
    assert (await world.entries())[-1].actor == "auto-reload"
    await world.seen()
    await world.look()
    assert await world.available() == 1_000, "it has enough"
    await world.spend(900)
    await world.look()
    assert await world.available() == 1_100


async def test_a_wallet_that_is_odd_keeps_no_other_from_reloading(
    world: ReloadWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.spend(100)
    await world.set_auto(auto(await world.card()))
    short = await world.stores.wallet_settings.list_short(after="", limit=10)
    odd = replace(short[0].settings, wallet="aaa")
    listed = [replace(short[0], settings=odd), *short]
    of = world.wallets.of

    async def all_short(**_: object) -> Sequence[KeptSettings]:
        return listed

    async def fail_of_odd(account: str) -> Wallet:
        if account == "aaa":
            raise ValueError("odd")
        return await of(account)

    monkeypatch.setattr(world.stores.wallet_settings, "list_short", all_short)
    monkeypatch.setattr(world.wallets, "of", fail_of_odd)
    with pytest.raises(ValueError, match="odd"):
        await world.auto.run()
    assert len(await world.reloads()) == 1


async def test_it_is_charged_at_most_so_much_at_once_and_a_day(world: ReloadWorld) -> None:
    card = await world.card()
    await world.set_auto(auto(card, threshold=6_000))
    await world.look()
    assert await world.reloads() == [], "6,000 are more than are charged at once"
    assert Counter(job.kind for job in await world.jobs()) == {
        "wallet.auto_reload_off": 1, "support.wallet_notice": 1,
    }  # fmt: skip
    assert (await world.auto_reload()).off_because == ""
    await world.set_auto(auto(card, threshold=5_000))
    await world.look()
    await world.seen()
    assert await world.available() == 5_000
    await world.spend(4_000)
    await world.look()
    assert await world.available() == 1_000, "4,000 more would be 9,000 today"
    await world.later(DAY)
    assert await world.available() == 5_000


async def test_a_decline_is_tried_again_after_an_hour_a_day_and_three(world: ReloadWorld) -> None:
    await world.set_auto(auto(await world.card("chargeCustomerFail")))
    await world.look()
    assert [record.progress.state for record in await world.reloads()] == ["failed"]
    await world.look()
    assert len(await world.reloads()) == 1
    for wait, count in ((HOUR, 2), (DAY, 3), (3 * DAY, 4)):
        await world.later(wait - MINUTE)
        assert len(await world.reloads()) == count - 1
        await world.later(2 * MINUTE)
        assert len(await world.reloads()) == count
    await world.look()
    assert (await world.auto_reload()).off_because == "generic_decline"
    kinds = Counter(job.kind for job in await world.jobs())
    assert kinds == {"wallet.auto_reload_off": 1, "support.wallet_notice": 1}
    await world.later(30 * DAY)
    assert len(await world.reloads()) == 4
    payments = await world.sdk.v1.payment_intents.list_async({"customer": world.customer})
    assert {payment.status for payment in payments.data} == {"canceled"}
    # The owner pays by himself: it is armed, and reloads once it is short again.
    good = await world.card()
    assert (await world.reload(good, 1_000)).state == "credited"
    assert (await world.auto_reload()).off_because == ""
    await world.seen()
    await world.spend(900)
    await world.look()
    assert len(await world.reloads()) == 6


async def test_who_must_confirm_is_not_there(world: ReloadWorld) -> None:
    await world.set_auto(auto(await world.card("authenticationRequired")))
    await world.look()
    await world.look()
    (record,) = await world.reloads()
    assert record.progress.state == "failed"
    assert (await world.auto_reload()).off_because == "authentication_required"
    # Another method arms it anew.
    await world.set_auto(auto(await world.card()))
    await world.look()
    assert await world.available() == 1_000


async def test_only_one_reload_is_open(world: ReloadWorld) -> None:
    card = await world.card()
    view = await world.reload(await world.card("authenticationRequired"))
    await world.set_auto(auto(card))
    await world.look()
    assert len(await world.reloads()) == 1
    await world.calls.cancel(OWNER, world.fresh(), view.record.id)
    await world.look()
    assert (await world.available(), len(await world.reloads())) == (1_000, 2)


async def test_an_account_without_a_customer_cannot_be_charged(world: ReloadWorld) -> None:
    await world.stores.accounts.add(Account("other", "Other", "usd"))
    settings = WalletSettings("other", world.clock.now(), auto("pm_1"))
    assert await world.stores.wallet_settings.put(settings)
    await world.look()
    kept = await world.stores.wallet_settings.get("other")
    assert kept is not None
    assert kept.settings.auto_reload is not None
    assert kept.settings.auto_reload.off_because == "no_customer"


# --- proving --------------------------------------------------------------------------------------


async def untied(world: ReloadWorld) -> list[tuple[int, str]]:
    """What does not agree with Stripe."""
    return [(one.sequence, one.rule) async for one in world.ties.differences(ACME)]


async def test_a_proof_ties_reloads_to_stripe(world: ReloadWorld) -> None:
    view = await world.reload(await world.card())
    assert await untied(world) == []
    await world.sdk.v1.refunds.create_async({"charge": view.learnt.charge, "amount": 300})
    ((sequence, rule),) = await untied(world)
    assert (sequence, "at Stripe 300 is gone" in rule) == (1, True)
    await carried_on(world.processes)  # it was woken
    assert await world.available() == 1_700
    assert await untied(world) == []


async def test_a_credit_without_a_payment_shows(world: ReloadWorld) -> None:
    view = await world.reload(await world.card())
    await world.stores.journal.append(
        ACME, [reload("reload_forged", 700), reload(f"{view.record.id}x", 5)]
    )
    told = await untied(world)
    assert told == [
        (2, "no reload of ours asked for it"), (3, "no reload of ours asked for it"),
    ]  # fmt: skip
    fault = FaultSpec(kind="fail", status=500, count=None, noun="payment_intent")
    await world.emulator.control.add_fault(fault)
    assert (1, "Stripe cannot be asked: STRIPE_UNAVAILABLE") in await untied(world)
