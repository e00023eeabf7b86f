"""A main account and its sub-account with wallets, and how they and operators call."""

from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
import stripe
from billing_client.v1 import wallet_service_pb2 as pb

from tests.support.contract.tenant import METHODS, OPERATOR, Fields, Ground, fresh, request_of
from tests.support.servers.service import (
    ServiceAndEmulator,
    Tenant,
    bearer,
    details_of,
    until,
)

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


@dataclass(frozen=True, slots=True)
class Payer:
    """The customer that an owner is where its wallet is paid, and its card there."""

    some: Family
    owner: Tenant
    stripe_account: str
    customer: str
    card: str

    @property
    def options(self) -> stripe.RequestOptions:
        """What makes the SDK act where the wallet is paid."""
        return {"stripe_account": self.stripe_account}

    async def reload(self, amount: int = 2_000, currency: str = "usd", **fields: Any) -> Any:
        """A reload, with the default card unless another one is given."""
        paid = {"amount": amount, "currency": currency}
        return await self.some.mutate(self.owner, "ReloadWallet", **{"amount": paid, **fields})

    async def read(self, reload: Any) -> Any:
        """A reload as it stands."""
        return await self.some.call(self.owner, "GetReload", id=reload.id)

    async def in_state(self, reload: Any, state: str) -> Any:
        """Wait until a reload has a state."""
        wanted = pb.ReloadState.Value(f"RELOAD_STATE_{state}")

        async def look() -> Any:
            found = await self.read(reload)
            return found if found.state == wanted else None

        return await until(look)

    async def available(self) -> int:
        """What is available."""
        return await self.some.available(self.owner)

    async def holds(self, amount: int) -> None:
        """Wait until so much is available."""

        async def look() -> bool:
            return await self.available() == amount

        try:
            await until(look)
        except TimeoutError:
            assert await self.available() == amount
            raise

    async def entries(self) -> list[Any]:
        """The entries of the wallet, oldest first."""
        listed = await self.some.call(self.owner, "ListEntries")
        return list(reversed(listed.entries))

    async def intent(self, reload: Any) -> stripe.PaymentIntent:
        """The payment at Stripe."""
        sdk = self.some.world.sdk
        return await sdk.v1.payment_intents.retrieve_async(
            reload.payment_intent, None, self.options
        )

    async def attach(self, card: str) -> str:
        """Another test card of the customer's."""
        methods = self.some.world.sdk.v1.payment_methods
        params: Any = {"customer": self.customer}
        return (await methods.attach_async(f"pm_card_{card}", params, self.options)).id

    async def refund(self, reload: Any, amount: int) -> str:
        """Give a part back at Stripe itself, as somebody at its dashboard."""
        params: Any = {"payment_intent": reload.payment_intent, "amount": amount}
        return (await self.some.world.sdk.v1.refunds.create_async(params, self.options)).id

    async def charge_of(self, reload: Any) -> str:
        """The charge that was paid."""
        return str((await self.intent(reload)).latest_charge)


async def payer(some: Family, owner: Tenant, card: str = "visa") -> Payer:
    """An owner who can pay, by a card that is the default."""
    prepared = await some.mutate(owner, "PrepareMethod")
    made = Payer(some, owner, prepared.stripe_account, prepared.customer, "")
    made = replace(made, card=await made.attach(card))
    params: Any = {"invoice_settings": {"default_payment_method": made.card}}
    await some.world.sdk.v1.customers.update_async(made.customer, params, made.options)
    return made


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


async def paying(ground: Ground) -> Fields:
    """What reloads the wallet of the ground's tenant."""
    one = await payer(Family(ground.world, ground.tenant, ground.tenant), ground.tenant)
    return {"amount": {"amount": 2_000, "currency": "usd"}, "payment_method": one.card}


async def declined(ground: Ground) -> Fields:
    """What tries a declined reload with another card."""
    one = await payer(Family(ground.world, ground.tenant, ground.tenant), ground.tenant)
    reload = await one.reload(payment_method=await one.attach("chargeCustomerFail"))
    return {"id": reload.id, "payment_method": one.card}


async def unconfirmed(ground: Ground) -> Fields:
    """What cancels a reload that its payer has still to confirm."""
    some = Family(ground.world, ground.tenant, ground.tenant)
    one = await payer(some, ground.tenant, "authenticationRequired")
    return {"id": (await one.reload()).id}


async def odd_of_child(ground: Ground) -> Fields:
    """What closes a sub-account's reload that was paid otherwise than was asked for."""
    child = await ground.world.tenant(parent=ground.tenant.account)
    one = await payer(Family(ground.world, ground.tenant, child), child, "authenticationRequired")
    reload = await one.reload()
    sdk, control = ground.world.sdk, ground.world.emulator.control
    intent = reload.payment_intent
    await sdk.v1.payment_intents.update_async(intent, {"amount": 100}, one.options)
    await control.happen("payment_intents", intent, "authenticate", account=one.stripe_account)
    await one.in_state(reload, "NEEDS_ATTENTION")
    return {
        "account": child.account, "id": reload.id, "reason": "given back by hand",
        "resolution": "RELOAD_RESOLUTION_CLOSE",
    }  # fmt: skip


async def paid_by_child(ground: Ground) -> Fields:
    """What gives a part of a sub-account's reload back."""
    child = await ground.world.tenant(parent=ground.tenant.account)
    some = Family(ground.world, ground.tenant, child)
    await some.grant(1_000, child)
    reload = await (await payer(some, child)).reload()
    return {
        "account": child.account, "id": reload.id, "reason": "asked for",
        "amount": {"amount": 500, "currency": "usd"},
    }  # fmt: skip
