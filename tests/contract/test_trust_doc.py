"""What docs/metrics.md says of trust is true: its examples, on each store."""

import datetime as dt
from collections.abc import Mapping
from uuid import uuid4

import pytest

from application.analytics.ledger import Ledger
from application.analytics.metrics import LEDGER
from application.analytics.restatements import ListRestatements, Restatements
from application.events.inbox import EventState, ReceivedEvent
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.writer import MirrorWriter
from domain.balance_transactions import BalanceTransaction
from domain.money import Money
from domain.periods import to_milliseconds
from tests.contract.samples import snapshot
from tests.contract.test_ledger import CALLER, Closings, connected, tokens
from tests.contract.test_metrics_doc import EXAMPLES, instant
from tests.support.expected.examples import Example
from tests.support.fakes.standings import some_trust
from tests.support.fakes.stores import FakeClock
from tests.support.rooms.closing import ACCOUNT, Kept
from tests.support.servers.stores import Stores

CLOSINGS = [each for each in EXAMPLES if "data_through" in each.settings]
KNOWLEDGE = [each for each in EXAMPLES if "seen" in each.tables]


def test_the_page_has_examples_of_trust() -> None:
    assert len(CLOSINGS) >= 2
    assert KNOWLEDGE


@pytest.mark.parametrize("example", CLOSINGS, ids=lambda each: f"line {each.line}")
async def test_an_example_of_closing(example: Example) -> None:
    kept = Kept()
    kept.clock.instant = instant("2026-03-02T00:00Z", "UTC")
    await kept.imported()
    await kept.come_to(
        *(instant(example.settings[n], "UTC") for n in ("data_through", "transactions"))
    )
    for row in example.tables.get("event", ()):
        created = to_milliseconds(instant(row["created"], "UTC"))
        state = EventState(row["state"])
        kept.events.add(
            ReceivedEvent(
                row["event"], ACCOUNT, "t", "", created, "", "", b"", kept.clock.now(), state
            )
        )
    closed = await kept.settle()
    assert closed is not None
    assert {"closed_through": f"{closed:%Y-%m-%dT%H:%MZ}"} == example.figures


@pytest.mark.parametrize("example", KNOWLEDGE, ids=lambda each: f"line {each.line}")
async def test_an_example_of_the_past(stores: Stores, example: Example) -> None:
    account = f"acct_{uuid4().hex}"
    for row in example.tables["seen"]:
        await see(stores, account, row)
    start, _, end = example.settings["period"].partition(" to ")
    edges = [instant(start, "UTC"), instant(end, "UTC")]
    ledger = Ledger(stores.analytics, stores.changes)
    figures = dict[str, str]()
    for name in example.figures:
        part, _, text = name.partition(", as of ")
        if not text and part.startswith("restate"):
            continue
        as_of = instant(text, "UTC") if text else None
        (row,) = await ledger.figures(LEDGER, account, edges, "usd", as_of=as_of)
        figures[name] = str(dict(zip(("amount usd", "fee usd"), row.sums, strict=True))[part])
    (row,) = await ledger.restated(LEDGER, account, edges, "usd")
    figures |= dict(
        zip(("restated amount usd", "restated fee usd"), map(str, row.sums), strict=True)
    )
    clock = FakeClock(edges[-1])
    asked = Restatements(stores.changes, connected(account, clock), tokens(clock), some_trust())
    page, _ = await asked.list(CALLER, ListRestatements())
    figures["restatements"] = ", ".join(
        f"{each.balance_transaction} {each.cause}" for each in page.items
    )
    assert figures == example.figures


async def see(stores: Stores, account: str, row: Mapping[str, str]) -> None:
    """Let the mirror observe a row of an example."""
    at, created = instant(row["at"], "UTC"), instant(row["created"], "UTC")
    amount, currency = row["amount"].split()
    money = [Money(each, currency) for each in (int(amount), int(row["fee"]))]
    told = BalanceTransaction(
        row["transaction"], created, *money, Money(money[0].amount - money[1].amount, currency),
        "charge", "available", created,
        reporting_category=row["category"], balance_type="payments",
    )  # fmt: skip
    closed = None if row["closed"] == "absent" else instant(row["closed"], "UTC")
    stores.clock.instant = at
    closings = Closings(None if closed is None else to_milliseconds(closed))
    seen = snapshot(told, at=to_milliseconds(at), stripe_account=account)
    await MirrorWriter(stores.mirror, closings).observe(BALANCE_TRANSACTIONS, [seen])
    assert dt.timedelta(0) <= at - created
