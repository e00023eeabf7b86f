"""The cost leg of a sale: what the seller pays the platform, by its wallet or its subscription."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from application.accounts.ports import Accounts
from application.background.clock import Clock
from application.charges.ports import RefundGateway, RefundOrder
from application.checkouts.checkout_terms import CheckoutRun
from application.checkouts.sellers import Lacking, Sellers, SellerUnavailable
from application.mirror.nouns import REFUNDS, SUBSCRIPTIONS
from application.mutations.failures import is_definite
from application.mutations.steps import shown
from application.payment_intents.ports import PaymentIntentGateway
from application.subscriptions.ports import (
    Cancellation,
    FirstCharge,
    NewItem,
    NewSubscription,
    SubscriptionGateway,
)
from application.wallet.aftermath import Aftermath
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash
from domain.errors import BillingError, WrongState
from domain.ledger_commands import (
    Command,
    PostCapture,
    PostHold,
    PostNote,
    PostRelease,
    hold_key,
    purchase_key,
    settled_key,
)
from domain.ledger_outcomes import Outcome, Refusal, Refused
from domain.quotes import LinePart
from domain.wallets import Wallet

BUYER: Final = "buyer"
"""Who asks for what stands in the wallets."""

NOT_AS_ASKED: Final = "NOT_AS_ASKED"
"""Why people have to look: what Stripe shows is not what was asked for."""

_SAFE: Final = "error_if_incomplete"
"""What is not paid at once leaves nothing."""


class CostLegs:
    """Holds, pays and gives back what a sale costs its seller; nothing where the platform sells."""

    def __init__(
        self, journal: Journal, aftermath: Aftermath, subscriptions: SubscriptionGateway,
        payments: PaymentIntentGateway, refunds: RefundGateway, sellers: Sellers,
        accounts: Accounts, clock: Clock,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._aftermath = aftermath
        self._subscriptions = subscriptions
        self._payments = payments
        self._refunds = refunds
        self._sellers = sellers
        self._accounts = accounts
        self._clock = clock

    async def hold(self, run: CheckoutRun) -> None:
        """Set the cost aside in the seller's wallet. Raises SellerUnavailable."""
        wallet, held = run.frozen.sellers_wallet, run.frozen.quote.held
        if wallet is None or not held:
            return
        command = PostHold(**self._common(run, hold_key(run.id)), amount=held.amount)
        outcome = await self._append(wallet, command)
        if isinstance(outcome, Refused):
            raise await self._unavailable(run, Lacking.FUNDS)

    async def release(self, run: CheckoutRun) -> None:
        """Give back what was set aside, if it was."""
        wallet = run.frozen.sellers_wallet
        if wallet is None or not run.frozen.quote.held:
            return
        command = PostRelease(**self._common(run, settled_key(run.id)), hold=run.id)
        outcome = await self._append(wallet, command)
        if isinstance(outcome, Refused) and outcome.refusal is not Refusal.NOT_FOUND:
            run.ask_people(outcome.refusal)

    async def settle(self, run: CheckoutRun) -> None:
        """Spend what was set aside, and note the purchase in the buyer's wallet."""
        terms = run.frozen
        wallet, held = terms.sellers_wallet, terms.quote.held
        if wallet is not None and held:
            command = PostCapture(
                **self._common(run, settled_key(run.id)), hold=run.id, amount=held.amount
            )
            outcome = await self._append(wallet, command)
            if isinstance(outcome, Refused):
                run.ask_people(outcome.refusal)
        if terms.wallet_currency:
            note = PostNote(**self._common(run, purchase_key(run.id)))
            # A wallet in another currency has no such line, and the sale stands all the same.
            await self._append(terms.buyers_wallet, note)

    async def subscribe(self, run: CheckoutRun) -> None:
        """Start the seller's subscription, paid at once. Raises SellerUnavailable."""
        terms = run.frozen
        if not terms.subscribes:
            return
        wanted = NewSubscription(
            terms.sellers_customer,
            (NewItem(terms.quote.stripe_price, terms.item.quantity),),
            payment_behavior=_SAFE,
            metadata={"billing_checkout": run.id},
            first_charges=_first_charges(run),
        )
        try:
            made = await run.steps.at(terms.platform_account).call(
                "subscribe", SUBSCRIPTIONS, wanted,
                self._subscriptions.create, self._subscriptions.find_created,
            )  # fmt: skip
        except BillingError as error:
            if not is_definite(error):
                raise
            raise await self._unavailable(run, Lacking.CARD) from error
        subscription = shown(SUBSCRIPTIONS, made)
        if subscription.status not in ("active", "trialing"):
            run.ask_people(NOT_AS_ASKED)
        run.data = replace(run.data, sellers_subscription=subscription.id)
        await run.watch(terms.platform_account, subscription.id)

    async def unsubscribe(self, run: CheckoutRun) -> None:
        """End the seller's subscription now, and give back what its first invoice took."""
        made = run.steps.mirrored_answer("subscribe", SUBSCRIPTIONS)
        if made is None:
            return
        subscription = shown(SUBSCRIPTIONS, made)
        there = run.steps.at(run.frozen.platform_account)
        await there.call(
            "unsubscribe", SUBSCRIPTIONS, Cancellation(subscription.id),
            self._subscriptions.cancel, self._subscriptions.find_canceled,
        )  # fmt: skip
        for payment in await self._payments_of(run, subscription.latest_invoice or ""):
            order = RefundOrder(payment, reason="requested_by_customer")
            try:
                await there.call(
                    f"refund-cost-{payment}", REFUNDS, order,
                    self._refunds.refund, self._refunds.find_refund,
                )  # fmt: skip
            except WrongState as error:
                if error.state != "refunded":
                    raise

    async def _payments_of(self, run: CheckoutRun, invoice: str) -> Sequence[str]:
        """The charges that have paid an invoice."""
        if not invoice:
            return []
        place = run.frozen.platform_account
        intents = await self._payments.paying(place, invoice)
        payments = [(await self._payments.read(place, intent))[0] for intent in intents]
        return [payment.charge for payment in payments if payment.charge]

    async def _unavailable(self, run: CheckoutRun, lacking: Lacking) -> SellerUnavailable:
        """The refusal where the seller cannot bear the sale; the seller is told."""
        terms = run.frozen
        error = SellerUnavailable(terms.seller or "", lacking)
        buyer = await self._accounts.get(terms.buyer)
        if buyer is not None:
            await self._sellers.tell(buyer, terms.item.price, error)
        return error

    async def _append(self, wallet: Wallet, command: Command) -> Outcome:
        (outcome,) = await self._journal.append(wallet, [command])
        if not isinstance(outcome, Refused):
            self._aftermath.posted(wallet, outcome.entry)
        return outcome

    def _common(self, run: CheckoutRun, key: str) -> dict[str, Any]:
        terms = run.frozen
        return {
            "key": key,
            "payload_hash": payload_hash(run.id),
            "actor": BUYER,
            "at": self._clock.now(),
            "details": {
                "checkout": run.id,
                "buyer": terms.buyer,
                "product": terms.quote.product,
                "quantity": str(terms.item.quantity),
            },
        }


def _first_charges(run: CheckoutRun) -> tuple[FirstCharge, ...]:
    """The set-up fee, of the platform's own product for it."""
    terms = run.frozen
    return tuple(
        FirstCharge(terms.setup_product, line.cost)
        for line in terms.quote.lines
        if line.part is LinePart.SETUP and line.cost
    )
