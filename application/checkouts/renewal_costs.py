"""What further periods cost their sellers: posted when each begins, by our own calendar.

Not by the seller's invoices: who owes the cost owns that Stripe account, and a coupon or a pause
there must not cost the platform its money (docs/decisions/0048).
"""

import logging
from typing import Final

from application.background.clock import Clock
from application.background.loops import Loop
from application.checkouts.ports import MAX_SUBSCRIPTIONS, StoreSubscriptions
from application.checkouts.sold import Sold
from application.wallet.aftermath import Aftermath
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash
from application.wallet.whose import Wallets
from domain.back_off import BackOff
from domain.errors import BillingError, FailedPrecondition, Reason
from domain.ledger_commands import PostRenewal
from domain.ledger_outcomes import Refused
from domain.store_subscriptions import StoreSubscription

REST_SECONDS: Final = 30.0
ACTOR: Final = "calendar"
"""Who asks for what falls due."""

MAX_PERIODS: Final = 400
"""How many periods of one sale are posted in a row: those of a year of days, and more."""

MAX_TOLD: Final = 10_000
"""Of how many it is remembered that the log has told of them."""

_log = logging.getLogger(__name__)


class RenewalCosts:
    """Posts `renewal/<checkout>/<number>` for each period that has begun, from the second on."""

    def __init__(
        self, subscriptions: StoreSubscriptions, wallets: Wallets, journal: Journal,
        aftermath: Aftermath, clock: Clock,
    ) -> None:  # fmt: skip
        self._subscriptions = subscriptions
        self._sold = Sold(subscriptions)
        self._wallets = wallets
        self._journal = journal
        self._aftermath = aftermath
        self._clock = clock
        self._told: set[str] = set()
        self.loop: Final = Loop(
            "renewal_costs", self.run, REST_SECONDS, back_off=BackOff(1.0, 60.0)
        )

    async def run(self) -> None:
        """Post all that has fallen due, the longest due first.

        Each by itself: raises what one of them raised last, once all others were posted. Raises
        Unavailable (STORE_UNAVAILABLE) at once.
        """
        now, after = self._clock.now(), None
        failure: Exception | None = None
        while True:
            due = await self._subscriptions.list_due(now=now, after=after, limit=MAX_SUBSCRIPTIONS)
            for sold in due:
                try:
                    await self._catch_up(sold)
                except BillingError as error:
                    if error.reason is Reason.STORE_UNAVAILABLE:
                        raise
                    failure = error
                    self._tell(sold, error)
                except Exception as error:  # noqa: BLE001 - others' costs are posted all the same
                    failure = error
                    _log.exception("a renewal's cost is not posted", extra={"checkout": sold.id})
            if len(due) < MAX_SUBSCRIPTIONS:
                break
            last = due[-1]
            after = (last.cost_due_at or now, last.id)
        if failure is not None:
            raise failure

    def _tell(self, sold: StoreSubscription, error: BillingError) -> None:
        """Log what cannot be posted, once while it is so."""
        if sold.id in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told.add(sold.id)
        facts = {"checkout": sold.id, "reason": str(error.reason)}
        _log.warning("a renewal's cost is not posted", extra=facts)

    async def _catch_up(self, sold: StoreSubscription) -> None:
        """Post the periods that have begun, one after the other."""
        for _ in range(MAX_PERIODS):
            due = sold.cost_due_at
            if due is None or due > self._clock.now():
                return
            await self._post(sold)
            self._told.discard(sold.id)
            number = sold.posted

            def posted(standing: StoreSubscription, number: int = number) -> StoreSubscription:
                known = standing.posted > number
                return standing if known else standing.with_cost_posted(self._clock.now())

            sold = await self._sold.change(sold.account, sold.id, posted)

    async def _post(self, sold: StoreSubscription) -> None:
        """Post the next period's cost in the seller's wallet, once by its key."""
        if sold.seller is None:
            raise ValueError("seller: what the platform sells costs nobody anything")
        wallet = await self._wallets.of(sold.seller)
        if wallet.currency != sold.cost.currency:
            words = f"the wallet is in {wallet.currency}, the cost in {sold.cost.currency}"
            raise FailedPrecondition(Reason.WRONG_CURRENCY, words, subject="wallet")
        period = sold.cycle.period(sold.posted + 1)
        command = PostRenewal(
            key=sold.cost_key,
            payload_hash=payload_hash(sold.id),
            actor=ACTOR,
            at=self._clock.now(),
            amount=sold.cost.amount,
            details={
                "checkout": sold.id,
                "buyer": sold.account,
                "product": sold.product,
                "quantity": str(sold.quantity),
                "period_start": period.start.isoformat(),
                "period_end": period.end.isoformat(),
            },
        )
        (outcome,) = await self._journal.append(wallet, [command])
        if isinstance(outcome, Refused):
            raise FailedPrecondition(
                Reason.WRONG_STATE, f"the ledger refuses it: {outcome.refusal}", subject="wallet"
            )
        self._aftermath.posted(wallet, outcome.entry)
