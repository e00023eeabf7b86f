"""The proof that mirror = Stripe: what the service says against what the emulator itself holds."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import stripe
from billing_client.v1.customer_service_pb2 import Customer

from sandbox.demo.mirror import Mirror, period
from sandbox.demo.stage import Stage
from sandbox.demo.world import Business
from sandbox.emulator.core.messages import SnapshotRow

_Details: TypeAlias = tuple[str, str, str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure from both sides; an amount in minor units where it has a currency."""

    business: str
    what: str
    stripe: int
    mirror: int
    currency: str = ""

    @property
    def equal(self) -> bool:
        """Whether both sides say the same."""
        return self.stripe == self.mirror


class Proof:
    """Compares counts, sums and customers of every business."""

    def __init__(self, stage: Stage, mirror: Mirror) -> None:
        self._world = stage.world
        self._sdk = stage.sdk
        self._control = stage.control
        self._mirror = mirror
        self._livemode = stage.world.platform_key.startswith("sk_live_")

    async def checks(self, start: datetime, end: datetime) -> list[Check]:
        """Every figure over [start, end), which has to cover all that the emulator holds.

        Raises ControlError, StripeError and AioRpcError.
        """
        rows = {
            (row.account, row.object): row
            for row in await self._control.snapshot()
            if row.livemode is self._livemode
        }
        checks: list[Check] = []
        for business in self._world.businesses:
            account = business.stripe_account
            checks += await self._customers(business, rows.get((account, "customer")))
            checks += await self._charges(business, rows.get((account, "charge")), start, end)
        return checks

    async def subscribers(self, business: Business) -> int:
        """How many customers have a subscription at Stripe that brings something now."""
        found = await self._sdk.v1.subscriptions.list_async(
            {"limit": 100, "status": "all"}, {"stripe_account": business.stripe_account}
        )
        return len(
            {
                str(each.customer)
                async for each in found.auto_paging_iter()
                if each.status in ("active", "past_due")
            }
        )

    async def _customers(self, business: Business, row: SnapshotRow | None) -> list[Check]:
        mirrored = {
            customer.id: _mirrored(customer) for customer in await self._mirror.customers(business)
        }
        listed = await self._sdk.v1.customers.list_async(
            {"limit": 100}, {"stripe_account": business.stripe_account}
        )
        alike = 0
        async for customer in listed.auto_paging_iter():
            alike += mirrored.get(customer.id) == _at_stripe(customer)
        count = 0 if row is None else row.count
        return [
            Check(business.name, "live customers", count, len(mirrored)),
            Check(business.name, "customers with equal details", count, alike),
        ]

    async def _charges(
        self, business: Business, row: SnapshotRow | None, start: datetime, end: datetime
    ) -> list[Check]:
        over = period(business, start, end)
        counts = await self._mirror.charge_counts(business, over)
        volume = await self._mirror.gross_volume(business, over)
        sums = {} if row is None else row.sums["amount_captured"]
        mirrored = {part.currency: part.current.amount for part in volume.currencies}
        statuses = {} if row is None else row.statuses
        return [
            *(
                Check(
                    business.name,
                    "gross volume",
                    sums.get(currency, 0),
                    mirrored.get(currency, 0),
                    currency,
                )
                for currency in sorted({business.currency, *sums, *mirrored})
            ),
            Check(
                business.name,
                "succeeded charges",
                statuses.get("succeeded", 0),
                counts.succeeded.current,
            ),
            Check(
                business.name, "failed charges", statuses.get("failed", 0), counts.failed.current
            ),
        ]


def _mirrored(customer: Customer) -> _Details:
    return customer.email, customer.name, customer.phone, dict(customer.metadata)


def _at_stripe(customer: stripe.Customer) -> _Details:
    metadata = {} if customer.metadata is None else customer.metadata.to_dict()
    return customer.email or "", customer.name or "", customer.phone or "", metadata
