"""Checkouts as callers ask for them: begun, confirmed, paid anew, canceled, decided, looked at."""

from dataclasses import dataclass, field, replace
from typing import Final

from application.background.clock import Clock
from application.checkouts.checkout_process import Checkouts, canceled
from application.checkouts.checkout_terms import (
    KIND,
    CheckoutData,
    CheckoutRun,
    CheckoutTerms,
    Resolution,
    data_of,
    state_of,
    terms_of,
)
from application.checkouts.commands import (
    CheckoutCancellation,
    CheckoutConfirmation,
    CheckoutOrder,
    CheckoutResolution,
    CheckoutRetry,
    ListCheckouts,
    Resolving,
)
from application.checkouts.freezing import CheckoutFreezing
from application.checkouts.paying import MethodChoice
from application.checkouts.previews import sees_cost
from application.checkouts.quoting import QuoteSigner
from application.checkouts.violations import (
    checkout_id_violations,
    checkout_violations,
    order_violations,
    resolution_violations,
    retry_violations,
)
from application.mutations.mutations import Mutations
from application.mutations.steps import Steps, in_flight
from application.payment_intents.ports import PaymentIntentGateway
from application.processes.ports import Course, ProcessLog, ProcessRecord
from application.processes.processes import Processes
from application.processes.starting import Began, ProcessMethod
from application.requests.callers import OPERATOR, Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.checkouts import CheckoutState
from domain.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    WrongState,
)
from domain.periods import from_milliseconds, to_milliseconds

MAX_ATTEMPTS: Final = 20
"""How often one checkout is tried with another payment method."""

MAX_ATTENTION: Final = 100
"""How many checkouts that need attention operators are shown at once."""


@dataclass(frozen=True, slots=True)
class CheckoutView:
    """A checkout as it stands. `shows_cost`: the caller may see the seller's side.

    The secret is for who buys, and for the moment.
    """

    record: ProcessRecord
    terms: CheckoutTerms
    data: CheckoutData
    state: CheckoutState | None
    shows_cost: bool
    client_secret: str = field(default="", repr=False)


class CheckoutCalls:
    """Begins checkouts and gives them orders; what they do is their process's affair."""

    def __init__(
        self, freezing: CheckoutFreezing, process: Checkouts, processes: Processes,
        log: ProcessLog, mutations: Mutations, signer: QuoteSigner, methods: MethodChoice,
        payments: PaymentIntentGateway, page_tokens: PageTokens, clock: Clock,
    ) -> None:  # fmt: skip
        self._process = process
        self._processes = processes
        self._log = log
        self._signer = signer
        self._methods = methods
        self._payments = payments
        self._page_tokens = page_tokens
        processes.register(process)
        self._execute = ProcessMethod(
            "CheckoutService.ExecuteCheckout", CheckoutOrder, process, freezing.freeze,
            mutations=mutations, processes=processes, clock=clock, connected=False,
            begun_by=lambda order: self._quote_id(order.quote),
        )  # fmt: skip
        self._confirm = mutations.method(
            "CheckoutService.ConfirmCheckout", CheckoutConfirmation, Began, self._confirm_steps,
            connected=False,
        )  # fmt: skip
        self._retry = mutations.method(
            "CheckoutService.RetryPayment", CheckoutRetry, Began, self._retry_steps,
            connected=False,
        )  # fmt: skip
        self._cancel = mutations.method(
            "CheckoutService.CancelCheckout", CheckoutCancellation, Began, self._cancel_steps,
            connected=False,
        )  # fmt: skip
        self._resolve = mutations.method(
            "CheckoutService.ResolveCheckout", CheckoutResolution, Began, self._resolve_steps,
            connected=False,
        )  # fmt: skip

    async def execute(self, caller: Caller, request_id: str, order: CheckoutOrder) -> CheckoutView:
        """Buy what was quoted: how it stands, the same for each repeat, however late.

        Raises InvalidArgument, FailedPrecondition (QUOTE_USED and CHECKOUT_OPEN with the other
        one's id), and what `CheckoutFreezing.freeze` raises.
        """
        refuse(order_violations(request_id, order))
        try:
            record = await self._execute.run(caller, request_id, order)
        except AlreadyExists as error:
            raise await self._other(error, order) from None
        return await self._view(caller, record)

    async def confirm(self, caller: Caller, request_id: str, checkout: str) -> CheckoutView:
        """Go on with a checkout at once. Raises InvalidArgument, NotFound."""
        refuse(checkout_violations(request_id, checkout))
        await self._checkout_of(caller.account, checkout)
        await self._confirm.run(caller, request_id, CheckoutConfirmation(checkout))
        return await self._now(caller, checkout)

    async def retry(self, caller: Caller, request_id: str, retry: CheckoutRetry) -> CheckoutView:
        """Pay a checkout with another payment method.

        Raises InvalidArgument, NotFound, WrongState, FailedPrecondition (PAYMENT_METHOD_UNUSABLE),
        and Conflict (REQUEST_IN_FLIGHT) while what came of the attempt before is not known.
        """
        refuse(retry_violations(request_id, retry))
        await self._checkout_of(caller.account, retry.checkout)
        await self._retry.run(caller, request_id, retry)
        return await self._now(caller, retry.checkout)

    async def cancel(self, caller: Caller, request_id: str, checkout: str) -> CheckoutView:
        """Give up a checkout that is not captured. Raises InvalidArgument, NotFound, WrongState."""
        refuse(checkout_violations(request_id, checkout))
        await self._checkout_of(caller.account, checkout)
        await self._cancel.run(caller, request_id, CheckoutCancellation(checkout))
        return await self._now(caller, checkout)

    async def resolve(
        self, caller: Caller, request_id: str, resolution: CheckoutResolution
    ) -> CheckoutView:
        """Decide about a checkout that needs attention.

        Raises PermissionDenied (NOT_OPERATOR), InvalidArgument, NotFound, WrongState.
        """
        if caller.home != OPERATOR:
            raise PermissionDenied(Reason.NOT_OPERATOR, "only operators may do this")
        refuse(resolution_violations(request_id, resolution))
        await self._checkout_of(caller.account, resolution.checkout)
        await self._resolve.run(caller, request_id, resolution)
        return await self._now(caller, resolution.checkout)

    async def get(self, caller: Caller, checkout: str) -> CheckoutView:
        """One checkout, with the secret that it needs. NotFound for another account's.

        Raises what reading that at Stripe raises.
        """
        refuse(checkout_id_violations(checkout))
        return await self._view(caller, await self._checkout_of(caller.account, checkout))

    async def list(self, caller: Caller, query: ListCheckouts) -> Page[CheckoutView]:
        """A page of checkouts, newest first, without secrets.

        A page of those that need attention looks at as many as it may hold. Operators who name no
        account get the first of those that need attention, of all accounts, in one page.
        """
        refuse(page_size_violations(query.page_size))
        if caller.account == OPERATOR:
            return await self._attention(caller, query)
        scope = digest("checkouts", caller.account, str(query.needs_attention))
        place = self._page_tokens.read(query.page_token, scope)
        size = query.page_size or DEFAULT_PAGE_SIZE
        after = None if place is None else (from_milliseconds(int(place.value)), place.id)
        # One more than asked for tells whether there is a next page.
        records = await self._log.list(caller.account, KIND, after=after, limit=size + 1)
        last = records[size - 1] if len(records) > size else None
        position = None if last is None else Position(to_milliseconds(last.created_at), last.id)
        wanted = [
            record
            for record in records[:size]
            if record.progress.attention or not query.needs_attention
        ]
        views = [_shown(caller, record) for record in wanted]
        return Page(views, self._page_tokens.write(scope, position))

    async def _attention(self, caller: Caller, query: ListCheckouts) -> Page[CheckoutView]:
        if not query.needs_attention:
            rule = "must be given, unless needs_attention is set"
            raise InvalidArgument([FieldViolation("account", rule)])
        found = await self._log.find_attention(limit=MAX_ATTENTION)
        records = [record for record in found if record.key.kind == KIND]
        size = query.page_size or DEFAULT_PAGE_SIZE
        newest = sorted(records[:size], key=lambda record: record.created_at, reverse=True)
        return Page([_shown(caller, record) for record in newest], "")

    # --- orders ---

    async def _confirm_steps(self, steps: Steps, confirmation: CheckoutConfirmation) -> Began:
        record = await self._checkout_of(steps.account, confirmation.checkout)
        if not record.progress.course.rests:
            await self._processes.advance(record.id)
        return Began(record.id)

    async def _retry_steps(self, steps: Steps, retry: CheckoutRetry) -> Began:
        record = await self._checkout_of(steps.account, retry.checkout)
        request_id, terms = steps.request_id, terms_of(record)
        if request_id in data_of(record).request_ids:
            return Began(record.id)
        method = await self._method(terms, data_of(record), retry.payment_method)

        async def order(run: CheckoutRun) -> None:
            data = run.data
            if request_id in data.request_ids:
                return
            if run.record.progress.state != CheckoutState.AWAITING_CUSTOMER or run.failure:
                raise WrongState(KIND, run.id, run.record.progress.state)
            if not run.steps.is_settled:  # the attempt before may have paid: that comes first
                raise in_flight()
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

    async def _method(self, terms: CheckoutTerms, data: CheckoutData, asked_for: str) -> str:
        """The payment method to try. Raises FailedPrecondition (PAYMENT_METHOD_UNUSABLE)."""
        chosen = await self._methods.choose(terms.stripe_account, data.customer, asked_for)
        # The payment is to be authorised: that was fixed when it was made.
        if chosen is None or (chosen.charged_first and not terms.charged_first):
            words = "the payment method cannot be authorised first, as this checkout is paid"
            raise FailedPrecondition(
                Reason.PAYMENT_METHOD_UNUSABLE, words, subject="payment_method"
            )
        return chosen.id

    async def _cancel_steps(self, steps: Steps, cancellation: CheckoutCancellation) -> Began:
        record = await self._checkout_of(steps.account, cancellation.checkout)

        async def order(run: CheckoutRun) -> None:
            progress = run.record.progress
            if progress.course in (Course.BACKWARD, Course.TAKEN_BACK) and not progress.attention:
                return
            state = state_of(run.record)
            may = state is not None and state.may_be_canceled and progress.course is Course.FORWARD
            if not may:
                raise WrongState(KIND, run.id, progress.state)
            if run.failure is None:
                run.turn_back(canceled(run.id))

        if state_of(record) is not CheckoutState.CANCELED:
            await self._processes.act(record.id, order)
        return Began(record.id)

    async def _resolve_steps(self, steps: Steps, resolution: CheckoutResolution) -> Began:
        record = await self._checkout_of(steps.account, resolution.checkout)
        request_id, decided = steps.request_id, resolution.resolution or Resolving.RETRY

        async def order(run: CheckoutRun) -> None:
            if any(one.request_id == request_id for one in run.data.resolutions):
                return
            if not run.record.progress.attention:
                raise WrongState(KIND, run.id, run.record.progress.state)
            if decided is Resolving.CLOSE:
                await self._process.leave(run)
            made = Resolution(request_id, decided.value, resolution.reason, run.now())
            run.data = replace(run.data, resolutions=(*run.data.resolutions, made)[-MAX_ATTEMPTS:])

        await self._processes.act(record.id, order)
        standing = await self._processes.get(record.id)
        if standing.progress.attention and decided is Resolving.CLOSE:
            stands = data_of(standing).captured_at is not None
            state = CheckoutState.COMPLETED if stands else CheckoutState.CANCELED
            await self._processes.close(record.id, state, resolution.reason)
        elif standing.progress.attention:
            await self._processes.resume(record.id, resolution.reason)
        return Began(record.id)

    # --- how it stands ---

    async def _checkout_of(self, account: str, checkout: str) -> ProcessRecord:
        """A checkout of the account; of any where operators name none. NotFound."""
        record = await self._log.get(checkout)
        if record is None or record.key.kind != KIND or account not in (record.account, OPERATOR):
            raise NotFound(KIND, checkout)
        return record

    async def _other(
        self, error: AlreadyExists, order: CheckoutOrder
    ) -> FailedPrecondition | AlreadyExists:
        """The refusal where another checkout has begun by the quote, or is open."""
        other = error.metadata.get("process")
        record = None if other is None else await self._log.get(other)
        if record is None:
            return error
        used = terms_of(record).quote_id == self._quote_id(order.quote)
        reason = Reason.QUOTE_USED if used else Reason.CHECKOUT_OPEN
        words = (
            "the quote has begun a checkout already"
            if used
            else "another checkout of the same item is open; wait for it, or cancel it"
        )
        metadata = {"resource": KIND, "id": record.id}
        return FailedPrecondition(reason, words, subject=KIND, metadata=metadata)

    def _quote_id(self, quote: str) -> str:
        """The id of a quote; empty for one that is none of ours."""
        seal = self._signer.read(quote)
        return "" if seal is None else seal.id

    async def _now(self, caller: Caller, checkout: str) -> CheckoutView:
        return await self._view(caller, await self._processes.get(checkout))

    async def _view(self, caller: Caller, record: ProcessRecord) -> CheckoutView:
        view = _shown(caller, record)
        asks = view.state is CheckoutState.AWAITING_CUSTOMER and view.data.payment_intent
        if not asks or caller.home == OPERATOR:
            return view
        _, secret = await self._payments.read(view.terms.stripe_account, view.data.payment_intent)
        return replace(view, client_secret=secret)


def _shown(caller: Caller, record: ProcessRecord) -> CheckoutView:
    terms = terms_of(record)
    shows_cost = sees_cost(caller, terms.seller)
    return CheckoutView(record, terms, data_of(record), state_of(record), shows_cost)
