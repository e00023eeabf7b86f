"""Tying to the bank with a balance that the emulator tells, and mending what does not tie."""

from contextlib import aclosing
from dataclasses import replace

import pytest

from application.analytics.tie_out import TieOuts
from application.connections.sources import Source
from application.mirror.nouns import BALANCE_TRANSACTIONS, CHARGES, REFUNDS
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.payouts.balance import Balances
from application.upkeep.anchors import BalanceAnchors
from application.upkeep.ports import Check, Report
from application.upkeep.proof import Proof
from application.upkeep.relisting import MAX_DAYS_A_ROUND, Relisting
from application.upkeep.unsettled import MAX_ASKED, Unsettled
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.periods import from_milliseconds
from domain.reporting_categories import SETTLEMENT
from domain.tie_out import Verdict
from infrastructure.stripe.payouts.gateway import StripePayouts
from sandbox.emulator.core.messages import AccountSpec
from tests.support.fakes.standings import some_trust
from tests.support.rooms.payouts import PayoutsOn
from tests.support.rooms.upkeep import Flows, last
from tests.wire.flows.test_payout_membership import AVAILABLE, DAY, MIDNIGHT

LISTS = "GET /v1/balance_transactions"


class Bank:
    """An account that is paid out daily, the flows over it, and what is told of its days."""

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        connections = PayoutsOn(flows.stores.mirror, flows.account).connections
        self.balances = Balances(
            connections,
            flows.mirrored_accounts,
            StripePayouts(flows.api),
            flows.balance_transactions,
            flows.stores.mirror,
            flows.stores.balance_readings,
            flows.clock,
        )
        anchors = BalanceAnchors(
            flows.stores.balance_readings, flows.backfill, flows.stores.checkpoints, flows.clock
        )
        self.tie_outs = TieOuts(
            flows.stores.analytics, flows.stores.mirror, anchors, connections, some_trust()
        )
        self.relisting = Relisting(
            self.tie_outs, flows.lister, flows.importer, flows.stores.checkpoints,
            flows.mirrored_accounts, flows.clock, retries=flows.retries,
        )  # fmt: skip
        self.proof = Proof(
            flows.stores.mirror, flows.stores.analytics, anchors, flows.stores.checkpoints,
            flows.stores.reports, flows.clock,
        )  # fmt: skip
        self.unsettled = Unsettled(
            flows.lister, flows.importer, flows.stores.mirror, flows.stores.checkpoints,
            flows.backfill, flows.mirrored_accounts, flows.clock, retries=flows.retries,
        )  # fmt: skip

    async def read(self) -> None:
        """Read the balance, and what moved it past that."""
        account = self.flows.account
        await self.balances.read(account, Priority.CALLER, patience_seconds=60)
        await self.flows.pass_time(60)
        await self.flows.balance_transactions.refresh(account)

    async def verdicts(self, days: int) -> dict[str, list[str]]:
        """Of each day since the beginning, by currency."""
        edges = [from_milliseconds((MIDNIGHT + number * DAY) * 1_000) for number in range(days + 1)]
        answer = await self.tie_outs.between(self.flows.account, edges)
        return {
            part.currency: [day.judgement.verdict.value for day in part.days] for part in answer
        }

    async def lose(self, id_: str) -> int:
        """Lose what a row moved; how much that was."""
        rows = await self.flows.stores.mirror.fetch(BALANCE_TRANSACTIONS, self.flows.account, [id_])
        row = rows[id_]
        assert row.snapshot is not None
        assert row.snapshot.object is not None
        found = row.snapshot.object
        nothing = Money(0, found.net.currency)
        bare = replace(found, amount=nothing, fee=nothing, net=nothing, fee_details=())
        lost = Snapshot(self.flows.account, id_, Version.of_event(1), bare)
        await self.flows.stores.mirror.replace(BALANCE_TRANSACTIONS, [(lost, row.revision)])
        return found.net.amount

    async def proved(self) -> Report:
        """The report of a proof."""
        step = await last(self.proof.run(self.flows.account))
        report = await self.flows.stores.reports.get(self.flows.account, step.report_id)
        assert report is not None
        return report

    async def lists(self) -> int:
        """How often balance transactions were listed."""
        return (await self.flows.emulator.control.stats()).routes.get(LISTS, 0)


@pytest.fixture
async def bank(flows: Flows) -> Bank:
    await flows.set_time(MIDNIGHT + 3_600)
    spec = AccountSpec(payouts="daily", settlement_currencies=["eur"])
    flows.account = await flows.emulator.control.create_account(spec)
    flows.source = Source(flows.account, ours=False, since=None)
    await flows.backfilled()
    return Bank(flows)


async def live(bank: Bank, days: int) -> None:
    """Days of all that moves a balance, each of which is read."""
    flows, control = bank.flows, bank.flows.emulator.control
    for number in range(days):
        await control.set_rate("eur", f"0.{91 + number}")
        charges = [
            await flows.post("/v1/charges", amount=9_000 + number, currency=code, source=AVAILABLE)
            for code in ("usd", "eur", "gbp", "usd")
        ]
        await flows.post("/v1/refunds", charge=charges[0]["id"], amount=700)
        await control.open_dispute(charges[3]["id"], account=flows.account)
        await control.book(
            {"type": "stripe_fee", "amount": "-31", "currency": "usd"}, account=flows.account
        )
        payouts = (await flows.get("/v1/payouts"))["data"]
        if number == 2 and payouts:
            await control.fail_payout(payouts[-1]["id"], account=flows.account)
        await flows.pass_time(DAY // 2)
        await bank.read()
        await flows.pass_time(DAY // 2 - 60)


async def test_every_day_ties(bank: Bank) -> None:
    await live(bank, 5)
    await bank.read()
    assert await bank.verdicts(4) == {"eur": ["ties"] * 4, "usd": ["ties"] * 4}


async def test_a_day_that_differs_is_listed_again_once(bank: Bank) -> None:
    await live(bank, 4)
    await bank.read()
    rows = await bank.flows.listed(BALANCE_TRANSACTIONS)
    lost = next(row for row in rows if MIDNIGHT + DAY < row["created"] < MIDNIGHT + 2 * DAY)
    moved = await bank.lose(lost["id"])
    before = await bank.verdicts(3)
    assert before[lost["currency"]] != ["ties"] * 3
    edges = [from_milliseconds((MIDNIGHT + n * DAY) * 1_000) for n in range(4)]
    told = await bank.tie_outs.between(bank.flows.account, edges, lost["currency"])
    assert {
        day.judgement.remainder for day in told[0].days if day.judgement.verdict is Verdict.DIFFERS
    } == {moved}

    assert await bank.relisting.relist(bank.flows.account) >= 1
    assert await bank.verdicts(3) == {"eur": ["ties"] * 3, "usd": ["ties"] * 3}
    lists = await bank.lists()
    assert await bank.relisting.relist(bank.flows.account) == 0
    await bank.lose(lost["id"])
    assert await bank.relisting.relist(bank.flows.account) == 0, "each day once"
    assert await bank.lists() == lists


async def test_what_stays_wrong_is_listed_in_rounds(bank: Bank) -> None:
    flows, days = bank.flows, MAX_DAYS_A_ROUND + 3
    await flows.pass_time(days * DAY)
    await bank.read()
    (kept,) = await flows.stores.balance_readings.before(flows.account, 2**50, limit=1)
    wrong = replace(
        kept, start_ms=kept.start_ms + 1, currencies=(replace(kept.currencies[0], available=5),)
    )
    await flows.stores.balance_readings.keep(flows.account, wrong)
    lists = await bank.lists()
    assert await bank.relisting.relist(flows.account) == MAX_DAYS_A_ROUND
    assert await bank.lists() - lists == MAX_DAYS_A_ROUND, "one page a day"
    while await bank.relisting.relist(flows.account):
        pass
    lists = await bank.lists()
    assert await bank.relisting.relist(flows.account) == 0
    assert await bank.lists() == lists


async def settled(bank: Bank, noun: Noun[object], ids: list[str]) -> list[str]:
    rows = await bank.flows.stores.mirror.fetch(noun, bank.flows.account, ids)
    return [id_ for id_ in ids if SETTLEMENT in rows[id_].derived]


async def test_what_has_no_transaction_after_an_hour_is_asked_for(bank: Bank) -> None:
    flows = bank.flows
    charges = [
        await flows.post("/v1/charges", amount=900, currency="usd", source=AVAILABLE)
        for _ in range(3)
    ]
    held = await flows.post(
        "/v1/charges", amount=900, currency="usd", source=AVAILABLE, capture=False
    )
    refund = await flows.post("/v1/refunds", charge=charges[0]["id"])
    ids = [charge["id"] for charge in charges]
    await flows.caught_up()
    assert await bank.unsettled.ask(flows.account) == 0, "it may come yet"
    await flows.pass_time(3_700)
    lists = await bank.lists()
    assert await bank.unsettled.ask(flows.account) == 4
    assert await settled(bank, CHARGES, [*ids, held["id"]]) == ids
    assert await settled(bank, REFUNDS, [refund["id"]]) == [refund["id"]]
    assert await bank.lists() - lists == 4
    assert await bank.unsettled.ask(flows.account) == 0
    assert await bank.lists() - lists == 4, "each is asked for once"

    await flows.post(f"/v1/charges/{held['id']}/capture")
    await flows.caught_up()
    await flows.pass_time(8 * DAY)
    await bank.unsettled.ask(flows.account)
    assert await settled(bank, CHARGES, [held["id"]]) == [held["id"]]


async def test_a_round_asks_for_so_many_and_the_next_one_goes_on(bank: Bank) -> None:
    flows = bank.flows
    for _ in range(MAX_ASKED + 2):
        await flows.post("/v1/charges", amount=900, currency="usd", source=AVAILABLE)
    await flows.caught_up()
    await flows.pass_time(3_700)
    rounds = [await bank.unsettled.ask(flows.account) for _ in range(3)]
    assert rounds == [MAX_ASKED, 2, 0]


async def test_nothing_is_asked_for_before_history_is_imported(flows: Flows) -> None:
    bank = Bank(flows)
    await flows.post("/v1/charges", amount=900, currency="usd", source=AVAILABLE)
    await flows.caught_up()
    await flows.pass_time(7_200)
    assert await bank.unsettled.ask(flows.account) == 0


def found(report: Report) -> dict[Check, tuple[int, int]]:
    """How often each check was made, and did not hold."""
    return {count.check: (count.checked, count.differed) for count in report.checks}


async def proved_books(bank: Bank) -> Report:
    """The proof of some days in which all was mirrored."""
    await live(bank, 4)
    await bank.read()
    await bank.flows.caught_up()
    payouts = (await bank.flows.get("/v1/payouts"))["data"]
    for payout in payouts:
        await bank.flows.payout_membership.read(bank.flows.account, payout["id"])
    return await bank.proved()


@pytest.mark.parametrize("page", [3, 500])
async def test_books_that_hold(bank: Bank, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.upkeep.proof._PAGE", page)
    report = await proved_books(bank)
    assert report.differences == ()
    counts = found(report)
    assert report.differed == 0
    rows = len(await bank.flows.listed(BALANCE_TRANSACTIONS))
    assert counts[Check.PARTS] == (rows, 0)
    assert counts[Check.FIGURES] == (2, 0), "a month in two currencies"
    assert counts[Check.SETTLEMENTS][0] == rows - 4, "a fee has no source that is mirrored"
    assert counts[Check.BANK][0] == 5 * 2, "from the beginning over each reading, by currency"
    assert counts[Check.PAYOUTS][0] >= 1


async def test_a_row_that_is_lost_is_named_by_the_proof(bank: Bank) -> None:
    assert (await proved_books(bank)).differed == 0
    rows = await bank.flows.listed(BALANCE_TRANSACTIONS)
    lost = next(
        row for row in rows
        if MIDNIGHT + DAY < row["created"] < MIDNIGHT + 2 * DAY
        and row["reporting_category"] == "charge"
    )  # fmt: skip
    moved = await bank.lose(lost["id"])
    report = await bank.proved()
    named = {each.check: each for each in report.differences}
    assert set(named) == {Check.SETTLEMENTS, Check.BANK, Check.PAYOUTS} & set(named) | {
        Check.SETTLEMENTS, Check.BANK,
    }  # fmt: skip
    settlement, banked = named[Check.SETTLEMENTS], named[Check.BANK]
    assert (settlement.subject, settlement.expected, settlement.found) == (lost["id"], 0, moved)
    assert banked.found is not None
    assert banked.expected is not None
    assert (banked.currency, banked.found - banked.expected) == (lost["currency"], moved)


@pytest.mark.parametrize("steps_first", [1, 2, 4, 7])
async def test_a_proof_goes_on_where_it_was_cut_off(
    bank: Bank, steps_first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.upkeep.proof._PAGE", 4)
    whole = await proved_books(bank)
    async with aclosing(bank.proof.run(bank.flows.account)) as steps:
        for _ in range(steps_first):
            await anext(steps)
    again = await bank.proved()
    assert again.checks == whole.checks


async def test_a_net_that_is_no_net_is_named(bank: Bank) -> None:
    await live(bank, 1)
    await bank.read()
    flows = bank.flows
    (id_, *_) = await flows.ids(BALANCE_TRANSACTIONS)
    row = (await flows.stores.mirror.fetch(BALANCE_TRANSACTIONS, flows.account, [id_]))[id_]
    assert row.snapshot is not None
    assert row.snapshot.object is not None
    net = row.snapshot.object.net
    wrong = replace(row.snapshot.object, net=Money(net.amount + 1, net.currency))
    spoilt = replace(row.snapshot, object=wrong)
    await flows.stores.mirror.replace(BALANCE_TRANSACTIONS, [(spoilt, row.revision)])
    (parts,) = [each for each in (await bank.proved()).differences if each.check is Check.PARTS]
    assert (parts.subject, parts.expected, parts.found) == (id_, net.amount, net.amount + 1)
