"""WalletService on both stores: each RPC as it should be called, and as it is refused."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.rooms.wallets_end_to_end import (
    OPERATOR,
    Family,
    family,
    family_with_credit,
)
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import (
    ServiceAndEmulator,
    Tenant,
    token_for,
    until,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTO = {
    "threshold": 500, "amount": 1_000, "payment_method": "pm_1", "most_per_charge": 5_000,
    "most_per_day": 20_000,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    folder = tmp_path_factory.mktemp("wallets")
    if request.param == "sqlite":
        async with world(folder) as made:
            yield made
    else:
        async with mongo_world(request.getfixturevalue("mongo_url"), folder) as made:
            yield made


async def costs_posted(some: Family) -> None:
    """Wait until the parent has paid for all of the sub-account's usage."""

    async def look() -> bool:
        told = await some.call(some.parent, "GetRebilling", account=some.child.account)
        return bool(told.costs_pending == 0)

    assert await until(look)


# --- whose wallet ---------------------------------------------------------------------------------


async def test_a_wallet_before_anything_has_happened(here: ServiceAndEmulator) -> None:
    some = await family(here)
    mine = await some.call(some.parent, "GetWallet")
    theirs = await some.call(some.parent, "GetWallet", account=some.child.account)
    assert (mine.account, mine.creditor) == (some.parent.account, "")
    assert (theirs.account, theirs.creditor) == (some.child.account, some.parent.account)
    assert theirs.stripe_account == some.parent.stripe_account
    assert (mine.available.amount, mine.available.currency, mine.sequence) == (0, "usd", 0)
    assert (await some.call(some.parent, "ListEntries")).entries == []


async def test_only_the_creditor_adjusts_and_nobody_himself(here: ServiceAndEmulator) -> None:
    some = await family(here)
    wanted = {"grant": {"amount": 5, "currency": "usd"}, "reason": "gift"}
    for who, account in (
        (some.parent, ""), (some.child, ""), (OPERATOR, some.child.account),
    ):  # fmt: skip
        reason, _ = await some.refused(who, "AdjustWallet", account=account, **wanted)
        assert reason == "NOT_CREDITOR"
    reader = Tenant("", "", token_for("-", "wallets.write", "wallets.spend", "wallets.read"))
    reason, _ = await some.refused(reader, "AdjustWallet", account=some.parent.account, **wanted)
    assert reason == "SCOPE_MISSING"
    await some.grant(1_000)
    entry = await some.grant(700, some.child)
    assert (entry.kind, entry.amount.amount, entry.description) == ("grant", 700, "to begin with")
    assert (await some.available(some.parent), await some.available(some.child)) == (1_000, 700)


async def test_adjustments_of_debts(here: ServiceAndEmulator) -> None:
    some = await family(here)
    account = some.parent.account

    async def adjust(**fields: object) -> int:
        entry = await some.mutate(
            OPERATOR, "AdjustWallet", account=account, reason="why not", **fields
        )
        return int(entry.available_after.amount)

    usd = {"currency": "usd"}
    assert await adjust(overdraft={"amount": 600, **usd}) == 0
    await some.mutate(some.parent, "DebitUsage", service="seat", quantity=2)
    reason, told = await some.refused(some.parent, "DebitUsage", service="seat", quantity=1)
    assert (reason, told) == ("BALANCE_TOO_LOW", {"available": "-600"})
    reason, _ = await some.refused(
        OPERATOR, "AdjustWallet", account=account, reason="x", write_off={"amount": 601, **usd}
    )
    assert reason == "NO_SUCH_DEBT"
    assert await adjust(write_off={"amount": 500, **usd}) == -100


async def test_bad_adjustments_are_told_all_at_once(here: ServiceAndEmulator) -> None:
    some = await family(here)
    for fields, count in (
        ({}, 2), ({"grant": {"amount": 0, "currency": "eur"}, "reason": " "}, 3),
        ({"overdraft": {"amount": -1, "currency": "usd"}, "reason": "x" * 501}, 2),
    ):  # fmt: skip
        with pytest.raises(Exception, match="reason") as caught:
            await some.mutate(OPERATOR, "AdjustWallet", account=some.parent.account, **fields)
        assert str(caught.value).count("; ") >= count - 1
    assert await some.available(some.parent) == 0


# --- usage ----------------------------------------------------------------------------------------


async def test_usage_of_a_sub_account_costs_its_parent_too(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    await some.mutate(
        some.parent, "UpdateRebilling", account=some.child.account,
        settings={"multipliers": {"seat": "1.5", "*": "2"}},
    )  # fmt: skip
    entry = await some.mutate(
        some.child, "DebitUsage", service="seat", quantity=2, description="two seats"
    )
    assert (entry.kind, entry.amount.amount, entry.quantity) == ("usage", -900, 2)
    assert (entry.service, entry.description) == ("seat", "two seats")
    await costs_posted(some)
    (cost, _) = (await some.call(some.parent, "ListEntries")).entries
    assert (cost.kind, cost.amount.amount, cost.service) == ("cost", -600, "seat")
    told = await some.call(some.parent, "GetRebilling", account=some.child.account)
    assert (told.revenue.amount, told.cost.amount, told.margin.amount) == (900, 600, 300)
    assert (told.usage_count, dict(told.settings.multipliers)) == (1, {"seat": "1.5", "*": "2"})


async def test_fractions_are_carried(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    amounts = [
        (await some.mutate(some.parent, "DebitUsage", service="sms.us", quantity=1)).amount.amount
        for _ in range(4)
    ]
    assert amounts == [0, -1, -1, -1]  # 0.79, 1.58, 2.37, 3.16
    whole = await some.mutate(some.child, "DebitUsage", service="sms.us", quantity=100)
    assert (whole.amount.amount, whole.exact) == (-79, 79_000_000)


async def test_a_debit_is_made_once_however_late_it_is_repeated(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    wanted = {"service": "seat", "quantity": 1, "request_id": "r-1"}
    entries = await asyncio.gather(
        *(some.call(some.child, "DebitUsage", **wanted) for _ in range(20))
    )
    assert all(entry == entries[0] for entry in entries)
    assert await some.available(some.child) == 700
    await costs_posted(some)
    await some.mutate(some.parent, "DebitUsage", service="seat", quantity=2)
    reason, _ = await some.refused(some.child, "DebitUsage", service="seat", quantity=1)
    assert reason == "SELLER_UNAVAILABLE"
    assert await some.call(some.child, "DebitUsage", **wanted) == entries[0]
    for other in ({"quantity": 2}, {"service": "sms.us"}, {"service": "nothing"}):
        reason, _ = await some.refused(some.child, "DebitUsage", **{**wanted, **other})
        assert reason == "REQUEST_ID_REUSED"


async def test_what_is_too_dear_spends_nothing(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    wanted = {"service": "seat", "quantity": 4}
    reason, told = await some.refused(some.parent, "DebitUsage", **wanted)
    assert (reason, told) == ("BALANCE_TOO_LOW", {"available": "1000"})
    reason, told = await some.refused(OPERATOR, "DebitUsage", account=some.parent.account, **wanted)
    assert (reason, told) == ("BALANCE_TOO_LOW", {})
    reason, told = await some.refused(some.child, "DebitUsage", **wanted)
    assert (reason, told) == ("SELLER_UNAVAILABLE", {})
    assert (await some.available(some.parent), await some.available(some.child)) == (1_000, 1_000)


async def test_bad_debits_are_told_all_at_once(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    with pytest.raises(Exception, match=r"service: .*; quantity: .*; description: "):
        await some.mutate(
            some.parent, "DebitUsage", service="Seat!", quantity=0, description="x" * 501
        )
    for wrong in ({"service": "unknown"}, {"quantity": 1_000_000_001}, {"request_id": "a/b"}):
        reason, _ = await some.refused(
            some.parent, "DebitUsage", **{"service": "seat", "quantity": 1, **wrong}
        )
        assert reason == "INVALID_FIELDS"
    assert await some.available(some.parent) == 1_000


async def test_usage_is_given_back_by_the_creditor_and_no_more_than_there_was(
    here: ServiceAndEmulator,
) -> None:
    some = await family_with_credit(here)
    entry = await some.mutate(some.child, "DebitUsage", service="seat", quantity=3)
    wanted = {"account": some.child.account, "sequence": entry.sequence, "reason": "not sent"}
    for who in (some.child, OPERATOR):
        reason, _ = await some.refused(who, "RefundUsage", **wanted, quantity=1)
        assert reason == "NOT_CREDITOR"
    back = await some.mutate(some.parent, "RefundUsage", **wanted, quantity=2)
    assert (back.kind, back.amount.amount, back.service) == ("usage_refund", 600, "seat")
    reason, _ = await some.refused(some.parent, "RefundUsage", **wanted, quantity=2)
    assert reason == "REFUND_TOO_LARGE"
    for sequence in (1, entry.sequence + 7):
        reason, _ = await some.refused(
            some.parent, "RefundUsage", **{**wanted, "sequence": sequence}, quantity=1
        )
        assert reason == "NOT_FOUND"
    await costs_posted(some)
    cost = (await some.call(some.parent, "ListEntries")).entries[0]
    back = await some.mutate(
        OPERATOR, "RefundUsage", account=some.parent.account, sequence=cost.sequence, quantity=3,
        reason="platform's fault",
    )  # fmt: skip
    assert (back.kind, back.amount.amount) == ("cost_refund", 900)
    told = await some.call(some.parent, "GetRebilling", account=some.child.account)
    assert (told.revenue.amount, told.cost.amount, told.margin.amount) == (300, 0, 300)
    with pytest.raises(Exception, match=r"sequence: .*; quantity: .*; reason: "):
        await some.mutate(some.parent, "RefundUsage", account=some.child.account)


# --- settings -------------------------------------------------------------------------------------


async def test_settings_are_the_owner_s_and_change_by_etag(here: ServiceAndEmulator) -> None:
    some = await family(here)
    first = (await some.call(some.child, "GetWallet")).settings
    reason, _ = await some.refused(
        some.parent, "UpdateWalletSettings", account=some.child.account,
        settings={"auto_reload": AUTO},
    )  # fmt: skip
    assert reason == "NOT_OWNER"
    set_ = await some.mutate(
        some.child, "UpdateWalletSettings", settings={"auto_reload": AUTO, "etag": first.etag}
    )
    assert {name: getattr(set_.auto_reload, name) for name in AUTO} == AUTO
    for etag in (first.etag, "x"):
        reason, _ = await some.refused(
            some.child, "UpdateWalletSettings", settings={"auto_reload": AUTO, "etag": etag}
        )
        assert reason == "ETAG_MISMATCH"
    assert (await some.call(some.child, "GetWallet")).settings == set_
    cleared = await some.mutate(
        some.child, "UpdateWalletSettings", settings={"etag": set_.etag},
        update_mask={"paths": ["auto_reload"]},
    )  # fmt: skip
    assert not cleared.HasField("auto_reload")


async def test_bad_settings_are_told_all_at_once(here: ServiceAndEmulator) -> None:
    some = await family(here)
    wrong = {"threshold": -1, "amount": 10, "most_per_charge": 5, "most_per_day": 2}
    with pytest.raises(Exception, match=r"threshold.*most_per_charge.*most_per_day.*payment_meth"):
        await some.mutate(some.parent, "UpdateWalletSettings", settings={"auto_reload": wrong})
    with pytest.raises(Exception, match=r"settings: .*update_mask: "):
        await some.mutate(some.parent, "UpdateWalletSettings")
    multipliers = {"sms": "0.99", "seat": "1.00001", "S!": "1", "*": "11"}
    with pytest.raises(Exception, match=r"multipliers.*multipliers.*multipliers.*multipliers"):
        await some.mutate(
            some.parent, "UpdateRebilling", account=some.child.account,
            settings={"multipliers": multipliers},
        )  # fmt: skip


async def test_rebilling_is_the_parent_s_alone(here: ServiceAndEmulator) -> None:
    some = await family(here)
    rival = await here.tenant()
    settings = {"multipliers": {"*": "1.25"}}
    account = some.child.account
    reason, _ = await some.refused(some.child, "UpdateRebilling", settings=settings)
    assert reason == "NOT_CREDITOR"
    assert (await some.refused(some.child, "GetRebilling"))[0] == "NOT_CREDITOR"
    for method, fields in (("UpdateRebilling", {"settings": settings}), ("GetRebilling", {})):
        reason, _ = await some.refused(rival, method, account=account, **fields)
        assert reason == "NOT_FOUND"
        assert (await some.refused(some.parent, method, **fields))[0] == "INVALID_FIELDS"
    set_ = await some.mutate(some.parent, "UpdateRebilling", account=account, settings=settings)
    reason, _ = await some.refused(
        some.parent, "UpdateRebilling", account=account, settings={**settings, "etag": "old"}
    )
    assert (reason, dict(set_.multipliers)) == ("ETAG_MISMATCH", settings["multipliers"])


# --- reads ----------------------------------------------------------------------------------------


async def test_entries_are_listed_in_pages(here: ServiceAndEmulator) -> None:
    some = await family(here)
    for amount in (1, 2, 3):
        await some.grant(amount)
    first = await some.call(some.parent, "ListEntries", page_size=2)
    second = await some.call(
        some.parent, "ListEntries", page_size=2, page_token=first.next_page_token
    )
    assert [one.sequence for one in (*first.entries, *second.entries)] == [3, 2, 1]
    assert second.next_page_token == ""
    reason, _ = await some.refused(
        some.child, "ListEntries", page_size=2, page_token=first.next_page_token
    )
    assert reason == "INVALID_PAGE_TOKEN"
    assert (await some.refused(some.child, "ListEntries", page_size=101))[0] == "INVALID_FIELDS"
    rival = await here.tenant()
    for method in ("ListEntries", "GetWallet"):
        assert (await some.refused(rival, method, account=some.child.account))[0] == "NOT_FOUND"


async def test_a_statement_opens_and_closes_with_a_balance(here: ServiceAndEmulator) -> None:
    some = await family_with_credit(here)
    await some.mutate(
        some.parent, "DebitUsage", service="seat", quantity=1, description="=HYPERLINK(1)"
    )
    first = (await some.call(some.parent, "ListEntries")).entries[0]
    rows = [*csv.DictReader(io.StringIO((await some.export(some.parent)).removeprefix("\ufeff")))]
    assert [row["kind"] for row in rows] == ["opening_balance", "grant", "usage", "closing_balance"]
    assert [row["available"] for row in rows] == ["0.00", "10.00", "7.00", "7.00"]
    assert (rows[2]["amount"], rows[2]["description"]) == ("-3.00", "'=HYPERLINK(1)")
    rows = [
        *csv.DictReader(
            io.StringIO((await some.export(some.parent, start_time=first.create_time))[1:])
        )
    ]
    assert rows[0]["available"] == "10.00"
    assert [row["kind"] for row in rows[1:-1]] == ["usage"]
    with pytest.raises(Exception, match="end_time"):
        await some.export(some.parent, start_time=first.create_time, end_time=first.create_time)


# --- payment methods ------------------------------------------------------------------------------


async def test_an_owner_prepares_a_method_where_the_creditor_is_paid(
    here: ServiceAndEmulator,
) -> None:
    some = await family(here)
    made = await some.mutate(some.child, "PrepareMethod")
    assert made.stripe_account == some.parent.stripe_account
    assert made.setup_intent.client_secret
    again = await some.mutate(some.child, "PrepareMethod")
    assert (again.customer, again.setup_intent.id != made.setup_intent.id) == (made.customer, True)
    there = await here.sdk.v1.customers.retrieve_async(made.customer, None, some.parent.options)
    assert there.name == some.child.account
    await some.ground.mutate(
        "PaymentMethodService.AttachPaymentMethod", customer=made.customer, id="pm_card_visa"
    )
    wallet = await some.call(some.child, "GetWallet", payment_methods=True)
    assert (wallet.customer, wallet.stripe_account) == (made.customer, made.stripe_account)
    assert [method.brand for method in wallet.payment_methods] == ["visa"]
    own = await some.mutate(some.parent, "PrepareMethod")
    assert own.stripe_account not in (made.stripe_account, "")


async def test_only_the_creditor_names_a_customer_and_once(here: ServiceAndEmulator) -> None:
    some = await family(here)
    one, other = [await some.ground.customer() for _ in range(2)]
    account = some.child.account
    reason, _ = await some.refused(some.child, "PrepareMethod", customer=one)
    assert reason == "NOT_CREDITOR"
    reason, _ = await some.refused(
        some.parent, "PrepareMethod", account=account, customer="cus_none"
    )
    assert reason == "NOT_FOUND"
    made = await some.mutate(some.parent, "PrepareMethod", account=account, customer=one)
    assert made.customer == one
    reason, _ = await some.refused(some.parent, "PrepareMethod", account=account, customer=other)
    assert reason == "CUSTOMER_LINKED"
    sibling = await here.tenant(parent=some.parent.account)
    reason, _ = await some.refused(
        some.parent, "PrepareMethod", account=sibling.account, customer=one
    )
    assert reason == "CUSTOMER_LINKED"
