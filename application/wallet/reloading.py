"""Reloads as callers ask for them: begun, tried again, canceled, given back, looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from application.background.clock import Clock
from application.mutations.mutations import Mutations
from application.mutations.steps import Steps
from application.payment_intents.ports import PaymentIntentGateway
from application.processes.ports import Course, ProcessLog, ProcessRecord
from application.processes.processes import Processes
from application.processes.starting import Began, ProcessMethod
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from application.wallet.commands import (
    ListReloads,
    ReloadDecision,
    ReloadOrder,
    ReloadPart,
    ReloadRetry,
    Resolution,
)
from application.wallet.freezing import Freezing
from application.wallet.ports import Journal
from application.wallet.posting import reused
from application.wallet.reload_process import ReloadRun, Reloads, canceled
from application.wallet.reload_terms import (
    GIVEN_BACK,
    KIND,
    Learnt,
    PartOrder,
    ReloadTerms,
    learnt_of,
    state_of,
    terms_of,
)
from application.wallet.violations import (
    cancel_violations,
    decision_violations,
    part_violations,
    reload_violations,
    retry_violations,
)
from application.wallet.whose import Wallets, is_owner
from domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    Reason,
    WrongState,
)
from domain.ledger_entries import Entry
from domain.periods import from_milliseconds, to_milliseconds
from domain.reloads import Lost, ReloadState

MAX_ATTEMPTS: Final = 20
"""How often one reload is tried with another payment method."""

MAX_PARTS: Final = 50
"""How many parts of one reload are given back by RefundReload."""


@dataclass(frozen=True, slots=True)
class ReloadView:
    """A reload as it stands. The secret is for the owner, and for the moment."""

    record: ProcessRecord
    terms: ReloadTerms
    learnt: Learnt
    state: ReloadState | None
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A reload to cancel."""

    reload: str


class ReloadCalls:
    """Begins reloads and gives them orders; what they do is their process's affair."""

    def __init__(
        self, wallets: Wallets, freezing: Freezing, process: Reloads, processes: Processes,
        log: ProcessLog, mutations: Mutations, payments: PaymentIntentGateway, journal: Journal,
        page_tokens: PageTokens, clock: Clock,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._freezing = freezing
        self._process = process
        self._processes = processes
        self._log = log
        self._payments = payments
        self._journal = journal
        self._page_tokens = page_tokens
        processes.register(process)
        self._reload = ProcessMethod(
            "WalletService.ReloadWallet", ReloadOrder, process, freezing.freeze,
            mutations=mutations, processes=processes, clock=clock, connected=False,
        )  # fmt: skip
        self._retry = mutations.method(
            "WalletService.RetryReload", ReloadRetry, Began, self._retry_steps, connected=False
        )
        self._cancel = mutations.method(
            "WalletService.CancelReload", Cancellation, Began, self._cancel_steps, connected=False
        )
        self._give_back = mutations.method(
            "WalletService.RefundReload", ReloadPart, Began, self._part_steps, connected=False
        )
        self._resolve = mutations.method(
            "WalletService.ResolveReload", ReloadDecision, Began, self._resolve_steps,
            connected=False,
        )  # fmt: skip

    async def reload(
        self, caller: Caller, request_id: str, order: ReloadOrder,
        violations: Sequence[FieldViolation] = (),
    ) -> ReloadView:  # fmt: skip
        """Begin a reload: how it stands, the same one for each repeat, however late.

        Raises InvalidArgument, PermissionDenied (NOT_OWNER), NotFound for another's payment method,
        FailedPrecondition (NO_PAYMENT_METHOD, RATE_UNAVAILABLE, RELOAD_OPEN with the other one's
        id), and what the creditor's connection and Stripe are refused with.
        """
        refuse([*violations, *reload_violations(request_id, order)])
        await self._wallets.owned(caller)
        try:
            record = await self._reload.run(caller, request_id, order)
        except AlreadyExists as error:
            raise _open(error) from None
        return await self._view(caller, record)

    async def retry(self, caller: Caller, request_id: str, retry: ReloadRetry) -> ReloadView:
        """Try a declined reload with another payment method.

        Raises InvalidArgument, PermissionDenied (NOT_OWNER), NotFound, WrongState.
        """
        refuse(retry_violations(request_id, retry))
        await self._wallets.owned(caller)
        await self._reload_of(caller.account, retry.reload)
        await self._retry.run(caller, request_id, retry)
        return await self._view(caller, await self._processes.get(retry.reload))

    async def cancel(self, caller: Caller, request_id: str, reload: str) -> ReloadView:
        """Give up a reload that is not paid. Raises as `retry` does."""
        refuse(cancel_violations(request_id, reload))
        await self._wallets.owned(caller)
        await self._reload_of(caller.account, reload)
        await self._cancel.run(caller, request_id, Cancellation(reload))
        return await self._view(caller, await self._processes.get(reload))

    async def give_back(self, caller: Caller, request_id: str, part: ReloadPart) -> ReloadView:
        """Give a part of the payment back to the payer.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR), NotFound, WrongState and
        FailedPrecondition (REFUND_TOO_LARGE, BALANCE_TOO_LOW, STRIPE_REFUSED).
        """
        refuse(part_violations(request_id, part))
        await self._wallets.credited(caller)
        record = await self._reload_of(caller.account, part.reload)
        currency = terms_of(record).currency
        if part.currency != currency:
            rule = f"the payment's own, {currency}"
            raise InvalidArgument([FieldViolation("amount.currency", rule)])
        await self._give_back.run(caller, request_id, part)
        return await self._view(caller, await self._processes.get(part.reload))

    async def resolve(
        self, caller: Caller, request_id: str, decision: ReloadDecision
    ) -> ReloadView:
        """Decide about a reload that needs attention.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR), NotFound, WrongState.
        """
        refuse(decision_violations(request_id, decision))
        await self._wallets.credited(caller)
        await self._reload_of(caller.account, decision.reload)
        await self._resolve.run(caller, request_id, decision)
        return await self._view(caller, await self._processes.get(decision.reload))

    async def get(self, caller: Caller, reload: str) -> ReloadView:
        """One reload; for the owner with the secret that it needs. NotFound for another wallet's.

        Raises what reading that at Stripe raises.
        """
        return await self._view(caller, await self._reload_of(caller.account, reload))

    async def list(self, caller: Caller, query: ListReloads) -> Page[ReloadView]:
        """A page of the wallet's reloads, newest first, without secrets."""
        refuse(page_size_violations(query.page_size))
        wallet = await self._wallets.of(caller.account)
        scope = digest("wallet_reloads", wallet.name)
        place = self._page_tokens.read(query.page_token, scope)
        size = query.page_size or DEFAULT_PAGE_SIZE
        after = None if place is None else (from_milliseconds(int(place.value)), place.id)
        # One more than asked for tells whether there is a next page.
        records = await self._log.list(caller.account, KIND, after=after, limit=size + 1)
        page = records[:size]
        last = page[-1] if len(records) > size else None
        position = None if last is None else Position(to_milliseconds(last.created_at), last.id)
        views = [_shown(record) for record in page if terms_of(record).wallet == wallet]
        return Page(views, self._page_tokens.write(scope, position))

    # --- orders ---

    async def _retry_steps(self, steps: Steps, retry: ReloadRetry) -> Began:
        record = await self._reload_of(steps.account, retry.reload)
        terms, request_id = terms_of(record), steps.request_id
        if request_id in learnt_of(record).request_ids:
            return Began(record.id)
        method = await self._freezing.method(
            terms.stripe_account, terms.customer, retry.payment_method
        )

        async def order(run: ReloadRun) -> None:
            data = run.data
            if request_id in data.request_ids:
                return
            if run.record.progress.state != ReloadState.REQUIRES_ACTION or run.failure:
                raise WrongState(KIND, run.id, run.record.progress.state)
            if data.attempt >= MAX_ATTEMPTS:
                raise WrongState(KIND, run.id, f"tried {MAX_ATTEMPTS} times")
            run.data = replace(
                data,
                attempt=data.attempt + 1,
                payment_method=method,
                request_ids=(*data.request_ids, request_id),
                asks_since=None,
            )

        await self._processes.act(record.id, order)
        return Began(record.id)

    async def _cancel_steps(self, steps: Steps, cancellation: Cancellation) -> Began:
        record = await self._reload_of(steps.account, cancellation.reload)

        async def order(run: ReloadRun) -> None:
            state = run.record.progress.state
            over = run.record.progress.course is not Course.FORWARD
            if state == ReloadState.CANCELED:
                return
            if over or state not in (
                ReloadState.FROZEN, ReloadState.CHARGING, ReloadState.REQUIRES_ACTION,
            ):  # fmt: skip
                raise WrongState(KIND, run.id, state)
            if run.failure is None:
                run.turn_back(canceled(run.id))

        if state_of(record) is not ReloadState.CANCELED:
            await self._processes.act(record.id, order)
        return Began(record.id)

    async def _part_steps(self, steps: Steps, part: ReloadPart) -> Began:
        record = await self._reload_of(steps.account, part.reload)
        wallet, request_id = terms_of(record).wallet, steps.request_id

        async def order(run: ReloadRun) -> None:
            if any(one.request_id == request_id for one in run.data.parts):
                return
            head = await self._journal.head(wallet.name)
            run.data = _ordered(run, part, request_id, head)

        await self._processes.act(record.id, order)
        _tell_outcome(learnt_of(await self._processes.get(record.id)), part, request_id)
        return Began(record.id)

    async def _resolve_steps(self, steps: Steps, decision: ReloadDecision) -> Began:
        record = await self._reload_of(steps.account, decision.reload)
        request_id = steps.request_id

        async def order(run: ReloadRun) -> None:
            if request_id in run.data.request_ids:
                return
            if not run.record.progress.attention:
                raise WrongState(KIND, run.id, run.record.progress.state)
            run.data = replace(run.data, request_ids=(*run.data.request_ids, request_id))
            if decision.resolution is Resolution.RETRY:
                run.resume(decision.reason)
            else:
                self._process.close(run, decision.reason)

        await self._processes.act(record.id, order)
        return Began(record.id)

    # --- how it stands ---

    async def _reload_of(self, account: str, reload: str) -> ProcessRecord:
        """A reload of the account's present wallet. NotFound for any other one."""
        record = await self._log.get(reload)
        wallet = await self._wallets.of(account)
        if record is None or record.key.kind != KIND or terms_of(record).wallet != wallet:
            raise NotFound(KIND, reload)
        return record

    async def _view(self, caller: Caller, record: ProcessRecord) -> ReloadView:
        view = _shown(record)
        asks = view.state is ReloadState.REQUIRES_ACTION and view.learnt.payment_intent
        if not asks or not is_owner(caller, view.terms.wallet):
            return view
        _, secret = await self._payments.read(view.terms.stripe_account, view.learnt.payment_intent)
        return replace(view, client_secret=secret)


def _shown(record: ProcessRecord) -> ReloadView:
    return ReloadView(record, terms_of(record), learnt_of(record), state_of(record))


def _ordered(run: ReloadRun, part: ReloadPart, request_id: str, head: Entry | None) -> Learnt:
    """What a reload knows with another part to give back.

    Raises WrongState, FailedPrecondition (REFUND_TOO_LARGE, BALANCE_TOO_LOW).
    """
    progress, data, terms = run.record.progress, run.data, run.frozen
    if progress.state != ReloadState.CREDITED:
        raise WrongState(KIND, run.id, progress.state)
    taken = Lost(data.gone + data.under_way, data.withheld)
    if part.amount > terms.amount - taken.left or len(data.parts) >= MAX_PARTS:
        raise _too_large()
    with_it = Lost(taken.gone + part.amount, taken.withheld)
    held = terms.worth(with_it) - terms.worth(taken)
    available = head.available_after + head.overdraft_after if head else 0
    if held > available:
        raise _too_low()
    order = PartOrder(len(data.parts) + 1, request_id, part.amount, part.reason, held)
    return replace(data, parts=(*data.parts, order), changed_at=run.now())


def _tell_outcome(learnt: Learnt, part: ReloadPart, request_id: str) -> None:
    """Raise why a part was not given back, if so."""
    order = next((one for one in learnt.parts if one.request_id == request_id), None)
    if order is None or order.outcome in ("", GIVEN_BACK):
        return
    if (order.amount, order.reason) != (part.amount, part.reason):
        raise reused()
    if order.outcome == Reason.BALANCE_TOO_LOW:
        raise _too_low()
    if order.outcome in (Reason.INVALID_FIELDS, Reason.REFUND_TOO_LARGE):
        raise _too_large()
    words = f"Stripe did not give it back: {order.outcome}"
    raise FailedPrecondition(Reason.STRIPE_REFUSED, words, subject=KIND)


def _too_large() -> FailedPrecondition:
    words = "more would be given back than is left of the payment"
    return FailedPrecondition(Reason.REFUND_TOO_LARGE, words, subject=KIND)


def _too_low() -> FailedPrecondition:
    words = "less is available than this takes"
    return FailedPrecondition(Reason.BALANCE_TOO_LOW, words, subject="wallet")


def _open(error: AlreadyExists) -> FailedPrecondition | AlreadyExists:
    """The refusal where another reload is open; another refusal as it is."""
    other = error.metadata.get("process")
    if other is None:
        return error
    words = "another reload of this wallet is open; wait for it, or cancel it"
    return FailedPrecondition(
        Reason.RELOAD_OPEN, words, subject=KIND, metadata={"resource": KIND, "id": other}
    )
