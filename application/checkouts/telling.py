"""Telling of a sale: jobs for who provisions it, for people, and for who has to look."""

import asyncio
from typing import Any, Final

from application.background.clock import Clock
from application.checkouts.checkout_terms import CheckoutRun
from application.checkouts.ports import Carts
from application.jobs.outbox import Outbox
from domain.billing_cycles import Cycle
from domain.jobs import Job, job_id

PROVISION: Final = "store.provision"
"""The kind of the job that has what was bought be provided."""

PURCHASED: Final = "store.purchased"
"""The kind of the job that tells of a purchase, such as for a receipt."""

NEEDS_ATTENTION: Final = "store.needs_attention"
"""The kind of the job that tells operators to look."""

_FACT: Final = "checkout"


class Telling:
    """Makes the jobs of a sale, each once by its id."""

    def __init__(self, outbox: Outbox, carts: Carts, clock: Clock, queued: asyncio.Event) -> None:
        """`queued` is set when there is a job to publish."""
        self._outbox = outbox
        self._carts = carts
        self._clock = clock
        self._queued = queued

    async def tell(self, run: CheckoutRun) -> None:
        """Have it provided, tell of it, and empty the cart unless another item is in it by now."""
        terms = run.frozen
        cart = await self._carts.get(terms.buyer)
        if cart is not None and (cart.id, cart.item) == (terms.cart, terms.item):
            await self._carts.remove(cart)
        await self._append(
            self._job(run, PROVISION, run.id, _provision(run)),
            self._job(run, PURCHASED, run.id, _purchase(run)),
        )

    async def attention(self, run: CheckoutRun) -> None:
        """Tell that people have to look: once for each time that nobody had decided yet."""
        progress = run.record.progress
        subject = f"{run.id}/{len(run.data.resolutions) + 1}"
        payload = {
            "checkout": run.id,
            "buyer": run.frozen.buyer,
            "seller": run.frozen.seller,
            "state": progress.state,
        }
        await self._append(self._job(run, NEEDS_ATTENTION, subject, payload))

    async def _append(self, *jobs: Job) -> None:
        await self._outbox.append(jobs)
        self._queued.set()

    def _job(self, run: CheckoutRun, kind: str, subject: str, payload: dict[str, Any]) -> Job:
        buyer = run.frozen.buyer
        return Job(job_id(kind, buyer, _FACT, subject), kind, buyer, self._clock.now(), payload)


def _provision(run: CheckoutRun) -> dict[str, Any]:
    """What is to be provided, and until when it is paid."""
    terms = run.frozen
    item, end = terms.item, None
    quote, start = terms.quote, run.data.captured_at
    if quote.interval is not None and start is not None:
        end = Cycle(start, quote.interval, quote.interval_count).boundary(1)
    return {
        "checkout": run.id,
        "account": terms.buyer,
        "seller": terms.seller,
        "kind": terms.kind.value,
        "product": quote.product,
        "price": item.price,
        "quantity": item.quantity,
        "country": item.country,
        "number_kind": item.number_kind,
        "period_end": None if end is None else end.isoformat(),
    }


def _purchase(run: CheckoutRun) -> dict[str, Any]:
    """What was paid. Nothing of what it costs the seller: the buyer may be shown this."""
    terms, data = run.frozen, run.data
    return {
        "checkout": run.id,
        "account": terms.buyer,
        "seller": terms.seller,
        "product": terms.quote.product,
        "quantity": terms.item.quantity,
        "amount": terms.total.amount,
        "currency": terms.total.currency,
        "stripe_account": terms.stripe_account,
        "customer": data.customer,
        "payment_intent": data.payment_intent,
    }
