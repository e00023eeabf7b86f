"""Reloads on both stores: paid at Stripe, credited once, and given back as Stripe stands."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from billing_client.v1 import wallet_service_pb2 as pb

from bootstrap.process import opened
from tests.support.contract.tenant import fresh
from tests.support.rooms.wallets_end_to_end import OPERATOR, Family, Payer, family, payer
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import ServiceAndEmulator, until, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREDITED = pb.RELOAD_STATE_CREDITED
ASKS = pb.RELOAD_STATE_REQUIRES_ACTION
USD = {"currency": "usd"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    folder = tmp_path_factory.mktemp("reloads")
    if request.param == "sqlite":
        async with world(folder) as made:
            yield made
    else:
        async with mongo_world(request.getfixturevalue("mongo_url"), folder) as made:
            yield made


async def parent_of(here: ServiceAndEmulator, card: str = "visa") -> Payer:
    """A main account that pays on the platform's own Stripe account."""
    some = await family(here)
    return await payer(some, some.parent, card)


async def child_of(here: ServiceAndEmulator, card: str = "visa") -> Payer:
    """A sub-account that pays on its parent's Stripe account."""
    some = await family(here)
    return await payer(some, some.child, card)


@asynccontextmanager
async def deaf(here: ServiceAndEmulator) -> AsyncIterator[None]:
    """No webhook comes meanwhile."""
    endpoints = here.sdk.v1.webhook_endpoints
    for endpoint in (await endpoints.list_async({"limit": 100})).data:
        await endpoints.delete_async(endpoint.id)
    try:
        yield
    finally:
        await here.subscribe()


async def rates(some: Family, who: Any, account: str, rate: str, currency: str = "eur") -> None:
    """Import today's rate."""
    today = dt.datetime.now(dt.UTC).date()
    await some.ground.call(
        "AnalyticsService.ImportRates",
        {"account": account, "rows": [
            {"date": today.isoformat(), "currency": currency, "rate": rate}
        ]},
        who,
    )  # fmt: skip


# --- paid and credited ----------------------------------------------------------------------------


async def test_a_main_account_pays_the_platform(here: ServiceAndEmulator) -> None:
    one = await parent_of(here)
    request_id = fresh()
    reload = await one.reload(request_id=request_id)
    assert (reload.state, reload.credit.amount, reload.rate) == (CREDITED, 2_000, "")
    assert reload.stripe_account == one.stripe_account != one.owner.stripe_account
    assert (reload.customer, reload.payment_method) == (one.customer, one.card)
    assert (reload.client_secret, reload.automatic) == ("", False)
    assert await one.available() == 2_000
    (entry,) = await one.entries()
    assert (entry.kind, entry.amount.amount, entry.actor) == ("reload", 2_000, "owner")
    intent = await one.intent(reload)
    assert (intent.status, intent.amount_received) == ("succeeded", 2_000)
    assert await one.reload(request_id=request_id) == reload
    assert await one.read(reload) == reload
    assert list((await one.some.call(one.owner, "ListReloads")).reloads) == [reload]
    assert await one.available() == 2_000


async def test_a_sub_account_pays_its_parents_connected_account(here: ServiceAndEmulator) -> None:
    one = await child_of(here)
    reload = await one.reload(payment_method=one.card)
    assert (reload.state, reload.stripe_account) == (CREDITED, one.some.parent.stripe_account)
    intent = await one.intent(reload)
    assert (intent.application, intent.application_fee_amount) == ("ca_emulator", None)
    assert await one.available() == 2_000
    # The parent sees it, and nobody else.
    there = await one.some.call(
        one.some.parent, "GetReload", account=one.owner.account, id=reload.id
    )
    assert there == reload
    stranger = await here.tenant()
    for who, account in ((stranger, ""), (one.some.parent, "")):
        reason, _ = await one.some.refused(who, "GetReload", account=account, id=reload.id)
        assert reason == "NOT_FOUND"


async def test_the_card_may_be_new_and_is_kept_if_that_is_wanted(here: ServiceAndEmulator) -> None:
    some = await family(here)
    params: Any = {"type": "card", "card": {"token": "tok_mastercard"}}
    card = await here.sdk.v1.payment_methods.create_async(params, some.parent.options)
    reload = await some.mutate(
        some.child, "ReloadWallet", amount={"amount": 500, **USD}, payment_method=card.id,
        save_payment_method=True,
    )  # fmt: skip
    assert reload.state == CREDITED
    wallet = await some.call(some.child, "GetWallet", payment_methods=True)
    assert wallet.customer == reload.customer != ""
    (kept,) = wallet.payment_methods
    assert (kept.brand, kept.id) == ("mastercard", card.id)


async def test_the_creditors_rate_is_fixed_first(here: ServiceAndEmulator) -> None:
    one = await child_of(here)
    paid = {"amount": 999, "currency": "eur"}
    reason, _ = await one.some.refused(one.owner, "ReloadWallet", amount=paid)
    assert reason == "RATE_UNAVAILABLE"
    await rates(one.some, one.owner, "", "1000")  # the owner's own make nobody rich
    reason, _ = await one.some.refused(one.owner, "ReloadWallet", amount=paid)
    assert reason == "RATE_UNAVAILABLE"
    assert await one.entries() == []
    await rates(one.some, one.some.parent, "", "1.0837")
    reload = await one.reload(999, "eur")
    assert (reload.state, reload.credit.amount, reload.rate) == (CREDITED, 1_083, "1.0837")
    assert (reload.credit.currency, reload.amount.currency) == ("usd", "eur")
    assert reload.rate_time.ToDatetime(dt.UTC).date() == dt.datetime.now(dt.UTC).date()
    assert await one.available() == 1_083
    await one.refund(reload, 333)
    await one.holds(1_083 - 361)  # 333 · 1083/999
    await one.refund(reload, 666)
    await one.holds(0)


async def test_a_main_account_has_the_platforms_rates(here: ServiceAndEmulator) -> None:
    one = await parent_of(here)
    paid = {"amount": 1_000, "currency": "gbp"}
    await rates(one.some, one.owner, "", "1000", "gbp")
    reason, _ = await one.some.refused(one.owner, "ReloadWallet", amount=paid)
    assert reason == "RATE_UNAVAILABLE"
    await rates(one.some, OPERATOR, "-", "1.25", "gbp")
    assert (await one.reload(1_000, "gbp")).credit.amount == 1_250


# --- declined, confirmed, canceled ----------------------------------------------------------------


async def test_a_decline_waits_for_another_method_of_the_same_payment(
    here: ServiceAndEmulator,
) -> None:
    one = await parent_of(here)
    bad = await one.attach("chargeCustomerFail")
    reload = await one.reload(payment_method=bad)
    assert (reload.state, reload.decline_code) == (ASKS, "generic_decline")
    assert reload.client_secret.startswith(reload.payment_intent)
    theirs = await one.some.call(OPERATOR, "GetReload", account=one.owner.account, id=reload.id)
    assert theirs.client_secret == ""
    reason, told = await one.some.refused(
        one.owner, "ReloadWallet", amount={"amount": 2_000, **USD}
    )
    assert (reason, told["id"]) == ("RELOAD_OPEN", reload.id)
    request_id = fresh()
    paid = await one.some.mutate(
        one.owner, "RetryReload", id=reload.id, payment_method=one.card, request_id=request_id
    )
    assert (paid.state, paid.id, paid.decline_code) == (CREDITED, reload.id, "")
    assert (paid.payment_intent, paid.payment_method) == (reload.payment_intent, one.card)
    again = await one.some.mutate(
        one.owner, "RetryReload", id=reload.id, payment_method=one.card, request_id=request_id
    )
    assert again == paid
    assert await one.available() == 2_000
    reason, _ = await one.some.refused(
        one.owner, "RetryReload", id=reload.id, payment_method=one.card
    )
    assert reason == "WRONG_STATE"


async def test_the_payer_confirms_at_the_bank(here: ServiceAndEmulator) -> None:
    one = await child_of(here, "authenticationRequired")
    reload = await one.reload()
    assert reload.state == ASKS
    assert reload.client_secret != ""
    listed = await one.some.call(one.owner, "ListReloads")
    assert [entry.client_secret for entry in listed.reloads] == [""]
    await here.emulator.control.happen(
        "payment_intents", reload.payment_intent, "authenticate", {},
        account=one.stripe_account,
    )  # fmt: skip
    await one.in_state(reload, "CREDITED")
    await one.holds(2_000)


async def test_it_is_canceled_once_and_nothing_is_charged(here: ServiceAndEmulator) -> None:
    one = await parent_of(here, "authenticationRequired")
    reload = await one.reload()
    canceled = await one.some.mutate(one.owner, "CancelReload", id=reload.id)
    assert canceled.state == pb.RELOAD_STATE_CANCELED
    assert (await one.intent(reload)).status == "canceled"
    again = await one.some.mutate(one.owner, "CancelReload", id=reload.id)
    assert again == canceled
    assert await one.entries() == []
    other = await one.attach("visa")
    paid = await one.reload(payment_method=other)
    assert paid.state == CREDITED, "the wallet may be reloaded again"
    reason, _ = await one.some.refused(one.owner, "CancelReload", id=paid.id)
    assert reason == "WRONG_STATE"


async def test_what_was_paid_while_it_was_canceled_is_credited(here: ServiceAndEmulator) -> None:
    one = await parent_of(here, "authenticationRequired")
    reload = await one.reload()
    async with deaf(here):
        await here.emulator.control.happen(
            "payment_intents", reload.payment_intent, "authenticate", {},
            account=one.stripe_account,
        )  # fmt: skip
        ended = await one.some.mutate(one.owner, "CancelReload", id=reload.id)
    assert ended.state == CREDITED
    assert await one.available() == 2_000


async def test_an_hour_without_action_ends_it(here: ServiceAndEmulator) -> None:
    one = await parent_of(here, "authenticationRequired")
    reload = await one.reload()
    async with opened(here.service.parsed()) as container:
        record = await container.stores.process_log().get(reload.id)
    assert record is not None
    hour = dt.timedelta(hours=1)
    assert record.progress.look_at is not None
    assert abs(record.progress.look_at - record.created_at - hour) < dt.timedelta(minutes=1)


async def test_only_the_owner_reloads(here: ServiceAndEmulator) -> None:
    one = await child_of(here)
    for method, fields in (
        ("ReloadWallet", {"amount": {"amount": 500, **USD}}),
        ("RetryReload", {"id": "reload_1", "payment_method": "pm_1"}),
        ("CancelReload", {"id": "reload_1"}),
    ):  # fmt: skip
        for who in (one.some.parent, OPERATOR):
            reason, _ = await one.some.refused(who, method, account=one.owner.account, **fields)
            assert reason == "NOT_OWNER"


async def test_bad_input_is_told_all_at_once_and_charges_nothing(
    here: ServiceAndEmulator,
) -> None:
    one, other = await parent_of(here), await parent_of(here)
    for fields, count in (
        ({"amount": {"amount": 49, **USD}, "request_id": "not an id"}, 2),
        ({"amount": {"amount": 100_000_000, **USD}, "payment_method": "\n"}, 2),
        ({"amount": {"amount": 5, "currency": "kwd"}, "request_id": "!"}, 3),
        ({"amount": {"amount": 500, "currency": "xxx"}}, 1),
        ({}, 1),
    ):  # fmt: skip
        with pytest.raises(Exception, match="amount") as caught:
            await one.some.mutate(one.owner, "ReloadWallet", **fields)
        assert str(caught.value).count("; ") >= count - 1
    for method in (other.card, "pm_none"):
        reason, _ = await one.some.refused(
            one.owner, "ReloadWallet", amount={"amount": 500, **USD}, payment_method=method
        )
        assert reason == "NOT_FOUND"
    for fields in ({"id": "reload_none"}, {"id": "transfer_1"}):
        reason, _ = await one.some.refused(one.owner, "CancelReload", **fields)
        assert reason == "NOT_FOUND"
    assert await one.entries() == []
    bare = await family(here)
    reason, _ = await bare.refused(bare.child, "ReloadWallet", amount={"amount": 500, **USD})
    assert reason == "NO_PAYMENT_METHOD"


# --- by itself ------------------------------------------------------------------------------------


async def test_a_wallet_reloads_itself_once_its_owner_has_said_so(here: ServiceAndEmulator) -> None:
    one = await child_of(here)
    auto = {
        "threshold": 500, "amount": 1_000, "payment_method": one.card, "most_per_charge": 5_000,
        "most_per_day": 20_000,
    }  # fmt: skip
    await one.some.mutate(one.owner, "UpdateWalletSettings", settings={"auto_reload": auto})
    await one.holds(1_000)
    (reload,) = (await one.some.call(one.owner, "ListReloads")).reloads
    assert (reload.automatic, reload.payment_method) == (True, one.card)
    await one.some.grant(9_000)  # what the parent pays
    await one.some.mutate(one.owner, "DebitUsage", service="seat", quantity=2)
    await one.holds(1_400)
    # Nobody is there to confirm: it is given up, and another method arms it again.
    auto = {**auto, "payment_method": await one.attach("authenticationRequired")}
    await one.some.mutate(one.owner, "UpdateWalletSettings", settings={"auto_reload": auto})
    await one.some.mutate(one.owner, "DebitUsage", service="seat", quantity=4)

    async def given_up() -> bool:
        wallet = await one.some.call(one.owner, "GetWallet")
        return bool(wallet.settings.auto_reload.off_because == "authentication_required")

    assert await until(given_up, 20)
    assert await one.available() == 200
    auto = {**auto, "payment_method": one.card}
    await one.some.mutate(one.owner, "UpdateWalletSettings", settings={"auto_reload": auto})
    await one.holds(1_200)


# --- given back -----------------------------------------------------------------------------------


async def test_refunds_and_disputes_at_stripe_move_the_wallet_to_where_stripe_stands(
    here: ServiceAndEmulator,
) -> None:
    one = await child_of(here)
    reload = await one.reload(1_000)
    refund = await one.refund(reload, 300)
    await one.holds(700)
    control = here.emulator.control
    await control.happen("refunds", refund, "fail", {}, account=one.stripe_account)
    await one.holds(1_000)
    dispute = await control.open_dispute(await one.charge_of(reload), account=one.stripe_account)
    await one.holds(0)
    stands = await one.read(reload)
    assert (stands.gone.amount, stands.withheld.amount) == (0, 1_000)
    await control.close_dispute(dispute, "won", account=one.stripe_account)
    await one.holds(1_000)
    await one.refund(reload, 250)
    await one.holds(750)
    stands = await one.read(reload)
    assert (stands.gone.amount, stands.withheld.amount, stands.state) == (250, 0, CREDITED)
    kinds = [entry.kind for entry in await one.entries()]
    assert kinds == ["reload"] + ["reversal"] * 5


async def test_the_creditor_gives_back_out_of_what_is_available(here: ServiceAndEmulator) -> None:
    one = await parent_of(here)
    reload = await one.reload(1_000)
    await one.some.mutate(one.owner, "DebitUsage", service="seat", quantity=2)
    give: dict[str, Any] = {"account": one.owner.account, "id": reload.id, "reason": "asked for"}
    for who in (one.owner, one.some.child):
        reason, _ = await one.some.refused(
            who, "RefundReload", **{**give, "account": ""}, amount={"amount": 100, **USD}
        )
        assert reason in ("NOT_CREDITOR", "NOT_FOUND")
    for amount, wanted in ((1_001, "REFUND_TOO_LARGE"), (401, "BALANCE_TOO_LOW")):
        reason, told = await one.some.refused(
            OPERATOR, "RefundReload", **give, amount={"amount": amount, **USD}
        )
        assert (reason, told) == (wanted, {})
    reason, _ = await one.some.refused(
        OPERATOR, "RefundReload", **give, amount={"amount": 100, "currency": "eur"}
    )
    assert reason == "INVALID_FIELDS"
    assert await one.available() == 400
    request = {**give, "amount": {"amount": 400, **USD}, "request_id": fresh()}
    given = await one.some.call(OPERATOR, "RefundReload", **request)
    assert (given.gone.amount, given.state) == (400, CREDITED)
    assert await one.some.call(OPERATOR, "RefundReload", **request) == given
    assert await one.available() == 0
    kinds = [entry.kind for entry in await one.entries()]
    assert kinds == ["reload", "usage", "hold", "reversal"]
    params: Any = {"payment_intent": reload.payment_intent}
    refunds = await here.sdk.v1.refunds.list_async(params, one.options)
    assert [refund.amount for refund in refunds.data] == [400]
    wallet = await one.some.call(one.owner, "GetWallet")
    assert (wallet.available.amount, wallet.held.amount) == (0, 0)


async def test_a_refund_that_fails_comes_back(here: ServiceAndEmulator) -> None:
    one = await parent_of(here, "refundFail")
    reload = await one.reload(1_000)
    give: dict[str, Any] = {
        "account": one.owner.account, "reason": "asked for", "amount": {"amount": 400, **USD},
    }  # fmt: skip
    reason, _ = await one.some.refused(OPERATOR, "RefundReload", id=reload.id, **give)
    assert reason == "STRIPE_REFUSED"
    assert await one.available() == 1_000
    kinds = [entry.kind for entry in await one.entries()]
    assert kinds == ["reload", "hold", "release"]
    wallet = await one.some.call(one.owner, "GetWallet")
    assert wallet.held.amount == 0
    # Another one fails days after it has succeeded.
    other = await one.reload(1_000, payment_method=await one.attach("visa"))
    await one.some.mutate(OPERATOR, "RefundReload", id=other.id, **give)
    assert await one.available() == 1_600
    params: Any = {"payment_intent": other.payment_intent}
    (refund,) = (await here.sdk.v1.refunds.list_async(params, one.options)).data
    await here.emulator.control.happen("refunds", refund.id, "fail", {}, account=one.stripe_account)
    await one.holds(2_000)


async def test_a_disputed_charge_is_not_refunded_and_the_hold_ends(
    here: ServiceAndEmulator,
) -> None:
    one = await parent_of(here)
    first, second = await one.reload(1_000), await one.reload(1_000)
    await here.emulator.control.open_dispute(await one.charge_of(first), account=one.stripe_account)
    await one.holds(1_000)
    reason, _ = await one.some.refused(
        OPERATOR, "RefundReload", account=one.owner.account, id=first.id, reason="too late",
        amount={"amount": 100, **USD},
    )  # fmt: skip
    assert reason == "REFUND_TOO_LARGE"
    await here.emulator.control.open_dispute(
        await one.charge_of(second), "warning_needs_response", account=one.stripe_account
    )
    given = await one.some.mutate(
        OPERATOR, "RefundReload", account=one.owner.account, id=second.id, reason="an inquiry",
        amount={"amount": 1_000, **USD},
    )  # fmt: skip
    assert given.gone.amount == 1_000
    await one.holds(0)


# --- pages, forgeries -----------------------------------------------------------------------------


async def test_reloads_are_listed_newest_first_page_by_page(here: ServiceAndEmulator) -> None:
    one = await parent_of(here)
    made = [await one.reload(500 + number) for number in range(3)]
    listed: list[str] = []
    token = ""
    while True:
        page = await one.some.call(one.owner, "ListReloads", page_size=2, page_token=token)
        listed += [reload.id for reload in page.reloads]
        token = page.next_page_token
        if not token:
            break
    assert listed == [reload.id for reload in reversed(made)]


async def test_an_event_that_a_tenant_forges_credits_nothing(here: ServiceAndEmulator) -> None:
    one = await child_of(here, "authenticationRequired")
    reload = await one.reload()
    intent = await one.intent(reload)
    # The parent owns the Stripe account: it makes a payment with all the metadata, of its own.
    params: Any = {
        "amount": 2_000, "currency": "usd", "customer": one.customer, "confirm": True,
        "off_session": True, "payment_method": await one.attach("visa"),
        "metadata": intent.metadata.to_dict(),
    }  # fmt: skip
    await here.sdk.v1.payment_intents.create_async(params, one.options)
    await here.delivered()
    assert (await one.read(reload)).state == ASKS
    assert await one.entries() == []


async def test_another_amount_than_was_asked_for_needs_people(here: ServiceAndEmulator) -> None:
    one = await child_of(here, "authenticationRequired")
    reload = await one.reload()
    # Whoever owns the Stripe account may change the payment before it is confirmed.
    await here.sdk.v1.payment_intents.update_async(
        reload.payment_intent, {"amount": 100}, one.options
    )
    confirmed: Any = {"payment_method": await one.attach("visa"), "off_session": True}
    await here.sdk.v1.payment_intents.confirm_async(reload.payment_intent, confirmed, one.options)
    await one.in_state(reload, "NEEDS_ATTENTION")
    assert await one.entries() == []


async def test_nothing_is_lost_where_no_webhook_comes(here: ServiceAndEmulator) -> None:
    """The process looks by itself, 10 s later."""
    one = await parent_of(here, "authenticationRequired")
    async with deaf(here):
        reload = await one.reload()
        await here.emulator.control.happen(
            "payment_intents", reload.payment_intent, "authenticate", {},
            account=one.stripe_account,
        )  # fmt: skip

        async def credited() -> bool:
            return await one.available() == 2_000

        assert await until(credited, 25)
