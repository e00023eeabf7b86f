"""Each answer of Stripe's that is no success, through the real SDK."""

import asyncio
import datetime as dt
import logging
import traceback

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from application.customers.ports import CustomerChange, CustomerFields
from application.mirror.stripe import Priority
from application.mutations.stripe import Unanswered
from domain.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    PaymentDeclined,
    RateLimited,
    Reason,
    Unavailable,
)
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.customers.gateway import StripeCustomers
from sandbox.emulator.core.messages import FaultSpec
from sandbox.emulator.running import RunningEmulator
from tests.wire.gateway.conftest import MakeApi, MakeCall, Served, until

ADA = CustomerFields(name="Ada")
CREATE = "POST /v1/customers"
LIST = "GET /v1/customers"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def listing(account: str, priority: Priority = Priority.CALLER) -> Request:
    return Request("get", "/v1/customers", Subject("customer"), account, priority=priority)


async def fail(emulator: RunningEmulator, status: int, **more: int | None) -> None:
    await emulator.control.add_fault(FaultSpec(kind="fail", status=status, **more))  # type: ignore[arg-type]  # counts and seconds only


async def test_a_wrong_value_names_its_field_and_is_told_nowhere(
    customers: StripeCustomers, call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    personal = "NOBODY".lower()  # not as it is, since a traceback shows this source
    with pytest.raises(InvalidArgument) as caught:
        await customers.create(call(), CustomerFields(email=personal))
    assert [each.field for each in caught.value.violations] == ["email"]
    assert personal not in "".join(traceback.format_exception(caught.value)) + caplog.text
    assert caught.value.metadata["stripe_request_id"].startswith("req_")


async def test_a_missing_object(customers: StripeCustomers, call: MakeCall) -> None:
    with pytest.raises(NotFound):
        await customers.update(call(), CustomerChange("cus_no", ADA))


async def test_a_declined_card(api: StripeApi, account: str) -> None:
    request = Request(
        "post",
        "/v1/charges",
        Subject("charge"),
        account,
        params={"amount": 500, "currency": "usd", "source": "tok_chargeDeclinedInsufficientFunds"},
        idempotency_key="k",
    )
    with pytest.raises(PaymentDeclined) as caught:
        await api.request(request)
    assert caught.value.decline_code == "insufficient_funds"


async def test_a_refused_key(make_api: MakeApi, account: str) -> None:
    with pytest.raises(Unavailable, match="STRIPE_SECRET_KEY") as caught:
        await make_api(secret_key="sk_test_nobody").request(listing(account))
    assert "nobody" not in str(caught.value)


async def test_a_revoked_connection(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator, account: str
) -> None:
    await emulator.control.deauthorize(account)
    with pytest.raises(FailedPrecondition) as caught:
        await customers.create(call(), ADA)
    assert caught.value.reason is Reason.STRIPE_CONNECTION_REVOKED


async def test_too_many_requests_are_waited_out(
    api: StripeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 429, retry_after=1)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await api.request(listing(account))
    assert 1.0 <= loop.time() - started < 5.0
    assert await served(LIST) == 2


async def test_too_many_requests_without_a_time_are_tried_again_soon(
    api: StripeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 429, count=2)
    await api.request(listing(account))
    assert await served(LIST) == 3


async def test_tries_are_bounded(
    api: StripeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 429, count=None)
    with pytest.raises(RateLimited):
        await api.request(listing(account))
    assert await served(LIST) == 3


async def test_a_wait_beyond_the_callers_patience_is_told(
    api: StripeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 429, retry_after=30)
    with pytest.raises(RateLimited) as caught:
        await api.request(listing(account))
    assert 30 <= caught.value.retry_after_seconds <= 33
    with pytest.raises(RateLimited):
        await api.request(listing(account))
    assert await served(LIST) == 1
    other = await emulator.control.create_account()
    await api.request(listing(other))


async def test_a_key_in_use(
    make_api: MakeApi, call: MakeCall, emulator: RunningEmulator, served: Served
) -> None:
    customers = StripeCustomers(make_api(tries=1))
    await emulator.control.add_fault(FaultSpec(kind="stall", seconds=2.0, method="POST"))
    first = asyncio.create_task(customers.create(call(), ADA))
    await until(lambda: holds_the_key(emulator))
    with pytest.raises(Unanswered):
        await customers.create(call(), ADA)
    assert (await first).object is not None
    assert await served(CREATE) == 2


async def holds_the_key(emulator: RunningEmulator) -> bool:
    """Whether the fault was taken, by the request that now stalls."""
    return not await emulator.control.faults()


async def test_a_server_error_on_a_read_is_tried_again(
    api: StripeApi, account: str, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 503, count=2)
    await api.request(listing(account))
    assert await served(LIST) == 3


async def test_a_lasting_server_error_on_a_read_is_unavailable(
    api: StripeApi, account: str, emulator: RunningEmulator
) -> None:
    await fail(emulator, 500, count=None)
    with pytest.raises(Unavailable) as caught:
        await api.request(listing(account))
    assert not isinstance(caught.value, Unanswered)


async def test_a_server_error_that_stripe_keeps_is_told_as_replayed(
    customers: StripeCustomers, call: MakeCall, emulator: RunningEmulator, served: Served
) -> None:
    await fail(emulator, 500)
    with pytest.raises(Unanswered) as caught:
        await customers.create(call(), ADA)
    assert caught.value.replayed
    assert await served(CREATE) == 2


async def test_a_refused_connection_was_never_sent(make_api: MakeApi, call: MakeCall) -> None:
    customers = StripeCustomers(make_api(api_base=f"http://127.0.0.1:{unused_port()}"))
    with pytest.raises(Unavailable, match="nothing was sent") as caught:
        await customers.create(call(), ADA)
    assert not isinstance(caught.value, Unanswered)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(body=b"<html>", headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}),
        web.Response(body=b"{}", headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}),
        web.Response(body=b"\xff\xff", headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}),
        web.Response(body=b'{"id": "cus_1", "created": 1}', headers={"Date": "noon"}),
        web.Response(
            status=500,
            body=b'{"error": null}',
            headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"},
        ),
        web.Response(status=302, headers={"Location": "/v1/customers"}),
        web.Response(status=418, body=b'{"error": {"message": "teapot"}}'),
    ],
    ids=["html", "no id", "no text", "no date", "no error", "redirect", "teapot"],
)
async def test_an_answer_that_makes_no_sense(
    make_api: MakeApi, call: MakeCall, answer: web.Response
) -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        customers = StripeCustomers(make_api(api_base=str(server.make_url("")).rstrip("/")))
        with pytest.raises(Unanswered):
            await customers.create(call(), ADA)
        with pytest.raises((Unavailable, NotUnderstood)) as caught:
            await customers.find_created(call(), ADA, now())
        assert not isinstance(caught.value, Unanswered)
        assert isinstance(caught.value, NotUnderstood) == (answer.body == b"{}")
