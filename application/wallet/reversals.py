"""What a reload loses: by its refunds and disputes as Stripe shows them now, not by their events.

Targets are stored first and posted then. So whatever order, number and repetition the events come
in, the wallet ends where Stripe stands.
"""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from application.background.clock import Clock
from application.charges.ports import RefundGateway, RefundOrder
from application.jobs.outbox import Outbox
from application.mirror.nouns import REFUNDS
from application.mutations.failures import is_definite
from application.mutations.steps import shown
from application.payment_intents.ports import GivenBack, PaymentIntentGateway
from application.processes.process import Run
from application.wallet.aftermath import Aftermath
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash
from application.wallet.reload_terms import (
    GIVEN_BACK,
    REFUND_FAILED,
    Learnt,
    PartOrder,
    ReloadTerms,
)
from domain.errors import BillingError
from domain.jobs import Job, job_id
from domain.ledger_commands import (
    Command,
    PostHold,
    PostRelease,
    PostReversal,
    hold_key,
    reversal_key,
    settled_key,
)
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Outcome, Refused
from domain.refunds import Refund
from domain.reloads import Lost, lost_of

WALLET_REVERSED: Final = "wallet.reversed"
"""The kind of the job that tells of what a reload lost, or got back."""

PLATFORM: Final = "stripe"
"""Who asks for what follows from Stripe alone."""

_HELD: Final = "held"
_OVER: Final = ("failed", "canceled")
_LOOK_AGAIN: Final = dt.timedelta(hours=6)
"""How often a refund that the bank takes its time with is looked at, whatever events come."""

ReloadRun = Run[ReloadTerms, Learnt]


class Reversals:
    """Follows a reload's refunds and disputes, and makes the refunds that its creditor asks for."""

    def __init__(
        self, payments: PaymentIntentGateway, refunds: RefundGateway, journal: Journal,
        aftermath: Aftermath, outbox: Outbox, clock: Clock, queued: asyncio.Event,
    ) -> None:  # fmt: skip
        """`queued` is set when there is a job to publish."""
        self._payments = payments
        self._refunds = refunds
        self._journal = journal
        self._aftermath = aftermath
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    async def follow(self, run: ReloadRun) -> None:
        """Post what was stored and is not posted, give back what is ordered, and look once more."""
        await self._post(run)
        for part in _open(run.data):
            await self._give_back(run, part)
        await self._bring_to(run, self._lost(run, await self._at_stripe(run)))
        if any(_open(run.data)):
            run.look_at(run.now() + _LOOK_AGAIN)

    async def _give_back(self, run: ReloadRun, part: PartOrder) -> None:
        """Hold, refund at Stripe, and settle out of the hold; or release it."""
        held = await self._hold(run, part)
        if held != _HELD:
            self._ends(run, part, held)
            return
        try:
            refund = await self._refund(run, part)
        except BillingError as error:
            if not is_definite(error):
                raise
            await self._release(run, part, error.reason)
            return
        given = await self._at_stripe(run)
        status = next((one.status for one in given.refunds if one.id == refund.id), refund.status)
        if status == "succeeded":
            await self._bring_to(run, self._lost(run, given), part)
        elif status in _OVER:
            await self._release(run, part, REFUND_FAILED)

    async def _hold(self, run: ReloadRun, part: PartOrder) -> str:
        """Set aside what the part is worth; why it cannot be, if so."""
        if not part.held:
            return _HELD

        async def hold() -> str:
            common = self._common(run, hold_key(_hold_of(run, part)))
            outcome = await self._append(run, PostHold(**common, amount=part.held))
            return outcome.refusal.value if isinstance(outcome, Refused) else _HELD

        return await run.steps.own(f"hold-{part.number}", str, hold)

    async def _refund(self, run: ReloadRun, part: PartOrder) -> Refund:
        order = RefundOrder(
            run.data.charge, part.amount, run.frozen.currency, "requested_by_customer"
        )
        made = await run.steps.call(
            f"refund-{part.number}", REFUNDS, order, self._refunds.refund, self._refunds.find_refund
        )
        return shown(REFUNDS, made)

    async def _release(self, run: ReloadRun, part: PartOrder, why: str) -> None:
        async def release() -> str:
            hold = _hold_of(run, part)
            command = PostRelease(**self._common(run, settled_key(hold)), hold=hold)
            outcome = await self._append(run, command)
            if isinstance(outcome, Refused):
                run.ask_people(outcome.refusal)
            return _HELD

        if part.held:
            await run.steps.own(f"release-{part.number}", str, release)
        self._ends(run, part, why)

    async def _bring_to(self, run: ReloadRun, lost: Lost, part: PartOrder | None = None) -> None:
        """Store other targets, and post what lies between; `part` is what the hold was for."""
        if lost == run.data.lost and part is None:
            return
        if part is not None:
            self._ends(run, part, GIVEN_BACK)
        run.data = replace(
            run.data,
            number=run.data.number + 1,
            gone=lost.gone,
            withheld=lost.withheld,
            unposted=True,
            hold=_hold_of(run, part) if part is not None and part.held else "",
            changed_at=run.now(),
        )
        await run.save()
        await self._post(run)

    async def _post(self, run: ReloadRun) -> None:
        """Post the last targets, unless that is done."""
        data = run.data
        if not data.unposted:
            return
        key = settled_key(data.hold) if data.hold else reversal_key(run.id, data.number)
        command = PostReversal(
            **self._common(run, key),
            reload=run.id,
            number=data.number,
            gone=data.gone,
            withheld=data.withheld,
            hold=data.hold,
        )
        outcome = await self._append(run, command)
        if isinstance(outcome, Refused):
            run.ask_people(outcome.refusal)
        await self._tell(run, outcome.entry)
        run.data = replace(data, unposted=False)

    async def _at_stripe(self, run: ReloadRun) -> GivenBack:
        return await self._payments.given_back(run.frozen.stripe_account, run.data.payment_intent)

    def _lost(self, run: ReloadRun, given: GivenBack) -> Lost:
        return lost_of(run.frozen.amount, given.refunds, given.disputes)

    def _ends(self, run: ReloadRun, part: PartOrder, outcome: str) -> None:
        parts = [
            replace(one, outcome=outcome) if one.number == part.number else one
            for one in run.data.parts
        ]
        run.data = replace(run.data, parts=tuple(parts), changed_at=run.now())

    async def _append(self, run: ReloadRun, command: Command) -> Outcome:
        (outcome,) = await self._journal.append(run.frozen.wallet, [command])
        if not isinstance(outcome, Refused):
            self._aftermath.posted(run.frozen.wallet, outcome.entry)
        return outcome

    def _common(self, run: ReloadRun, key: str) -> dict[str, Any]:
        return {
            "key": key,
            "payload_hash": payload_hash(run.id),
            "actor": PLATFORM,
            "at": self._clock.now(),
        }

    async def _tell(self, run: ReloadRun, entry: Entry) -> None:
        terms, data = run.frozen, run.data
        payload = {
            "wallet": terms.wallet.name,
            "creditor": terms.parent,
            "reload": run.id,
            "number": data.number,
            "gone": data.gone,
            "withheld": data.withheld,
            "currency": terms.currency,
            "available": entry.available_after,
            "wallet_currency": terms.wallet_currency,
            "sequence": entry.sequence,
        }
        id_ = job_id(WALLET_REVERSED, terms.account, "reversal", f"{run.id}/{data.number}")
        job = Job(id_, WALLET_REVERSED, terms.account, entry.created_at, payload)
        await self._outbox.append([job])
        self._queued.set()


def _open(data: Learnt) -> Sequence[PartOrder]:
    return [part for part in data.parts if not part.outcome]


def _hold_of(run: ReloadRun, part: PartOrder) -> str:
    """The name of a part's hold: so two processes never share one."""
    return f"{run.id}-{part.number}"
