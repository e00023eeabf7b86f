"""`billing restatements` against a service in this process."""

import asyncio
import datetime as dt
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, cast
from unittest.mock import create_autospec

import grpc
from typer.testing import CliRunner

from application.analytics.restatements import (
    Cause,
    LedgerEntry,
    ListRestatements,
    Restatement,
    Restatements,
)
from application.analytics.trust import Standing, Trust
from application.analytics.use_cases import RevenueAnalytics
from application.requests.paging import Page
from domain.facts import Fact, Series, Statement
from domain.money import Money
from interfaces.cli.client import Connect, authorised
from interfaces.cli.restatements import restatements_app
from interfaces.cli.target import Target
from tests.support.servers.grpc import analyses_of, running_server

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
ENTRY = LedgerEntry(NOON, Money(123_450, "usd"), Money(0, "usd"), "charge", "payments")
DEARER = LedgerEntry(NOON, Money(123_450, "usd"), Money(305, "usd"), "", "payments")
FOUND = [
    Restatement("txn_2", Cause.CHANGED, NOON, NOON, ENTRY, DEARER),
    Restatement("txn_1", Cause.LATE, NOON, NOON, None, ENTRY),
    Restatement("txn_0", Cause.REMOVED, NOON, NOON, ENTRY, None),
]
FACTS = [
    Fact(
        Statement(Series.MRR, "cus_1", NOON, "churn", "usd", -123_456_000, -1, "voluntary"),
        3, NOON + dt.timedelta(hours=5), late=True,
    ),
    Fact(Statement(Series.MRR, "cus_2", NOON, "unpriced", count=1), 1, NOON, late=True),
]  # fmt: skip
TRUST = Trust("", Standing(NOON, NOON, importing=False))


async def said(*arguments: str, found: Sequence[Restatement] = FOUND, trust: Trust = TRUST) -> str:
    """What the command prints of a service that has so many restatements, one a page."""

    async def page(_: object, query: ListRestatements) -> tuple[Page[Restatement], Trust]:
        start = int(query.page_token or 0)
        token = str(start + 1) if start + 1 < len(found) else ""
        return Page(found[start : start + 1], token), trust

    restatements = create_autospec(Restatements, instance=True)
    restatements.list.side_effect = page
    analyses = analyses_of(create_autospec(RevenueAnalytics, instance=True))
    lists = cast("Any", analyses.facts)
    lists.restated.return_value = (Page(FACTS, ""), trust)
    async with running_server(restatements=restatements, analyses=analyses) as running:
        address = f"127.0.0.1:{running.port}"

        def reach(_: Target) -> Connect:
            def connect(scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
                return authorised(address, lambda: running.token(account="acme", scopes=scopes))

            return connect

        environment = {"COLUMNS": "300", "TERM": "dumb"}
        result = await asyncio.to_thread(
            CliRunner().invoke, restatements_app(reach), arguments, env=environment
        )
        assert result.exit_code == 0, result.exception
        return result.stdout


async def test_restatements_are_listed_with_both_values() -> None:
    text = await said("--account", "acme")
    assert "closed through: 2026-03-01 12:00:00Z" in text
    lines = {
        next(word for word in line.split() if word.startswith("txn_")): line
        for line in text.splitlines()
        if "txn_" in line
    }
    assert [*lines] == ["txn_2", "txn_1", "txn_0"]
    assert "changed" in lines["txn_2"]
    assert "1,234.50 USD, fee 0.00 USD, charge, 2026-03-01 12:00:00Z" in lines["txn_2"]
    assert "1,234.50 USD, fee 3.05 USD, no category" in lines["txn_2"]
    assert ("late" in lines["txn_1"], "removed" in lines["txn_0"]) == (True, True)


async def test_where_nothing_was_restated_it_says_so() -> None:
    text = await said(found=(), trust=Trust("", Standing()))
    assert text.splitlines() == ["closed through: nothing yet", "nothing was restated"]


async def test_restatements_as_json() -> None:
    document = json.loads(await said("--json", "--limit", "2"))
    assert [each["cause"] for each in document["restatements"]] == [
        "RESTATEMENT_CAUSE_CHANGED",
        "RESTATEMENT_CAUSE_LATE",
    ]
    assert (document["more"], document["trust"]["closed_through"]) == (True, "2026-03-01T12:00:00Z")


async def test_facts_of_a_series_that_was_closed() -> None:
    text = await said("--series", "mrr")
    (churn,) = [line for line in text.splitlines() if "cus_1" in line]
    for word in ("2026-03-01 17:00:00Z", "2026-03-01 12:00:00Z", "churn, voluntary", "-1"):
        assert word in churn
    assert "-123.46 USD" in churn
    assert "txn_" not in text
    document = json.loads(await said("--series", "mrr", "--json"))
    assert document["facts"][0]["amount"]["ten_thousandths"] == "-123456000"
