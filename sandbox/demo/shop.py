"""What a store does, over gRPC: a sub-account buys of its parent, who pays the platform."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import stripe
from billing_client.v1.checkout_service_pb2 import (
    CHECKOUT_STATE_COMPLETED,
    NUMBER_KIND_LOCAL,
    CartItem,
    Checkout,
    ExecuteCheckoutRequest,
    GetCheckoutRequest,
    PreviewCheckoutRequest,
)
from billing_client.v1.checkout_service_pb2_grpc import CheckoutServiceStub
from billing_client.v1.wallet_service_pb2 import (
    GetWalletRequest,
    PreparedMethod,
    PrepareMethodRequest,
    RebillingSettings,
    UpdateRebillingRequest,
)
from billing_client.v1.wallet_service_pb2_grpc import WalletServiceStub

from sandbox.demo.mirror import SECONDS, Mirror, bearer
from sandbox.demo.world import Branch, Business

NUMBERS: Final = CartItem(
    price="price_number", quantity=2, country="US", number_kind=NUMBER_KIND_LOCAL
)
PLAN: Final = CartItem(price="price_plan", quantity=1)
MULTIPLIER: Final = "1.25"
"""What the parent asks of its sub-account, of the platform's price."""

_WALLET: Final = "wallet"


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale, as its seller sees it, and what both legs of it have moved.

    `received` is what Stripe shows on the seller's account, `paid` what has left the seller's
    wallet, or what its own subscription was charged at the platform; both in minor units.
    """

    checkout: Checkout
    received: int
    paid: int

    @property
    def differences(self) -> Sequence[str]:
        """What does not hold: nothing, where both legs are whole."""
        told = []
        if self.checkout.state != CHECKOUT_STATE_COMPLETED:
            told.append("it is not completed")
        if self.received != self.checkout.total.amount:
            told.append(f"the seller has received {self.received}")
        if self.paid != self.checkout.sellers_view.cost.amount:
            told.append(f"the seller has paid {self.paid}")
        return told


@dataclass(frozen=True, slots=True)
class StoreStory:
    """What a sub-account has bought of its parent."""

    seller: Business
    buyer: Branch
    sales: Sequence[Sale]

    @property
    def differences(self) -> Sequence[str]:
        """What does not hold of any sale."""
        return [told for sale in self.sales for told in sale.differences]


class Shop:
    """A parent that sells to its sub-account.

    Raises grpc.aio.AioRpcError and stripe.StripeError.
    """

    def __init__(
        self, mirror: Mirror, seller: Business, buyer: Branch, sdk: stripe.StripeClient
    ) -> None:
        self._checkouts = CheckoutServiceStub(mirror.channel)
        self._wallets = WalletServiceStub(mirror.channel)
        self._seller = seller
        self._buyer = buyer
        self._sdk = sdk
        self._of_seller = bearer(seller)
        self._of_buyer = bearer(buyer)

    async def story(self) -> StoreStory:
        """Set a margin, give both a card, and buy two phone numbers and a subscription."""
        await self._wallets.UpdateRebilling(
            UpdateRebillingRequest(
                account=self._buyer.account, request_id=uuid4().hex,
                settings=RebillingSettings(multipliers={"*": MULTIPLIER}),
            ),
            metadata=self._of_seller, timeout=SECONDS,
        )  # fmt: skip
        await self._save_card(self._of_buyer)
        at_platform = await self._save_card(self._of_seller)
        sales = [await self._buy(item, at_platform) for item in (NUMBERS, PLAN)]
        return StoreStory(self._seller, self._buyer, sales)

    async def _save_card(self, who: tuple[tuple[str, str], ...]) -> PreparedMethod:
        """A default card, as its owner's browser would have saved it."""
        prepared = await self._wallets.PrepareMethod(
            PrepareMethodRequest(request_id=uuid4().hex), metadata=who, timeout=SECONDS
        )
        there: stripe.RequestOptions = {"stripe_account": prepared.stripe_account}
        owner: Any = {"customer": prepared.customer}
        card = await self._sdk.v1.payment_methods.attach_async("pm_card_visa", owner, there)
        default: Any = {"invoice_settings": {"default_payment_method": card.id}}
        await self._sdk.v1.customers.update_async(prepared.customer, default, there)
        return prepared

    async def _buy(self, item: CartItem, at_platform: PreparedMethod) -> Sale:
        """Ask for a quote, buy, and look at what has moved."""
        before = await self._available()
        quote = await self._checkouts.PreviewCheckout(
            PreviewCheckoutRequest(item=item), metadata=self._of_buyer, timeout=SECONDS
        )
        made = await self._checkouts.ExecuteCheckout(
            ExecuteCheckoutRequest(quote=quote.quote, request_id=uuid4().hex),
            metadata=self._of_buyer, timeout=SECONDS,
        )  # fmt: skip
        shown = await self._checkouts.GetCheckout(
            GetCheckoutRequest(account=self._buyer.account, id=made.id),
            metadata=self._of_seller, timeout=SECONDS,
        )  # fmt: skip
        if shown.sellers_view.paid_by == _WALLET:
            paid = before - await self._available()
        else:
            paid = await self._charged(at_platform)
        return Sale(shown, await self._received(shown), paid)

    async def _available(self) -> int:
        wallet = await self._wallets.GetWallet(
            GetWalletRequest(), metadata=self._of_seller, timeout=SECONDS
        )
        return wallet.available.amount

    async def _received(self, checkout: Checkout) -> int:
        """What Stripe itself says of the buyer's payment."""
        there: stripe.RequestOptions = {"stripe_account": checkout.stripe_account}
        payment = await self._sdk.v1.payment_intents.retrieve_async(
            checkout.payment_intent, None, there
        )
        return payment.amount_received

    async def _charged(self, at_platform: PreparedMethod) -> int:
        """What Stripe itself says of the seller's own subscription at the platform."""
        there: stripe.RequestOptions = {"stripe_account": at_platform.stripe_account}
        listed = await self._sdk.v1.invoices.list_async({"customer": at_platform.customer}, there)
        return sum(invoice.amount_paid for invoice in listed.data)
