"""Invoice payments: Stripe tells by an event of those that are paid, and of no others.

One is made, open, when its invoice is finalized, and canceled when that is voided or paid in
another way (API reference, "Invoice Payments"). So new ones are listed, and of the open ones those
are read again whose invoice shows that they cannot be open, or not over that amount, any more.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final

from typing_extensions import override

from application.background.checkpoints import Checkpoints
from application.background.clock import Clock
from application.background.retries import Retries
from application.connections.sources import MirroredAccounts
from application.mirror.importer import Importer
from application.mirror.lists import ObjectLister
from application.mirror.nouns import INVOICE_PAYMENTS, INVOICES
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import NEWEST_FIRST, Filter, Mirror
from application.mirror.stripe import ObjectReader, Priority
from application.upkeep.refresh import Refresher
from domain.errors import BillingError
from domain.invoice_payments import InvoicePayment
from domain.invoices import Invoice
from domain.mirror import Row, Snapshot
from domain.oddities import Oddity, oddity_of

TASK: Final = "invoice payments"
DEBOUNCE_SECONDS: Final = 60.0
"""Most invoices are paid soon after they are finalized, and of that an event tells."""

SCHEDULE_SECONDS: Final = 3_600.0
SETTLED_MS: Final = dt.timedelta(hours=1) // dt.timedelta(milliseconds=1)
"""How long after its invoice an open payment may change still."""

_OPEN: Final = Filter(equals={"status": "open"})
_OVER: Final = frozenset({"paid", "void"})
_ROWS: Final = 500
_MAX_PAGES: Final = 1_000
_READS_AT_ONCE: Final = 8


class InvoicePayments(Refresher):
    """Keeps invoice payments current; noted by invoices that are finalized or voided.

    Open ones may be years old, so no window reaches back to them: those that are outdated are found
    in the mirror and read one by one. They are few. A note looks at the newest open ones, the
    schedule at all.
    """

    noun = INVOICE_PAYMENTS
    task = TASK
    noted_by = (
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.paid",
        "invoice.voided",
    )
    debounce_seconds = DEBOUNCE_SECONDS
    schedule_seconds = SCHEDULE_SECONDS

    def __init__(
        self,
        lister: ObjectLister,
        objects: ObjectReader,
        importer: Importer,
        mirror: Mirror,
        checkpoints: Checkpoints,
        mirrored_accounts: MirroredAccounts,
        clock: Clock,
        *,
        retries: Retries | None = None,
        debounce_seconds: float | None = None,
        schedule_seconds: float | None = None,
    ) -> None:
        super().__init__(
            lister,
            importer,
            mirror,
            checkpoints,
            mirrored_accounts,
            clock,
            retries=retries,
            debounce_seconds=debounce_seconds,
            schedule_seconds=schedule_seconds,
        )
        self._objects = objects

    @override
    async def _read_outdated(self, stripe_account: str, *, pending: bool) -> int:
        changed, after = 0, None
        for _ in range(_MAX_PAGES if pending else 1):
            page = await self._mirror.list(
                INVOICE_PAYMENTS,
                stripe_account,
                _OPEN,
                order=NEWEST_FIRST,
                after=after,
                limit=_ROWS,
            )
            changed += await self._renew(stripe_account, await self._outdated(page.rows))
            after = page.next
            if after is None:
                break
        return changed

    async def _outdated(self, rows: Sequence[Row[InvoicePayment]]) -> list[str]:
        """The ids of those of an account's open payments that the mirror's invoices contradict."""
        payments = [row.snapshot for row in rows if row.snapshot and row.snapshot.object]
        if not payments:
            return []
        ids = sorted({one.object.invoice for one in payments if one.object})
        invoices = await self._mirror.fetch(INVOICES, payments[0].stripe_account, ids)
        return [one.id for one in payments if _contradicted(one, invoices)]

    async def _renew(self, stripe_account: str, ids: Sequence[str]) -> int:
        changed = 0
        for start in range(0, len(ids), _READS_AT_ONCE):
            some = ids[start : start + _READS_AT_ONCE]
            reads = await asyncio.gather(*(self._read(stripe_account, one) for one in some))
            log_oddities(stripe_account, [one for one in reads if isinstance(one, Oddity)])
            seen = [one for one in reads if not isinstance(one, Oddity)]
            changed += await self._bring(stripe_account, seen)
        return changed

    async def _read(self, stripe_account: str, object_id: str) -> Snapshot[Any] | Oddity:
        try:
            return await self._retries(
                lambda: self._objects.read(
                    INVOICE_PAYMENTS,
                    stripe_account,
                    object_id,
                    not_before_ms=None,
                    priority=Priority.CATCH_UP,
                )
            )
        except BillingError as error:
            return oddity_of(INVOICE_PAYMENTS.name, object_id, error)


def _contradicted(payment: Snapshot[InvoicePayment], invoices: Mapping[str, Row[Invoice]]) -> bool:
    """Whether an open payment cannot be as it was seen, by what its invoice shows.

    Not if it was seen so well after that: then that is how it is.
    """
    row = invoices.get(payment.object.invoice) if payment.object else None
    invoice = row.snapshot if row else None
    if payment.object is None or invoice is None or invoice.object is None:
        return False
    if payment.version.bounded().low > invoice.version.bounded().high + SETTLED_MS:
        return False
    asks = payment.object.amount_requested
    moved = payment.object.is_default is True and asks != invoice.object.amount_remaining
    return moved or invoice.object.status in _OVER
