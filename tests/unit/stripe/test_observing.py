"""Reading objects whole: nested lists to their end, and the time that all answers span."""

import datetime as dt
import json
from typing import Any

import pytest
from typing_extensions import override

from application.mirror.stripe import Priority
from application.mutations.stripe import REQUEST_TAG, Call, Unanswered
from domain.errors import (
    BillingError,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.invoices import Invoice
from domain.mirror import Snapshot, Version
from infrastructure.stripe.core.client import MAX_PAGES, Answer, Request, StripeApi
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.core.send import find_tagged, send
from infrastructure.stripe.invoices.translation import INVOICE
from infrastructure.stripe.subscriptions.translation import SUBSCRIPTION
from tests.unit.stripe.billing_samples import (
    invoice,
    invoice_line,
    nested,
    subscription,
    subscription_item,
)

URL = "/v1/invoices/in_1/lines"
GET = Request(
    "get", "/v1/invoices/in_1", Subject("invoice", "in_1"), "acct_1", priority=Priority.BACKFILL
)
POST = Request("post", "/v1/invoices/in_1", Subject("invoice", "in_1"), "acct_1")


class Answers(StripeApi):
    """Stripe, saying what the test wrote down, a second after the other."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.asked: list[Request] = []

    @override
    async def request(self, request: Request) -> Answer:
        second = 1_000 * len(self.asked)
        self.asked.append(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Answer):
            return said
        body = json.dumps(said)
        return Answer(body, date_ms=50_000 + second, duration_ms=10, sent_at_ms=7_000 + second)


def lines(*numbers: int, more: bool = False) -> Any:
    return nested(*(invoice_line(id=f"il_{number}") for number in numbers), url=URL, more=more)


def ids(snapshot: Snapshot[Invoice]) -> list[str]:
    assert snapshot.object is not None
    return [line.id for line in snapshot.object.lines]


async def test_what_is_complete_takes_one_request() -> None:
    stripe = Answers(invoice(invoice_line()))
    snapshot = await observe(stripe, GET, INVOICE)
    assert ids(snapshot) == ["il_1"]
    assert stripe.asked == [GET]
    assert snapshot.version == Version(47_990, 52_000, 7_000, 7_010)


async def test_a_list_that_is_cut_short_is_read_from_its_start_to_its_end() -> None:
    stripe = Answers(invoice(invoice_line(id="il_9"), more=True), lines(1, 2, more=True), lines(3))
    snapshot = await observe(stripe, GET, INVOICE)
    assert ids(snapshot) == ["il_1", "il_2", "il_3"]
    assert not snapshot.unknown
    _, first, second = stripe.asked
    assert (first.path, first.params) == (URL, {"limit": 100})
    assert second.params == {"limit": 100, "starting_after": "il_2"}
    for page in (first, second):
        assert (page.method, page.stripe_account, page.priority) == (
            "get", "acct_1", Priority.BACKFILL,
        )  # fmt: skip


async def test_a_lists_address_may_have_a_query() -> None:
    url = "/v1/subscription_items?subscription=sub_1"
    whole = nested(subscription_item(), subscription_item(id="si_2"), url=url)
    stripe = Answers(subscription(subscription_item(), more=True), whole)
    snapshot = await observe(stripe, GET, SUBSCRIPTION)
    assert snapshot.object is not None
    assert [item.id for item in snapshot.object.items] == ["si_1", "si_2"]
    assert stripe.asked[1].path == "/v1/subscription_items"
    assert stripe.asked[1].params == {"subscription": "sub_1", "limit": 100}


async def test_the_version_spans_all_answers() -> None:
    stripe = Answers(invoice(more=True), lines(1, more=True), lines(2))
    snapshot = await observe(stripe, GET, INVOICE)
    # From before the first answer to after the last: a change between them is inside.
    assert snapshot.version == Version(47_990, 54_000, sent_at=7_000, known_at=9_010)


async def test_not_before_holds_for_all_answers() -> None:
    stripe = Answers(invoice(more=True), lines(1))
    snapshot = await observe(stripe, GET, INVOICE, not_before_ms=49_500)
    assert snapshot.version == Version(49_500, 53_000, sent_at=7_000, known_at=8_010)


async def test_a_missing_or_deleted_object_has_no_lists() -> None:
    gone = Answer("", 50_000, 10, 7_000, missing=True)
    for said in (gone, {"id": "in_1", "object": "invoice", "deleted": True}):
        stripe = Answers(said)
        snapshot = await observe(stripe, GET, INVOICE)
        assert snapshot.deleted
        assert (snapshot.id, snapshot.stripe_account) == ("in_1", "acct_1")
        assert len(stripe.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        NotFound("invoice", "in_1"),  # deleted meanwhile
        InvalidArgument([FieldViolation("starting_after", "is not there")]),
    ],
)
async def test_a_list_that_cannot_be_read_is_tried_again_later(said: Any) -> None:
    stripe = Answers(invoice(more=True), lines(1, more=True), said)
    with pytest.raises(Unavailable) as caught:
        await observe(stripe, GET, INVOICE)
    assert caught.value.reason is Reason.STRIPE_UNAVAILABLE
    assert len(stripe.asked) == 3


@pytest.mark.parametrize(
    "said",
    [
        lines(more=True),  # nothing to go on from
        {"data": [{"object": "line_item"}], "has_more": False},
        {"object": "invoice"},
    ],
)
async def test_a_list_that_no_retry_can_read_is_not_understood(said: Any) -> None:
    stripe = Answers(invoice(more=True), lines(1, more=True), said)
    with pytest.raises(NotUnderstood) as caught:
        await observe(stripe, GET, INVOICE)
    assert caught.value.metadata == {"resource": "invoice", "id": "in_1"}
    assert len(stripe.asked) == 3


async def test_a_list_without_end_is_given_up() -> None:
    stripe = Answers(invoice(more=True), lines(1, more=True))
    with pytest.raises(NotUnderstood, match="lines: has no end"):
        await observe(stripe, GET, INVOICE)
    assert len(stripe.asked) == 1 + MAX_PAGES


@pytest.mark.parametrize("url", ["", "https://elsewhere.example.com/v1/x", "//x/v1/", "/v2/lines"])
async def test_a_list_elsewhere_is_not_asked_for(url: str) -> None:
    stripe = Answers(invoice(lines=nested(url=url, more=True)))
    with pytest.raises(NotUnderstood, match="lines: has no address"):
        await observe(stripe, GET, INVOICE)
    assert len(stripe.asked) == 1


async def test_an_answer_to_a_change_that_is_cut_short_is_read_whole() -> None:
    stripe = Answers(invoice(more=True), invoice(more=True), lines(1, 2))
    snapshot = await send(stripe, POST, INVOICE)
    assert ids(snapshot) == ["il_1", "il_2"]
    assert [request.method for request in stripe.asked] == ["post", "get", "get"]


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(Reason.STRIPE_UNAVAILABLE, "down"),
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
    ],
)
async def test_a_change_that_cannot_be_read_whole_is_done_all_the_same(
    error: BillingError,
) -> None:
    snapshot = await send(Answers(invoice(more=True), error), POST, INVOICE)
    assert snapshot.unknown == {"lines"}
    replayed = Answer(json.dumps(invoice(more=True)), 50_000, 10, 7_000, replayed=True)
    with pytest.raises(Unanswered):
        await send(Answers(replayed, error), POST, INVOICE)


async def test_what_an_earlier_send_made_is_found_ended_and_whole() -> None:
    tag = {REQUEST_TAG: "tag"}
    cut = subscription(subscription_item(), more=True, status="canceled", metadata=tag)
    url = "/v1/subscription_items?subscription=sub_1"
    whole = nested(subscription_item(), subscription_item(id="si_2"), url=url)
    stripe = Answers({"data": [subscription(id="sub_0"), cut], "has_more": False}, cut, whole)
    sent_at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    found = await find_tagged(stripe, SUBSCRIPTION, Call("acct_1", "key", "tag"), sent_at)
    assert found is not None
    assert found.object is not None
    assert [item.id for item in found.object.items] == ["si_1", "si_2"]
    listing, reading, _ = stripe.asked
    assert listing.params["status"] == "all"
    assert reading.path == "/v1/subscriptions/sub_1"
