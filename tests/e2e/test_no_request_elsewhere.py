"""Nothing that a caller says is an address that the service asks: no request goes elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
import pytest
import pytest_asyncio

from tests.support.contract.requests import fill
from tests.support.contract.tenant import METHODS, Ground, as_sent, fresh, request_of
from tests.support.servers.callers import JWKS, signed
from tests.support.servers.service import Metadata, ServiceAndEmulator, bearer, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Trap:
    """A port of this machine. Whoever connects to it is noted."""

    port: int = 0
    came: list[bytes] = field(default_factory=list)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.append(await reader.read(1_000))
        writer.close()

    def addresses(self) -> list[str]:
        """It, in words of several kinds."""
        here = f"127.0.0.1:{self.port}"
        return [
            f"http://{here}/latest/meta-data", f"https://localhost:{self.port}/", f"//{here}/x",
            f"http://[::ffff:127.0.0.1]:{self.port}/", f"http://2130706433:{self.port}/", here,
        ]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trap() -> AsyncIterator[Trap]:
    made = Trap()
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def outcome(ground: Ground, name: str, address: str, metadata: Metadata) -> str:
    """The reason of an answer to a request whose every text is an address."""
    method, stub = METHODS[name]
    request = request_of(name, {})
    fill(request, method.input_type, address, depth=3)
    request.ClearField("account")  # so that it is one's own
    if "request_id" in method.input_type.fields_by_name:
        request.request_id = fresh()  # type: ignore[attr-defined]  # it has one
    call = getattr(stub(ground.world.service.channel), method.name)(
        as_sent(method, request), metadata=metadata, timeout=10
    )
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error)
    return ""


async def test_no_text_of_any_call_is_asked(here: ServiceAndEmulator, trap: Trap) -> None:
    ground, leaving = Ground(here, await here.tenant()), await here.tenant()
    wrong = {}
    for name in sorted(METHODS):
        metadata = (leaving if name.endswith(".Disconnect") else ground.tenant).metadata
        for address in trap.addresses():
            met = await outcome(ground, name, address, metadata)
            if met in ("INTERNAL", "TOKEN_INVALID", "SCOPE_MISSING"):
                wrong[name] = met
    assert wrong == {}
    assert trap.came == []


async def test_what_objects_say_of_addresses_is_not_asked(
    here: ServiceAndEmulator, trap: Trap
) -> None:
    """Texts that Stripe keeps and its events tell: names, metadata, pictures of a product."""
    ground = Ground(here, await here.tenant())
    address = trap.addresses()[0]
    made = await ground.mutate(
        "CatalogService.CreateProduct",
        product={
            "name": address, "images": [address], "url": address, "metadata": {"hook": address},
        },
    )  # fmt: skip
    await ground.mutate(
        "CustomerService.CreateCustomer",
        customer={"name": address, "description": address, "metadata": {"hook": address}},
    )
    await here.delivered()
    await ground.call("CatalogService.GetProduct", {"id": made.product.id})
    assert trap.came == []


async def test_no_address_in_a_token_is_asked(here: ServiceAndEmulator, trap: Trap) -> None:
    ground = Ground(here, await here.tenant())
    for header in ("jku", "x5u", "iss", "kid"):
        for address in trap.addresses()[:2]:
            headers = {header: address, "jwk": JWKS["keys"][0]}
            token = signed(headers=headers, account=ground.tenant.account, iss=address)
            met = await outcome(ground, "CustomerService.ListCustomers", address, bearer(token))
            assert met == "TOKEN_INVALID"
    assert trap.came == []
