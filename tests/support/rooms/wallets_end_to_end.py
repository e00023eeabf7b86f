"""A main account and its sub-account with wallets, and how they and operators call."""

from dataclasses import dataclass
from typing import Any, Final

import grpc

from tests.support.contract.tenant import METHODS, Fields, Ground, fresh, request_of
from tests.support.servers.service import (
    ServiceAndEmulator,
    Tenant,
    bearer,
    details_of,
    token_for,
)

OPERATOR: Final = Tenant("-", "", token_for("-"))
SERVICE: Final = "WalletService"


@dataclass(frozen=True, slots=True)
class Family:
    """A parent with a connected Stripe account, and its sub-account."""

    world: ServiceAndEmulator
    parent: Tenant
    child: Tenant

    @property
    def ground(self) -> Ground:
        """The parent's ground, for what is beside wallets."""
        return Ground(self.world, self.parent)

    async def call(self, who: Tenant, method: str, **fields: Any) -> Any:
        """The reply of a method of WalletService."""
        return await self.ground.call(f"{SERVICE}.{method}", fields, who)

    async def mutate(self, who: Tenant, method: str, **fields: Any) -> Any:
        """The same under a fresh request id, unless one is given."""
        return await self.call(who, method, **{"request_id": fresh(), **fields})

    async def refused(self, who: Tenant, method: str, **fields: Any) -> tuple[str, dict[str, str]]:
        """The reason for which a call is refused, and its metadata."""
        if "request_id" in METHODS[f"{SERVICE}.{method}"][0].input_type.fields_by_name:
            fields = {"request_id": fresh(), **fields}
        try:
            await self.call(who, method, **fields)
        except grpc.aio.AioRpcError as error:
            info = details_of(error)
            return info.reason, dict(info.metadata)
        raise AssertionError("not refused")

    async def export(self, who: Tenant, **fields: Any) -> str:
        """A whole statement."""
        name = f"{SERVICE}.ExportStatement"
        method, stub = METHODS[name]
        stream = getattr(stub(self.world.service.channel), method.name)
        parts = stream(request_of(name, fields), metadata=bearer(who.token), timeout=20)
        return b"".join([part.csv async for part in parts]).decode()

    async def grant(self, amount: int, to: Tenant | None = None) -> Any:
        """Credit from the creditor."""
        owner = to or self.parent
        creditor = OPERATOR if owner is self.parent else self.parent
        return await self.mutate(
            creditor, "AdjustWallet", account=owner.account,
            grant={"amount": amount, "currency": "usd"}, reason="to begin with",
        )  # fmt: skip

    async def available(self, owner: Tenant) -> int:
        """What is available."""
        return int((await self.call(owner, "GetWallet")).available.amount)


async def family(world: ServiceAndEmulator) -> Family:
    """A new one."""
    parent = await world.tenant()
    child = await world.tenant(parent=parent.account)
    return Family(world, parent, child)


async def family_with_credit(world: ServiceAndEmulator) -> Family:
    """A new one, in which each has 10.00 USD."""
    made = await family(world)
    await made.grant(1_000)
    await made.grant(1_000, made.child)
    return made


async def used(ground: Ground) -> Fields:
    """What gives back a unit of a sub-account's usage of two."""
    child = await sub_account(ground)
    entry = await ground.mutate(f"{SERVICE}.DebitUsage", account=child, service="seat", quantity=2)
    return {"account": child, "sequence": entry.sequence, "quantity": 1, "reason": "sent twice"}


async def credited(ground: Ground) -> Fields:
    """What debits usage of the ground's tenant, who has credit."""
    await Family(ground.world, ground.tenant, ground.tenant).grant(1_000)
    return {"service": "seat", "quantity": 1, "description": "a seat"}


async def sub_account(ground: Ground) -> str:
    """A new sub-account of the ground's tenant, with credit; both have some."""
    child = await ground.world.tenant(parent=ground.tenant.account)
    made = Family(ground.world, ground.tenant, child)
    await made.grant(1_000)
    await made.grant(1_000, child)
    return child.account
