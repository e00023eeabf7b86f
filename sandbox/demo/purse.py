"""What a wallet does, over gRPC: it is reloaded at Stripe, spent, given back, and proved."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import stripe
from billing_client.v1.money_pb2 import Money
from billing_client.v1.wallet_service_pb2 import (
    AccountWallet,
    DebitUsageRequest,
    GetWalletRequest,
    ListEntriesRequest,
    PreparedMethod,
    PrepareMethodRequest,
    RefundReloadRequest,
    Reload,
    ReloadWalletRequest,
    WalletEntry,
)
from billing_client.v1.wallet_service_pb2_grpc import WalletServiceStub

from sandbox.demo.mirror import SECONDS, Mirror, bearer
from sandbox.demo.world import Business

CURRENCY: Final = "usd"
"""The sandbox's base currency."""

_RELOADED: Final = 5_000
_GIVEN_BACK: Final = 1_000
_MESSAGES: Final = 1_234
_SERVICE: Final = "sms.us"


@dataclass(frozen=True, slots=True)
class WalletStory:
    """What came of it. `kept_at_stripe` is what Stripe has received and not given back."""

    business: Business
    reload: Reload
    usage: WalletEntry
    wallet: AccountWallet
    entries: Sequence[WalletEntry]
    kept_at_stripe: int

    @property
    def differences(self) -> Sequence[str]:
        """What does not hold: nothing, where wallet = Stripe."""
        told = []
        if any(any(_by_currency(entry).values()) for entry in self.entries):
            told.append("an entry does not sum to zero")
        if sum(entry.amount.amount for entry in self.entries) != self.wallet.available.amount:
            told.append("the balance is not the sum of the entries")
        at_stripe = -sum(
            posting.amount.amount
            for entry in self.entries
            for posting in entry.postings
            if posting.ledger_account == "stripe"
        )
        if at_stripe != self.kept_at_stripe:
            told.append(f"Stripe has kept {self.kept_at_stripe}, and the journal says {at_stripe}")
        return told


class Purse:
    """The wallet of one business. Raises grpc.aio.AioRpcError and stripe.StripeError."""

    def __init__(
        self, mirror: Mirror, business: Business, sdk: stripe.StripeClient, operator: str
    ) -> None:
        """`operator` is a token of the platform's, which is the creditor."""
        self._stub = WalletServiceStub(mirror.channel)
        self._business = business
        self._sdk = sdk
        self._owner = bearer(business)
        self._operator = (("authorization", f"Bearer {operator}"),)

    async def story(self) -> WalletStory:
        """Reload, spend, have a part given back, and look."""
        prepared = await self._stub.PrepareMethod(
            PrepareMethodRequest(request_id=uuid4().hex), metadata=self._owner, timeout=SECONDS
        )
        reload = await self._reload(await self._card(prepared))
        usage = await self._stub.DebitUsage(
            DebitUsageRequest(
                service=_SERVICE, quantity=_MESSAGES, description="Spring letter",
                request_id=uuid4().hex,
            ),
            metadata=self._owner, timeout=SECONDS,
        )  # fmt: skip
        reload = await self._give_back(reload)
        wallet = await self._stub.GetWallet(
            GetWalletRequest(), metadata=self._owner, timeout=SECONDS
        )
        listed = await self._stub.ListEntries(
            ListEntriesRequest(page_size=100), metadata=self._owner, timeout=SECONDS
        )
        kept = await self._kept(reload)
        return WalletStory(self._business, reload, usage, wallet, listed.entries, kept)

    async def _card(self, prepared: PreparedMethod) -> str:
        """A card of the owner's, as his browser would have saved it."""
        params: Any = {"customer": prepared.customer}
        method = await self._sdk.v1.payment_methods.attach_async(
            "pm_card_visa", params, {"stripe_account": prepared.stripe_account}
        )
        return method.id

    async def _reload(self, card: str) -> Reload:
        request = ReloadWalletRequest(
            amount=Money(amount=_RELOADED, currency=CURRENCY),
            payment_method=card,
            request_id=uuid4().hex,
        )
        return await self._stub.ReloadWallet(request, metadata=self._owner, timeout=SECONDS)

    async def _give_back(self, reload: Reload) -> Reload:
        request = RefundReloadRequest(
            account=self._business.account, id=reload.id, reason="Paid too much",
            amount=Money(amount=_GIVEN_BACK, currency=CURRENCY), request_id=uuid4().hex,
        )  # fmt: skip
        return await self._stub.RefundReload(request, metadata=self._operator, timeout=SECONDS)

    async def _kept(self, reload: Reload) -> int:
        """What Stripe itself says of the payment."""
        options: stripe.RequestOptions = {"stripe_account": reload.stripe_account}
        listed = await self._sdk.v1.charges.list_async(
            {"payment_intent": reload.payment_intent}, options
        )
        return sum(charge.amount_captured - charge.amount_refunded for charge in listed.data)


def _by_currency(entry: WalletEntry) -> Counter[str]:
    sums: Counter[str] = Counter()
    for posting in entry.postings:
        sums[posting.amount.currency] += posting.amount.amount
    return sums
