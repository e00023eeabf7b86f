"""Payment intents at Stripe: made, confirmed, canceled, and what was given back of them."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar, final

import msgspec
from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
)
from typing_extensions import override

from application.mutations.stripe import REQUEST_TAG, Call
from application.payment_intents.ports import (
    Confirmation,
    GivenBack,
    NewPayment,
    Payment,
    PaymentIntentGateway,
)
from domain.errors import (
    FailedPrecondition,
    NotUnderstood,
    PaymentDeclined,
    Reason,
    Unavailable,
)
from domain.mirror import MirroredObject, Version
from domain.money import Money
from domain.payment_methods import PaymentMethod
from infrastructure.stripe.charges.refund_translation import REFUND
from infrastructure.stripe.core.client import Request, StripeApi, segment
from infrastructure.stripe.core.elements import Element, read_elements
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.send import after_sending, created_since, tagged
from infrastructure.stripe.core.shapes import (
    Amount,
    Expandable,
    Identifier,
    Metadata,
    Seconds,
    ShapeT,
    Translation,
    instant,
    reference,
)
from infrastructure.stripe.disputes import DISPUTE
from infrastructure.stripe.invoice_payments import INVOICE_PAYMENT
from infrastructure.stripe.payment_methods.translation import method_of

T = TypeVar("T", bound=MirroredObject)
R = TypeVar("R")

_INTENTS: Final = "/v1/payment_intents"
_METHODS: Final = "/v1/payment_methods"
_NOUN: Final = "payment_intent"
_EXPANDED: Final = "latest_charge.balance_transaction"
"""What tells until when a payment can be captured, and when it was."""

_MOVED_ON: Final = "payment_intent_unexpected_state"
"""Stripe's code where another state has come meanwhile ("Error codes")."""

_NO_CLIENT_ID: Final = (
    "to look for a payment on a connected account BILLING_CONNECT_CLIENT_ID is needed"
)


@final
class _Failure(msgspec.Struct, frozen=True, gc=False):
    """Why the last attempt failed."""

    code: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None


@final
class _Card(msgspec.Struct, frozen=True, gc=False):
    """How a card was charged."""

    capture_before: Seconds | None = None


@final
class _Details(msgspec.Struct, frozen=True, gc=False):
    """How a charge was paid; others than cards cannot be captured later."""

    card: _Card | None = None


@final
class _Settled(msgspec.Struct, frozen=True, gc=False):
    """The balance transaction of a charge: it is made when the money is taken."""

    created: Seconds


@final
class _Charge(msgspec.Struct, frozen=True, gc=False):
    """The latest charge, where it is shown whole."""

    id: Identifier
    payment_method_details: _Details | None = None
    balance_transaction: str | _Settled | None = None


@final
class _Shape(msgspec.Struct, frozen=True, gc=False):
    """A payment intent, as in the API reference, "The PaymentIntent object"."""

    id: Identifier
    status: str
    amount: Amount
    amount_received: Amount
    currency: str
    livemode: bool
    customer: Expandable = None
    payment_method: Expandable = None
    latest_charge: str | _Charge | None = None
    application: Expandable = None
    last_payment_error: _Failure | None = None
    client_secret: str | None = None
    metadata: Metadata = None


_DECODER: Final = msgspec.json.Decoder(_Shape)


class StripePaymentIntents(PaymentIntentGateway):
    """Payment intents at Stripe (API reference, "PaymentIntents")."""

    def __init__(self, api: StripeApi, client_id: str) -> None:
        """Send through `api`. `client_id` is the platform's as a Connect application, or empty."""
        self._api = api
        self._client_id = client_id

    @override
    async def create(self, call: Call, params: NewPayment) -> Payment:
        wanted: PaymentIntentCreateParams = {
            "amount": params.amount.amount,
            "currency": params.amount.currency,
            "customer": params.customer,
            "payment_method": params.payment_method,
            # Nobody is sent away and has to come back: who must confirm does so where he is.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {**params.metadata, REQUEST_TAG: call.tag},
        }
        if params.manual:
            wanted["capture_method"] = "manual"
        if params.attempted:
            wanted["confirm"] = True
            wanted["expand"] = [_EXPANDED]
        if params.keeps_method:
            wanted["setup_future_usage"] = "off_session"
        if params.description:
            wanted["description"] = params.description
        request = Request.change(call, _INTENTS, Subject(_NOUN), wanted)
        try:
            return _payment(await self._ask(request, _DECODER.decode))
        except PaymentDeclined as error:
            declined = error.payment
            if not declined:
                raise
        with after_sending():
            payment, _ = await self.read(call.stripe_account, declined)
        return payment

    @override
    async def find_created(
        self, call: Call, params: NewPayment, sent_at: dt.datetime
    ) -> Payment | None:
        platform = self._api.is_platform(call.stripe_account)
        if not platform and not self._client_id:
            raise Unavailable(Reason.STRIPE_UNAVAILABLE, _NO_CLIENT_ID)
        request = Request(
            "get",
            _INTENTS,
            Subject(_NOUN),
            call.stripe_account,
            params={"customer": params.customer, "created": created_since(sent_at)},
        )
        decode = partial(read_elements, read=_DECODER.decode)
        async for elements, _ in self._api.pages(request, decode):
            ours = [one for one in elements if platform or self._may_be_ours(one)]
            shape = tagged(ours, call.tag)
            if shape is not None:
                return _payment(shape)
        return None

    @override
    async def confirm(self, call: Call, params: Confirmation) -> Payment:
        wanted: PaymentIntentConfirmParams = {"payment_method": params.payment_method}
        if params.off_session:
            wanted["off_session"] = True
        if params.keeps_method:
            wanted["setup_future_usage"] = "off_session"
        return await self._change(call, params.payment_intent, "confirm", wanted)

    @override
    async def find_confirmed(
        self, call: Call, params: Confirmation, sent_at: dt.datetime
    ) -> Payment | None:
        payment, _ = await self.read(call.stripe_account, params.payment_intent)
        waits = payment.status in ("requires_confirmation", "requires_payment_method")
        return None if waits else payment

    @override
    async def capture(self, call: Call, params: str) -> Payment:
        return await self._change(call, params, "capture", PaymentIntentCaptureParams())

    @override
    async def find_captured(self, call: Call, params: str, sent_at: dt.datetime) -> Payment | None:
        payment, _ = await self.read(call.stripe_account, params)
        return None if payment.status == "requires_capture" else payment

    @override
    async def cancel(self, call: Call, params: str) -> Payment:
        wanted: PaymentIntentCancelParams = {"cancellation_reason": "abandoned"}
        return await self._change(call, params, "cancel", wanted)

    @override
    async def find_canceled(self, call: Call, params: str, sent_at: dt.datetime) -> Payment | None:
        payment, _ = await self.read(call.stripe_account, params)
        return payment if payment.status == "canceled" else None

    @override
    async def read(self, stripe_account: str, payment_intent: str) -> tuple[Payment, str]:
        request = Request(
            "get",
            _path(payment_intent),
            _subject(payment_intent),
            stripe_account,
            params={"expand": [_EXPANDED]},
        )
        shape = await self._ask(request, _DECODER.decode)
        return _payment(shape), shape.client_secret or ""

    @override
    async def given_back(self, stripe_account: str, payment_intent: str) -> GivenBack:
        return GivenBack(
            await self._all_of(REFUND, stripe_account, payment_intent),
            await self._all_of(DISPUTE, stripe_account, payment_intent),
        )

    @override
    async def paying(self, stripe_account: str, invoice: str) -> Sequence[str]:
        noun = INVOICE_PAYMENT.noun.name
        params = {"invoice": invoice, "status": "paid"}
        request = Request("get", INVOICE_PAYMENT.path, Subject(noun), stripe_account, params=params)
        found = await self._elements(INVOICE_PAYMENT, request)
        return [one.payment_intent for one in found if one.payment_intent]

    @override
    async def method(self, stripe_account: str, payment_method: str) -> PaymentMethod:
        subject = Subject("payment_method", payment_method)
        path = f"{_METHODS}/{segment(subject.noun, payment_method)}"
        return await self._ask(Request("get", path, subject, stripe_account), method_of)

    async def _change(
        self,
        call: Call,
        payment_intent: str,
        verb: str,
        params: PaymentIntentConfirmParams | PaymentIntentCaptureParams | PaymentIntentCancelParams,
    ) -> Payment:
        """Send a change of a payment; how it stands then, whatever the bank or its state says."""
        path = f"{_path(payment_intent)}/{verb}"
        wanted = {**params, "expand": [_EXPANDED]}
        request = Request.change(call, path, _subject(payment_intent), wanted)
        try:
            return _payment(await self._ask(request, _DECODER.decode))
        except PaymentDeclined:
            pass
        except FailedPrecondition as error:
            if error.metadata.get("stripe_code") != _MOVED_ON:
                raise
        with after_sending():
            payment, _ = await self.read(call.stripe_account, payment_intent)
        return payment

    async def _all_of(
        self, translation: Translation[T, ShapeT], stripe_account: str, payment_intent: str
    ) -> Sequence[T]:
        """All objects of a noun that are about a payment. NotUnderstood where one is odd."""
        noun = translation.noun.name
        params = {**translation.list_all, "payment_intent": payment_intent}
        request = Request("get", translation.path, Subject(noun), stripe_account, params=params)
        return await self._elements(translation, request)

    async def _elements(self, translation: Translation[T, ShapeT], request: Request) -> Sequence[T]:
        """All objects of a list. NotUnderstood where one is odd."""
        noun, stripe_account = translation.noun.name, request.stripe_account
        version = Version.of_event(0)  # of no account: nothing of it is mirrored

        def read(element: bytes) -> T:
            shape = translation.decode_listed(element)
            snapshot = translation.snapshot(shape, stripe_account, version)
            if snapshot.object is None:
                raise ValueError("it is gone, and listed")
            return snapshot.object

        found: list[T] = []
        async for elements, _ in self._api.pages(request, partial(read_elements, read=read)):
            for element in elements:
                if element.value is None:
                    raise NotUnderstood(noun, element.head.shown, element.why)
                found.append(element.value)
        return found

    def _may_be_ours(self, element: Element[_Shape]) -> bool:
        """Whether our application made it; of what is not understood nobody knows."""
        return element.value is None or _reference(element.value.application) == self._client_id

    async def _ask(self, request: Request, decode: Callable[[str], R]) -> R:
        return self._api.understand(await self._api.request(request), request, decode)


def _payment(shape: _Shape) -> Payment:
    failure = shape.last_payment_error or _Failure()
    charge = shape.latest_charge or ""
    shown = _Charge(charge) if isinstance(charge, str) else charge
    card = shown.payment_method_details and shown.payment_method_details.card
    settled = shown.balance_transaction
    return Payment(
        id=shape.id,
        status=shape.status,
        amount=Money(shape.amount, shape.currency),
        received=Money(shape.amount_received, shape.currency),
        livemode=shape.livemode,
        customer=_reference(shape.customer),
        payment_method=_reference(shape.payment_method),
        charge=shown.id,
        application=_reference(shape.application),
        decline_code=failure.decline_code or failure.code or "",
        advice=failure.advice_code or "",
        capture_before=instant(card.capture_before) if card and card.capture_before else None,
        captured_at=instant(settled.created) if isinstance(settled, _Settled) else None,
    )


def _reference(value: Expandable) -> str:
    found = reference(value)
    return found if isinstance(found, str) else ""


def _subject(payment_intent: str) -> Subject:
    return Subject(_NOUN, payment_intent)


def _path(payment_intent: str) -> str:
    return f"{_INTENTS}/{segment(_NOUN, payment_intent)}"
