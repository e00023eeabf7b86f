"""The whole round of connecting and disconnecting, over gRPC and by commands, on an emulator."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from billing_client.v1 import connection_service_pb2 as pb
from billing_client.v1 import customer_service_pb2 as customers_pb
from billing_client.v1 import mirror_service_pb2 as mirror_pb
from billing_client.v1.mirror_service_pb2_grpc import MirrorServiceStub

from application.requests.callers import OPERATOR
from bootstrap.process import opened
from domain.accounts import Account
from domain.oauth import digest_of
from sandbox.emulator.core.messages import AccountSpec, FaultSpec
from tests.support.servers.service import (
    REDIRECT_URI,
    ServiceAndEmulator,
    Tenant,
    bearer,
    details_of,
    reason_of,
    run_command,
    token_for,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSION = "grace's browser"


async def unconnected(here: ServiceAndEmulator) -> Tenant:
    """An account without a connection, and a Stripe account whose owner has not consented."""
    here.tenants += 1
    account = f"tenant-{here.tenants}"
    stripe_account = f"acct_Owner{here.tenants}"
    spec = AccountSpec(id=stripe_account, connected=False, secret=account.replace("-", ""))
    await here.emulator.control.create_account(spec)
    async with opened(here.service.parsed()) as container:
        await container.stores.accounts().add(Account(account, account, "usd"))
    return Tenant(account, stripe_account, token_for(account))


async def begun(here: ServiceAndEmulator, tenant: Tenant, session: str = SESSION) -> str:
    """The address of the authorize page."""
    request = pb.BeginConnectionRequest(
        redirect_uri=REDIRECT_URI, session_digest=digest_of(session)
    )
    reply = await here.service.connections.BeginConnection(request, metadata=tenant.metadata)
    return reply.authorize_url


def completion(address: str, request_id: str, session: str = SESSION) -> Any:
    """What the platform sends once the browser is back."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    return pb.CompleteConnectionRequest(
        state=query.get("state", ""), code=query.get("code", ""), error=query.get("error", ""),
        redirect_uri=REDIRECT_URI, session_digest=digest_of(session), request_id=request_id,
    )  # fmt: skip


async def completed(here: ServiceAndEmulator, tenant: Tenant, request: Any) -> pb.Connection:
    return await here.service.connections.CompleteConnection(request, metadata=tenant.metadata)


async def connected(here: ServiceAndEmulator, tenant: Tenant, request_id: str = "one") -> str:
    """A whole round; the code."""
    page = await begun(here, tenant)
    back = await here.emulator.control.consent(page, tenant.stripe_account)
    request = completion(back, request_id)
    connection = await completed(here, tenant, request)
    assert connection.state == pb.Connection.STATE_ACTIVE
    assert connection.kind == pb.Connection.KIND_OAUTH
    assert connection.stripe_account == tenant.stripe_account
    return str(request.code)


async def refused(work: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await work
    return caught.value


async def backfill_of(here: ServiceAndEmulator, tenant: Tenant) -> mirror_pb.Operation:
    """The backfill once it has ended."""

    async def ended() -> mirror_pb.Operation | None:
        stub = MirrorServiceStub(here.service.channel)
        request = mirror_pb.GetOperationRequest(kind=mirror_pb.Operation.KIND_BACKFILL)
        operation = await stub.GetOperation(request, metadata=tenant.metadata)
        over = operation.state == mirror_pb.Operation.STATE_SUCCEEDED
        return operation if over else None

    return await until(ended, 20.0)


async def test_a_round_connects_and_what_was_there_before_arrives(
    here: ServiceAndEmulator,
) -> None:
    tenant = await unconnected(here)
    page = await begun(here, tenant)
    back = await here.emulator.control.consent(page, tenant.stripe_account)
    async with here.emulator.sdk(f"sk_test_{tenant.account.replace('-', '')}") as owner:
        made = await owner.v1.customers.create_async({"name": "Zoe"})
    connection = await completed(here, tenant, completion(back, "one"))
    assert connection.stripe_account == tenant.stripe_account
    assert (await backfill_of(here, tenant)).progress.nouns_done > 0
    request = customers_pb.GetCustomerRequest(id=made.id)
    shown = await here.service.customers.GetCustomer(request, metadata=tenant.metadata)
    assert shown.id == made.id


async def test_a_second_exchange_never_happens_so_nothing_is_revoked(
    here: ServiceAndEmulator,
) -> None:
    tenant = await unconnected(here)
    page = await begun(here, tenant)
    request = completion(await here.emulator.control.consent(page, tenant.stripe_account), "same")
    before = await here.sent("POST /oauth/token")
    outcomes = await asyncio.gather(*(completed(here, tenant, request) for _ in range(20)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    request.request_id = "other"
    assert reason_of(await refused(completed(here, tenant, request))) == "STATE_UNKNOWN"
    assert await here.sent("POST /oauth/token") - before == 1
    await here.sdk.v1.customers.list_async(options=tenant.options)


async def test_a_lost_answer_is_told_and_a_new_round_connects(here: ServiceAndEmulator) -> None:
    tenant = await unconnected(here)
    page = await begun(here, tenant)
    request = completion(await here.emulator.control.consent(page, tenant.stripe_account), "lost")
    await here.emulator.control.add_fault(FaultSpec(kind="drop_after", route="/oauth/token"))
    before = await here.sent("POST /oauth/token")
    for _ in range(3):
        error = await refused(completed(here, tenant, request))
        assert error.code() is grpc.StatusCode.ABORTED
        assert reason_of(error) == "CONNECTION_OUTCOME_UNKNOWN"
    assert await here.sent("POST /oauth/token") - before == 1
    await connected(here, tenant, "anew")


async def test_rounds_are_completed_where_they_were_begun(here: ServiceAndEmulator) -> None:
    tenant, other = await unconnected(here), await unconnected(here)
    page = await begun(here, tenant)
    back = await here.emulator.control.consent(page, tenant.stripe_account)
    tries = [
        (tenant, completion(back, "session", "eve's browser")),
        (other, completion(back, "account")),
        (tenant, completion(back.replace("state=", "state=x"), "state")),
    ]
    told = [await refused(completed(here, who, request)) for who, request in tries]
    assert {(error.code(), error.details()) for error in told} == {
        (grpc.StatusCode.FAILED_PRECONDITION, told[0].details())
    }
    assert {reason_of(error) for error in told} == {"STATE_UNKNOWN"}
    declined = completion(await here.emulator.control.decline(page), "no")
    assert declined.error == "access_denied"
    assert not declined.state
    assert reason_of(await refused(completed(here, tenant, declined))) == "CODE_REFUSED"
    assert (await completed(here, tenant, completion(back, "right"))).state


async def test_a_taken_stripe_account_stays_with_its_tenant(here: ServiceAndEmulator) -> None:
    tenant, thief = await unconnected(here), await unconnected(here)
    await connected(here, tenant)
    page = await begun(here, thief)
    back = await here.emulator.control.consent(page, tenant.stripe_account)
    error = await refused(completed(here, thief, completion(back, "taken")))
    assert reason_of(error) == "STRIPE_ACCOUNT_TAKEN"
    await here.sdk.v1.customers.list_async(options=tenant.options)
    verified = await here.service.connections.VerifyConnection(
        pb.VerifyConnectionRequest(), metadata=tenant.metadata
    )
    assert verified.state == pb.Connection.STATE_ACTIVE
    assert verified.stripe.charges_enabled


async def test_disconnected_and_connected_again(here: ServiceAndEmulator) -> None:
    tenant = await unconnected(here)
    await connected(here, tenant)
    again = await refused(begun(here, tenant))
    assert details_of(again).metadata["stripe_account"] == tenant.stripe_account
    request = pb.DisconnectRequest(request_id="end")
    for _ in range(2):
        ended = await here.service.connections.Disconnect(request, metadata=tenant.metadata)
        assert ended.state == pb.Connection.STATE_REVOKED
    error = await refused(
        here.service.customers.ListCustomers(
            customers_pb.ListCustomersRequest(), metadata=tenant.metadata
        )
    )
    assert reason_of(error) == "STRIPE_CONNECTION_REVOKED"
    await connected(here, tenant, "two")
    await here.delivered()  # its deauthorisation comes late, and cuts nothing
    link = await here.service.connections.GetConnection(
        pb.GetConnectionRequest(), metadata=tenant.metadata
    )
    assert link.state == pb.Connection.STATE_ACTIVE


async def test_what_an_owner_cuts_at_stripe_verifying_finds(here: ServiceAndEmulator) -> None:
    tenant = await unconnected(here)
    await connected(here, tenant)
    await here.emulator.control.deauthorize(tenant.stripe_account)
    link = await here.service.connections.VerifyConnection(
        pb.VerifyConnectionRequest(), metadata=tenant.metadata
    )
    assert link.state == pb.Connection.STATE_REVOKED
    assert not link.HasField("stripe")


async def test_an_account_that_is_not_there_is_not_found(here: ServiceAndEmulator) -> None:
    metadata = bearer(token_for("nobody"))
    for call in (
        here.service.connections.GetConnection(pb.GetConnectionRequest(), metadata=metadata),
        here.service.customers.ListCustomers(
            customers_pb.ListCustomersRequest(), metadata=metadata
        ),
    ):
        error = await refused(call)
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_operators_list_every_connection_and_tenants_their_own(
    here: ServiceAndEmulator,
) -> None:
    tenants = [await unconnected(here) for _ in range(3)]
    for tenant in tenants:
        await connected(here, tenant)
    found, token = [], ""
    while True:
        page = await here.service.connections.ListConnections(
            pb.ListConnectionsRequest(page_size=2, page_token=token),
            metadata=bearer(token_for(OPERATOR)),
        )
        found += [one.stripe_account for one in page.connections]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted({*found})
    assert {tenant.stripe_account for tenant in tenants} <= {*found}
    own = await here.service.connections.ListConnections(
        pb.ListConnectionsRequest(), metadata=tenants[0].metadata
    )
    assert [one.stripe_account for one in own.connections] == [tenants[0].stripe_account]


async def test_the_round_by_commands(here: ServiceAndEmulator) -> None:
    tenant = await unconnected(here)
    where = {
        "BILLING_ADDRESS": f"127.0.0.1:{here.service.ports['grpc']}",
        "BILLING_TOKEN": tenant.token,
    }

    async def billing(*arguments: str, code: int = 0) -> tuple[str, str]:
        ended, out, err = await run_command("connections", *arguments, **where)
        assert ended == code, err
        return out, err

    out, err = await billing("begin", "--redirect-uri", REDIRECT_URI)
    word = err.split("--session ")[1].split()[0]
    back = await here.emulator.control.consent(out.strip(), tenant.stripe_account)
    _, err = await billing("complete", back, "--session", "other", code=1)
    assert "(STATE_UNKNOWN)" in err
    assert "ac_" not in err
    out, _ = await billing("complete", back, "--session", word)
    assert tenant.stripe_account in out
    assert "active" in out
    out, _ = await billing("list", "--json")
    assert [one["account"] for one in json.loads(out)["connections"]] == [tenant.account]
    out, _ = await billing("verify")
    assert "takes payments" in out
    out, _ = await billing("disconnect")
    assert "revoked" in out
    out, _ = await billing("verify", code=1)
    assert "revoked" in out
    assert (await billing("list"))[0] == "no connections\n"
    _, err = await billing("begin", "--redirect-uri", "https://evil.example", code=1)
    assert "--redirect-uri: must be exactly one of BILLING_CONNECT_REDIRECT_URIS" in err
    assert "evil" not in err
    _, err = await billing("complete", "nonsense", "--session", word, code=2)
    assert "ADDRESS" in err


async def test_no_log_holds_a_code_a_state_or_a_token(here: ServiceAndEmulator) -> None:
    tenant = await unconnected(here)
    page = await begun(here, tenant)
    code = await connected(here, tenant)
    log = here.service.log.read_text()
    (state,) = parse_qs(urlsplit(page).query)["state"]
    for secret in (code, state, "ac_", "rt_", "sk_test", "authorize?"):
        assert secret not in log
