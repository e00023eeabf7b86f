"""Every RPC of the contract: closed to strangers, and silent in the log about what it was sent."""

import re
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import options_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from bootstrap.tokens import list_scopes
from tests.support.contract.requests import fill
from tests.support.contract.tenant import METHODS, Ground, as_sent
from tests.support.servers.service import (
    PRIVATE,
    Metadata,
    ServiceAndEmulator,
    Tenant,
    bearer,
    reason_of,
    token_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNREAD: Final = "not read"
"""An account's name that any token of another one is refused with."""

EVERY_RPC: Final = sorted(METHODS)
TOKENS_PAGE: Final = Path(__file__).parents[2] / "docs" / "tokens.md"

every_rpc = pytest.mark.parametrize("name", EVERY_RPC)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(here: ServiceAndEmulator) -> Tenant:
    return await here.tenant()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def branch(here: ServiceAndEmulator, owner: Tenant) -> Tenant:
    return await here.tenant(parent=owner.account)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rival(here: ServiceAndEmulator) -> Tenant:
    return await here.tenant()


def rule_of(name: str) -> Any:
    """What the contract says of who may call a method."""
    return METHODS[name][0].GetOptions().Extensions[options_pb2.authorization]


async def outcome(here: ServiceAndEmulator, name: str, request: Message, metadata: Metadata) -> str:
    """The reason for which a call is refused; empty where it is answered."""
    method, stub = METHODS[name]
    send = getattr(stub(here.service.channel), method.name)
    call = send(as_sent(method, request), metadata=metadata, timeout=10)
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


def asking(name: str, account: str = "") -> Any:
    """A request of a method that says nothing but whose account it is about."""
    return GetMessageClass(METHODS[name][0].input_type)(account=account)


@every_rpc
async def test_strangers_are_refused(
    here: ServiceAndEmulator, owner: Tenant, rival: Tenant, name: str
) -> None:
    others = [scope for scope in list_scopes() if scope != rule_of(name).scope]
    assert len(others) == len(list_scopes()) - 1
    foreign = token_for(owner.account, secret="x" * 64)
    narrow = bearer(token_for(owner.account, *others))
    assert await outcome(here, name, asking(name), ()) == "TOKEN_MISSING"
    assert await outcome(here, name, asking(name), bearer(foreign)) == "TOKEN_INVALID"
    assert await outcome(here, name, asking(name), narrow) == "SCOPE_MISSING"
    for account in (owner.account, "nobody", "-"):
        request = asking(name, account)
        assert await outcome(here, name, request, rival.metadata) == "NOT_FOUND", account


OF_THE_CREDITOR: Final = {"WalletService.GetRebilling": ("NOT_CREDITOR", "")}
"""How a branch, and its main account for it, end where a wallet's creditor may do more."""


@every_rpc
async def test_a_main_account_acts_for_its_branch_and_never_the_other_way_about(
    here: ServiceAndEmulator, owner: Tenant, branch: Tenant, name: str
) -> None:
    assert await outcome(here, name, asking(name, owner.account), branch.metadata) == "NOT_FOUND"
    if rule_of(name).sub_accounts:
        # Nothing is asked for, so that whatever refuses it comes behind the gate.
        request = asking(name, branch.account)
        own = await outcome(here, name, asking(name), branch.metadata)
        acting = await outcome(here, name, request, owner.metadata)
        assert (own, acting) == OF_THE_CREDITOR.get(name, (own, own))
    else:
        request = asking(name, branch.account)
        assert await outcome(here, name, request, owner.metadata) == "NOT_FOUND"


@every_rpc
async def test_an_operator_must_name_an_account_but_where_the_contract_says(
    here: ServiceAndEmulator, name: str
) -> None:
    operator = bearer(token_for("-"))
    unknown = await outcome(here, name, asking(name, "nobody"), operator)
    assert unknown == "NOT_FOUND"
    told = await outcome(here, name, asking(name), operator)
    if not rule_of(name).operators:
        assert told == "INVALID_FIELDS"


async def test_every_scope_can_be_given_and_is_explained() -> None:
    needed = {rule_of(name).scope for name in EVERY_RPC}
    assert needed <= {*list_scopes()}
    lines = TOKENS_PAGE.read_text().splitlines()
    rows = map(re.compile(r"\| `(\w+\.\w+)` \|").match, lines)
    assert {row[1] for row in rows if row} == {*list_scopes()}


@pytest.mark.parametrize("text", [PRIVATE, f"cus_{PRIVATE}", f"seti_1_secret_{PRIVATE}"])
@every_rpc
async def test_whatever_is_sent_is_not_logged(
    here: ServiceAndEmulator, owner: Tenant, rival: Tenant, name: str, text: str
) -> None:
    """Each text of the request, one inside another too; `here` looks through the log."""
    request = asking(name)
    fill(request, METHODS[name][0].input_type, text, depth=3)
    request.account = ""
    sender = rival if name.endswith(".Disconnect") else owner  # it asks for no more than its id
    told = await outcome(here, name, request, sender.metadata)
    assert told not in ("INTERNAL", "TOKEN_INVALID", "SCOPE_MISSING")


async def test_what_is_found_is_not_logged(here: ServiceAndEmulator, owner: Tenant) -> None:
    ground = Ground(here, owner)
    intent = await ground.mutate(
        "PaymentMethodService.CreateSetupIntent", customer=await ground.customer()
    )
    assert "_secret_" in intent.client_secret
    link = await ground.mutate(
        "PaymentLinkService.CreatePaymentLink", contact=await ground.contact(), currency="usd",
        items=[{"description": PRIVATE, "unit_amount": {"amount": 900, "currency": "usd"}}],
    )  # fmt: skip
    assert "invoice.stripe" in link.url
    await here.delivered()
