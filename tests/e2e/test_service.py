"""One service beside one emulator: from a signed webhook to an answer over gRPC."""

import asyncio
import datetime as dt
import json
import sys
import time

import aiohttp
import grpc
import pytest
import stripe
from billing_client.v1 import analytics_service_pb2 as analytics
from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1.connection_service_pb2 import Connection, GetConnectionRequest
from billing_client.v1.period_pb2 import GRANULARITY_DAY, Period
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from sandbox.emulator.core.messages import DeliveryChange
from sandbox.emulator.settings import PLATFORM_ACCOUNT
from tests.support.servers.service import (
    PRIVATE,
    ServiceAndEmulator,
    Tenant,
    arrived,
    bearer,
    mirrored,
    reason_of,
    token_for,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def pay(here: ServiceAndEmulator, tenant: Tenant, amount: int, card: str) -> None:
    """A payment at Stripe; a card that is declined is one, too."""
    try:
        await here.sdk.v1.payment_intents.create_async(
            {
                "amount": amount,
                "currency": "usd",
                "payment_method": card,
                "confirm": True,
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            },
            tenant.options,
        )
    except stripe.CardError:
        assert "Declined" in card


def today() -> Period:
    """From yesterday until tomorrow."""
    now = dt.datetime.now(dt.UTC)
    period = Period(time_zone="Europe/Berlin")
    period.start_time.FromDatetime(now - dt.timedelta(days=1))
    period.end_time.FromDatetime(now + dt.timedelta(days=1))
    return period


async def test_it_starts_soon(here: ServiceAndEmulator) -> None:
    sys.stdout.write(f"the service was ready after {here.service.started_in:.2f} s\n")
    assert here.service.started_in < 10


async def test_a_webhook_becomes_readable(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    made = await here.sdk.v1.customers.create_async(
        {
            "name": f"Ada {PRIVATE}",
            "email": f"ada@{PRIVATE.lower()}.example",
            "metadata": {"tier": "gold"},
        },
        tenant.options,
    )
    found = await arrived(here, tenant, made.id, f"Ada {PRIVATE}")
    assert found.email == f"ada@{PRIVATE.lower()}.example"
    assert dict(found.metadata) == {"tier": "gold"}
    assert found.create_time.seconds == made.created


async def test_customers_are_listed_newest_first_page_by_page(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    names = [f"{number} {PRIVATE}" for number in range(7)]
    ids = [
        (await here.sdk.v1.customers.create_async({"name": name}, tenant.options)).id
        for name in names
    ]

    async def listed() -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await here.service.customers.ListCustomers(
                pb.ListCustomersRequest(page_size=3, page_token=token), metadata=tenant.metadata
            )
            assert len(page.customers) <= 3
            found += [customer.id for customer in page.customers]
            token = page.next_page_token
            if not token:
                return found

    async def complete() -> list[str]:
        found = await listed()
        return found if len(found) == len(ids) else []

    assert sorted(await until(complete)) == sorted(ids)


async def test_payments_become_revenue(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    for amount in (4_200, 1_050):
        await pay(here, tenant, amount, "pm_card_visa")
    await pay(here, tenant, 999, "pm_card_chargeDeclined")

    async def counted() -> analytics.ChargeCounts | None:
        counts = await here.service.analytics.GetChargeCounts(
            analytics.GetChargeCountsRequest(period=today()), metadata=tenant.metadata
        )
        return counts if counts.succeeded.current + counts.failed.current == 3 else None

    counts = await until(counted)
    assert (counts.succeeded.current, counts.failed.current) == (2, 1)
    request = analytics.GetGrossVolumeRequest(period=today(), granularity=GRANULARITY_DAY)

    async def captured() -> analytics.GrossVolume | None:
        volume = await here.service.analytics.GetGrossVolume(request, metadata=tenant.metadata)
        (part,) = volume.currencies
        return volume if part.current.amount == 5_250 else None

    (part,) = (await until(captured)).currencies
    assert part.currency == part.current.currency == "usd"
    assert sum(bucket.amount.amount for bucket in part.buckets) == 5_250
    assert sum(bucket.charge_count for bucket in part.buckets) == 2


async def test_figures_say_up_to_when_they_stand_and_what_makes_them_up(
    here: ServiceAndEmulator,
) -> None:
    tenant = await here.tenant()
    await pay(here, tenant, 4_200, "pm_card_visa")
    asked = here.service.analytics
    request = analytics.ExplainFigureRequest(
        start_time=today().start_time, end_time=today().end_time, currency="usd"
    )

    async def settled() -> analytics.ExplainFigureResponse | None:
        figure = await asked.ExplainFigure(request, metadata=tenant.metadata)
        return figure if figure.row_count else None

    figure = await until(settled)
    (row,) = figure.rows
    assert (figure.amount.amount, row.entry.amount.amount) == (4_200, 4_200)
    assert figure.fee == row.entry.fee
    assert row.source.startswith(("ch_", "py_"))
    volume = await asked.GetGrossVolume(
        analytics.GetGrossVolumeRequest(period=today()), metadata=tenant.metadata
    )
    assert volume.trust.time_zone == today().time_zone
    assert volume.trust.history_importing, "no backfill was started"
    assert not volume.trust.HasField("closed_through")
    page = await asked.ListRestatements(
        analytics.ListRestatementsRequest(), metadata=tenant.metadata
    )
    assert not page.restatements
    request.as_of.FromDatetime(dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked.ExplainFigure(request, metadata=tenant.metadata)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    request.as_of.FromDatetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked.ExplainFigure(request, metadata=tenant.metadata)
    assert reason_of(refused.value) == "INVALID_FIELDS"
    stranger = await here.tenant()
    other = await asked.ExplainFigure(
        analytics.ExplainFigureRequest(
            start_time=today().start_time, end_time=today().end_time, currency="usd"
        ),
        metadata=stranger.metadata,
    )
    assert (other.row_count, [*other.rows]) == (0, [])


async def test_duplicates_and_disorder_change_nothing(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    control = here.emulator.control
    await control.pause()
    wild = DeliveryChange(duplicate_fraction=0.5, reorder_window=50, concurrency=8, seed=7)
    await control.change_delivery(wild)
    try:
        made = [
            (await here.sdk.v1.customers.create_async({"name": "new"}, tenant.options)).id
            for _ in range(10)
        ]
        for customer_id in made:
            for round_ in range(4):
                await here.sdk.v1.customers.update_async(
                    customer_id, {"name": f"{round_} {PRIVATE}"}, tenant.options
                )
        for customer_id in made[:3]:
            await here.sdk.v1.customers.delete_async(customer_id, options=tenant.options)
        before = await control.delivery()
        await here.delivered()
        after = await control.delivery()
    finally:
        await control.change_delivery(
            DeliveryChange(duplicate_fraction=0, reorder_window=1, concurrency=16)
        )
    assert after.succeeded - before.succeeded == 10 + 40 + 3
    assert after.duplicates > before.duplicates
    for customer_id in made[3:]:
        assert (await arrived(here, tenant, customer_id, f"3 {PRIVATE}")).id == customer_id

    async def gone() -> bool:
        return not any([await mirrored(here, tenant, customer_id) for customer_id in made[:3]])

    assert await until(gone)


async def test_updates_within_a_second_settle_by_reading_anew(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    control = here.emulator.control
    made = await here.sdk.v1.customers.create_async({"name": "start"}, tenant.options)
    await here.delivered()
    await arrived(here, tenant, made.id, "start")
    reads = await here.sent("GET /v1/customers/{id}")
    await control.pause()
    await control.set_clock(int(time.time()) + 10)  # begins a second, and is after the creation
    try:
        # To and fro: no order of these events can be told from the events themselves.
        for name in ("to", "fro", "to", "fro", f"last {PRIVATE}", "fro", f"last {PRIVATE}"):
            await here.sdk.v1.customers.update_async(made.id, {"name": name}, tenant.options)
        events = await here.sdk.v1.events.list_async({"limit": 7}, tenant.options)
        assert len({event.created for event in events.data}) == 1
        await control.change_delivery(DeliveryChange(reorder_window=7, concurrency=1, seed=3))
        await here.delivered()
        await arrived(here, tenant, made.id, f"last {PRIVATE}")
        assert await here.sent("GET /v1/customers/{id}") > reads
    finally:
        await control.change_delivery(DeliveryChange(reorder_window=1, concurrency=16))
        await control.set_clock(int(time.time()))


async def test_a_caller_reads_what_it_wrote(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    await here.emulator.control.pause()  # so that no webhook can have brought it
    try:
        customers, metadata = here.service.customers, tenant.metadata
        made = await customers.CreateCustomer(
            pb.CreateCustomerRequest(
                customer=pb.Customer(name=f"Eve {PRIVATE}"), request_id="create"
            ),
            metadata=metadata,
        )
        assert await mirrored(here, tenant, made.id) == made
        changed = await customers.UpdateCustomer(
            pb.UpdateCustomerRequest(
                customer=pb.Customer(id=made.id, phone="+4930123456"), request_id="update"
            ),
            metadata=metadata,
        )
        assert (changed.name, changed.phone) == (f"Eve {PRIVATE}", "+4930123456")
        assert await mirrored(here, tenant, made.id) == changed
        await customers.DeleteCustomer(
            pb.DeleteCustomerRequest(id=made.id, request_id="delete"), metadata=metadata
        )
        assert await mirrored(here, tenant, made.id) is None
    finally:
        await here.delivered()


async def test_the_platforms_own_account_is_mirrored_too(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant(stripe_account=PLATFORM_ACCOUNT)
    by_webhook = await here.sdk.v1.customers.create_async({"name": f"One {PRIVATE}"})
    await arrived(here, tenant, by_webhook.id, f"One {PRIVATE}")
    by_call = await here.service.customers.CreateCustomer(
        pb.CreateCustomerRequest(customer=pb.Customer(name=f"Two {PRIVATE}"), request_id="own"),
        metadata=tenant.metadata,
    )
    at_stripe = await here.sdk.v1.customers.retrieve_async(by_call.id)
    assert at_stripe.name == f"Two {PRIVATE}"


async def test_tenants_do_not_see_each_other(here: ServiceAndEmulator) -> None:
    owner, stranger = await here.tenant(), await here.tenant()
    sub = await here.tenant(parent=owner.account)
    made = await here.sdk.v1.customers.create_async({"name": "mine"}, owner.options)
    of_sub = await here.sdk.v1.customers.create_async({"name": "sub's"}, sub.options)
    await arrived(here, owner, made.id, "mine")
    await arrived(here, sub, of_sub.id, "sub's")
    get = here.service.customers.GetCustomer

    own = pb.GetCustomerRequest(account=sub.account, id=of_sub.id)
    assert (await get(own, metadata=owner.metadata)).name == "sub's"
    for refused, caller in (
        (pb.GetCustomerRequest(id=made.id), stranger),
        (pb.GetCustomerRequest(account=owner.account, id=made.id), stranger),
        (pb.GetCustomerRequest(account=sub.account, id=of_sub.id), stranger),
        (pb.GetCustomerRequest(account=owner.account, id=made.id), sub),
        (pb.GetCustomerRequest(account="nobody", id=made.id), owner),
        (pb.GetCustomerRequest(id=of_sub.id), owner),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await get(refused, metadata=caller.metadata)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert reason_of(caught.value) == "NOT_FOUND"
    page = await here.service.customers.ListCustomers(
        pb.ListCustomersRequest(), metadata=stranger.metadata
    )
    assert not page.customers


async def test_only_good_tokens_are_let_in(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    forged = token_for(tenant.account, secret="another secret of thirty-two bytes")
    for metadata, code, reason in (
        ((), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
        (bearer("nonsense"), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"),
        (bearer(forged), grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"),
        (
            bearer(token_for(tenant.account, "analytics.read")),
            grpc.StatusCode.PERMISSION_DENIED,
            "SCOPE_MISSING",
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await here.service.customers.ListCustomers(pb.ListCustomersRequest(), metadata=metadata)
        assert (caught.value.code(), reason_of(caught.value)) == (code, reason)


async def test_a_connection_tells_what_stripe_says(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    connection = await here.service.connections.GetConnection(
        GetConnectionRequest(), metadata=tenant.metadata
    )
    assert connection.state == Connection.STATE_ACTIVE
    assert connection.mode == Connection.MODE_TEST
    assert connection.stripe_account == tenant.stripe_account
    assert connection.stripe.country == "US"


async def test_forged_and_foreign_webhooks_are_refused(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    event = {
        "id": "evt_forged", "object": "event", "type": "customer.created", "livemode": False,
        "created": int(time.time()), "api_version": stripe.api_version,
        "account": tenant.stripe_account,
        "data": {"object": {"id": "cus_forged", "object": "customer", "name": PRIVATE}},
    }  # fmt: skip
    body = json.dumps(event)
    wrong = stripe.WebhookSignature.generate_signature_header(body, "whsec_of_somebody_else")
    async with aiohttp.ClientSession() as session:
        for header in ("", "t=1,v1=00", wrong):
            async with session.post(
                here.service.webhook_url, data=body, headers={"Stripe-Signature": header}
            ) as answer:
                assert answer.status == 400
                assert (await answer.json())["reason"] == "SIGNATURE_INVALID"
    assert await mirrored(here, tenant, "cus_forged") is None


async def test_nonsense_is_not_logged_with_what_it_said(here: ServiceAndEmulator) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", here.service.ports["http"])
    writer.write(f"{PRIVATE} {PRIVATE}@example.com\r\n{PRIVATE}\r\n\r\n".encode())
    await writer.drain()
    assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()  # that the log has nothing of it is checked at the end of the world


async def test_health_over_grpc_and_http(here: ServiceAndEmulator) -> None:
    stub = health_pb2_grpc.HealthStub(here.service.channel)
    for name in ("", "billing.v1.CustomerService", "billing.v1.AnalyticsService"):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    url = here.service.webhook_url.replace("/webhooks/stripe", "/healthz")
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, await response.json()) == (200, {"status": "serving"})


async def test_reflection_is_off_unless_asked_for(here: ServiceAndEmulator) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(here.service.channel)
    call = stub.ServerReflectionInfo()  # nothing is sent, which the refusal could overtake
    assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_many_at_once(here: ServiceAndEmulator) -> None:
    tenant = await here.tenant()
    made = await here.sdk.v1.customers.create_async({"name": PRIVATE}, tenant.options)
    await arrived(here, tenant, made.id, PRIVATE)
    found = await asyncio.gather(*(mirrored(here, tenant, made.id) for _ in range(300)))
    assert all(customer is not None and customer.id == made.id for customer in found)
