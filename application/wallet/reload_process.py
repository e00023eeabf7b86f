"""The process of a reload: a payment is asked for, made, and then credited, once.

    frozen → charging → requires_action | processing → paid → credited

It ends otherwise as failed, canceled or expired. Nothing is credited but what Stripe shows as paid
under the id that our own call returned.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from typing_extensions import override

from application.background.clock import Clock
from application.jobs.outbox import Outbox
from application.mutations.failures import is_definite
from application.payment_intents.ports import (
    Confirmation,
    NewPayment,
    Payment,
    PaymentIntentGateway,
)
from application.processes.ports import Course
from application.processes.process import Process, Run, Stage
from application.wallet.aftermath import Aftermath
from application.wallet.arming import Arming
from application.wallet.ports import Journal
from application.wallet.posting import payload_hash
from application.wallet.reload_terms import KIND, Learnt, ReloadTerms
from application.wallet.reversals import Reversals
from domain.errors import (
    AlreadyExists,
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PaymentDeclined,
    WrongState,
)
from domain.jobs import Job, job_id
from domain.ledger_commands import PostReload, reload_key
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Refused
from domain.payment_intents import PaymentStanding, standing_of
from domain.reloads import (
    ACTION_TIME,
    ReloadState,
    Shown,
    Wanted,
    differences,
)

WALLET_RELOADED: Final = "wallet.reloaded"
WALLET_NEEDS_ATTENTION: Final = "wallet.needs_attention"
"""The kind of the job that tells of credit."""

NOT_AS_ASKED: Final = "NOT_AS_ASKED"
"""Why people have to look: what Stripe shows is not what was asked for."""

OWNER: Final = "owner"
ITSELF: Final = "auto-reload"

ReloadRun = Run[ReloadTerms, Learnt]


class Reloads(Process[ReloadTerms, Learnt]):
    """Reloads of wallets, by the owner or by themselves."""

    kind: ClassVar[str] = KIND
    compensating: ClassVar[str] = ReloadState.CHARGING
    completed: ClassVar[str] = ReloadState.CREDITED
    taken_back: ClassVar[str] = ReloadState.CANCELED
    frozen = ReloadTerms
    data = Learnt

    def __init__(
        self, payments: PaymentIntentGateway, journal: Journal, aftermath: Aftermath,
        reversals: Reversals, arming: Arming, outbox: Outbox, clock: Clock, queued: asyncio.Event,
    ) -> None:  # fmt: skip
        """`queued` is set when there is a job to publish."""
        self._payments = payments
        self._journal = journal
        self._aftermath = aftermath
        self._reversals = reversals
        self._arming = arming
        self._outbox = outbox
        self._clock = clock
        self._queued = queued

    @property
    @override
    def stages(self) -> Sequence[Stage[ReloadTerms, Learnt]]:
        return (
            Stage("ask", ReloadState.FROZEN, self._ask, self._give_up_asking),
            Stage("charge", ReloadState.CHARGING, self._charge, pivot=True),
            Stage("credit", ReloadState.PAID, self._credit),
        )

    @override
    def ended(self, failure: BillingError) -> str:
        of_ours = isinstance(failure, WrongState) and failure.metadata.get("resource") == KIND
        return failure.metadata["state"] if of_ours else ReloadState.FAILED

    @override
    async def tend(self, run: ReloadRun) -> None:
        if run.data.charge and not run.data.gone_for_good:
            await self._reversals.follow(run)

    def close(self, run: ReloadRun, why: str) -> None:
        """End a reload that needs attention, as people have decided.

        What was not credited never will be, so nothing is taken back from the wallet for it.
        """
        if run.record.progress.course is Course.COMPLETED:
            run.close(ReloadState.CREDITED, why)
            return
        run.data = replace(run.data, gone_for_good=True)
        run.close(ReloadState.FAILED, why)

    @override
    async def attention(self, run: ReloadRun) -> None:
        terms, progress = run.frozen, run.record.progress
        payload = {
            "wallet": terms.wallet.name,
            "creditor": terms.parent,
            "reload": run.id,
            "amount": terms.amount,
            "currency": terms.currency,
        }
        number = len(progress.history)
        id_ = job_id(WALLET_NEEDS_ATTENTION, terms.account, "attention", f"{run.id}/{number}")
        job = Job(id_, WALLET_NEEDS_ATTENTION, terms.account, run.now(), payload)
        await self._outbox.append([job])
        self._queued.set()

    async def _ask(self, run: ReloadRun) -> None:
        """Make the payment, without attempting it: its id is watched before money can move."""
        terms = run.frozen
        wanted = NewPayment(
            terms.customer, terms.payment_method, terms.paid, metadata={"billing_reload": run.id}
        )
        payment = await run.steps.call_unmirrored(
            "ask", Payment, wanted, self._payments.create, self._payments.find_created
        )
        run.data = replace(run.data, payment_intent=payment.id)
        await self._watch(run, payment.id)

    async def _give_up_asking(self, run: ReloadRun) -> None:
        """Cancel what was asked for: it was never attempted."""
        asked = run.steps.answer("ask", Payment)
        if asked is None or run.data.gone_for_good:
            return
        payment = await self._cancel(run, asked.id)
        if standing_of(payment.status) is not PaymentStanding.CANCELED:
            run.ask_people(NOT_AS_ASKED)

    async def _charge(self, run: ReloadRun) -> None:
        """Attempt the payment, and wait until it is paid."""
        if run.failure is not None:
            await self._given_up(run)
            return
        try:
            await self._confirm(run)
        except BillingError as error:
            if not is_definite(error):
                raise
            run.turn_back(error)
            await self._given_up(run)
            return
        # How the answer stood is over: what counts is how it stands now that it is watched.
        payment = await self._read(run)
        run.data = replace(run.data, decline_code=payment.decline_code, advice=payment.advice)
        match standing_of(payment.status):
            case PaymentStanding.SUCCEEDED:
                await self._paid(run, payment)
            case PaymentStanding.CANCELED:  # by somebody at Stripe
                run.data = replace(run.data, gone_for_good=True)
                raise _ended(run, ReloadState.CANCELED)
            case PaymentStanding.PENDING:
                run.data = replace(run.data, asks_since=None)
                run.wait(ReloadState.PROCESSING)
            case PaymentStanding.ASKS:
                await self._asks(run, payment)
            case PaymentStanding.AUTHORISED | PaymentStanding.ODD:  # somebody else has been at it
                run.ask_people(NOT_AS_ASKED)

    async def _confirm(self, run: ReloadRun) -> None:
        """Attempt the payment, by the payment method that counts now."""
        terms, data = run.frozen, run.data
        confirmation = Confirmation(
            data.payment_intent,
            data.payment_method or terms.payment_method,
            off_session=terms.automatic,
            keeps_method=terms.keeps_method,
        )
        await run.steps.call_unmirrored(
            _confirming(data), Payment, confirmation,
            self._payments.confirm, self._payments.find_confirmed,
        )  # fmt: skip

    async def _asks(self, run: ReloadRun, payment: Payment) -> None:
        """Wait for the payer, for an hour. Nobody is there for a wallet that reloads itself."""
        if run.frozen.automatic:
            code = payment.decline_code or "authentication_required"
            run.turn_back(PaymentDeclined("the payment was declined", decline_code=code))
        else:
            since = run.data.asks_since or run.now()
            run.data = replace(run.data, asks_since=since)
            if run.now() < since + ACTION_TIME:
                run.wait(ReloadState.REQUIRES_ACTION, until=since + ACTION_TIME)
            run.turn_back(_ended(run, ReloadState.EXPIRED))
        await self._given_up(run)

    async def _given_up(self, run: ReloadRun) -> None:
        """Cancel the payment, and raise why. Returns where it was paid meanwhile: that counts."""
        payment = await self._cancel(run, run.data.payment_intent)
        match standing_of(payment.status):
            case PaymentStanding.SUCCEEDED:
                await self._paid(run, await self._read(run))
            case PaymentStanding.CANCELED if run.failure is not None:
                await self._settle_attempt(run)
                raise run.failure
            case PaymentStanding.PENDING | PaymentStanding.ASKS:  # canceled once that is possible
                run.wait(ReloadState.PROCESSING)
            case _:
                run.ask_people(NOT_AS_ASKED)

    async def _settle_attempt(self, run: ReloadRun) -> None:
        """Learn what came of an attempt whose answer was lost. It is canceled, so none is made."""
        if run.steps.is_settled:
            return
        with contextlib.suppress(InvalidArgument, FailedPrecondition, NotFound):
            await self._confirm(run)

    async def _cancel(self, run: ReloadRun, payment_intent: str) -> Payment:
        payment = await run.steps.call_unmirrored(
            f"cancel-{run.data.cancels}", Payment, payment_intent,
            self._payments.cancel, self._payments.find_canceled,
        )  # fmt: skip
        ended = standing_of(payment.status)
        if ended is PaymentStanding.CANCELED:
            run.data = replace(run.data, gone_for_good=True)
        elif ended is not PaymentStanding.SUCCEEDED:
            run.data = replace(run.data, cancels=run.data.cancels + 1)
        return payment

    async def _read(self, run: ReloadRun) -> Payment:
        """The payment as it stands. That it is not there is no refusal, but a matter for people."""
        try:
            payment, _ = await self._payments.read(
                run.frozen.stripe_account, run.data.payment_intent
            )
        except NotFound:
            run.ask_people(NOT_AS_ASKED)
        return payment

    async def _watch(self, run: ReloadRun, object_id: str) -> None:
        """Watch an object, which belongs to one process."""
        try:
            await run.watch(run.frozen.stripe_account, object_id)
        except AlreadyExists:
            run.ask_people(NOT_AS_ASKED)

    async def _paid(self, run: ReloadRun, payment: Payment) -> None:
        """Look that what is paid is what was asked for; else nothing is credited."""
        terms = run.frozen
        wanted = Wanted(run.data.payment_intent, terms.customer, terms.paid, terms.livemode)
        shown = Shown(
            payment.id, payment.customer, payment.amount, payment.received, payment.livemode
        )
        if differences(wanted, shown) or not payment.charge:
            run.ask_people(NOT_AS_ASKED)
        run.data = replace(run.data, charge=payment.charge, decline_code="", advice="")
        await self._watch(run, payment.charge)

    async def _credit(self, run: ReloadRun) -> None:
        """Credit the wallet, once, and tell of it."""

        async def credit() -> int:
            entry = await self._credited(run)
            await self._tell(run, entry)
            return entry.sequence

        await run.steps.own("credit", int, credit)
        if not run.frozen.automatic:
            await self._arming.arm(run.frozen.wallet.name, run.id)

    async def _credited(self, run: ReloadRun) -> Entry:
        terms = run.frozen
        command = PostReload(
            key=reload_key(run.id),
            payload_hash=payload_hash(terms),
            actor=ITSELF if terms.automatic else OWNER,
            at=self._clock.now(),
            charged=terms.paid,
            credited=terms.credit,
            rate=terms.rate,
            details={"payment_intent": run.data.payment_intent, "charge": run.data.charge},
        )
        (outcome,) = await self._journal.append(terms.wallet, [command])
        if isinstance(outcome, Refused):
            run.ask_people(outcome.refusal)
        self._aftermath.posted(terms.wallet, outcome.entry)
        return outcome.entry

    async def _tell(self, run: ReloadRun, entry: Entry) -> None:
        terms = run.frozen
        payload = {
            "wallet": terms.wallet.name,
            "creditor": terms.parent,
            "reload": run.id,
            "amount": terms.amount,
            "currency": terms.currency,
            "credit": terms.credit,
            "wallet_currency": terms.wallet_currency,
            "automatic": terms.automatic,
            "sequence": entry.sequence,
        }
        id_ = job_id(WALLET_RELOADED, terms.account, "reload", run.id)
        job = Job(id_, WALLET_RELOADED, terms.account, entry.created_at, payload)
        await self._outbox.append([job])
        self._queued.set()


def _confirming(data: Learnt) -> str:
    """The name of the attempt that counts now."""
    return f"confirm-{data.attempt}"


def _ended(run: ReloadRun, state: ReloadState) -> WrongState:
    """Why a reload is taken back that nobody has refused."""
    return WrongState(KIND, run.id, state)


def canceled(reload: str) -> WrongState:
    """The order to cancel a reload."""
    return WrongState(KIND, reload, ReloadState.CANCELED)
