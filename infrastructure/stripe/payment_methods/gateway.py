"""Payment methods, legacy sources and setup intents: listed and changed at Stripe."""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, TypeVar

from stripe.params import CustomerUpdateParams, SetupIntentCreateParams
from typing_extensions import override

from application.mutations.stripe import REQUEST_TAG, Call
from application.payment_methods.ports import (
    CustomersMethod,
    MethodPage,
    MethodPlace,
    NewSetupIntent,
    PaymentMethodGateway,
)
from domain.customers import Customer
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
    WrongState,
)
from domain.mirror import Snapshot
from domain.payment_methods import PaymentMethod, SetupIntent, is_legacy
from infrastructure.stripe.core.client import Request, StripeApi, object_path, segment
from infrastructure.stripe.core.elements import read_elements, understood
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.send import (
    after_sending,
    created_since,
    look_for,
    read,
    send,
    tagged,
)
from infrastructure.stripe.customers.translation import CUSTOMER
from infrastructure.stripe.payment_methods.translation import SETUP, method_of, setup_of

R = TypeVar("R")

_METHODS: Final = "/v1/payment_methods"
_SETUPS: Final = "/v1/setup_intents"
_NOUN: Final = "payment_method"
_ATTACHED: Final = "attached"


class StripePaymentMethods(PaymentMethodGateway):
    """Payment methods at Stripe (API reference, "PaymentMethods", "Cards", "SetupIntents")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def page(
        self, stripe_account: str, customer: str, place: MethodPlace, limit: int
    ) -> MethodPage:
        modern: list[PaymentMethod] = []
        if not place.sources:
            methods, after = await self._list(
                stripe_account, customer, "payment_methods", place.after, limit
            )
            # Stripe shows legacy cards in both lists, under one id: here they count as sources.
            modern = [method for method in methods if not method.legacy]
            if after:
                return MethodPage(modern, MethodPlace(after=after))
            place = MethodPlace(sources=True)
        room = limit - len(modern)
        if not room:
            return MethodPage(modern, place)
        sources, after = await self._list(stripe_account, customer, "sources", place.after, room)
        following = MethodPlace(sources=True, after=after) if after else None
        return MethodPage([*modern, *sources], following)

    @override
    async def default_of(self, stripe_account: str, customer: str) -> str:
        present = (await read(self._api, CUSTOMER, stripe_account, customer)).object
        if present is None:
            raise NotFound("customer", customer)
        return present.default_payment_method or present.default_source or ""

    @override
    async def read(self, stripe_account: str, method: CustomersMethod) -> PaymentMethod:
        legacy = is_legacy(method.id)
        path = _source_path(method) if legacy else f"{_METHODS}/{segment(_NOUN, method.id)}"
        request = Request("get", path, _subject(method), stripe_account)
        try:
            present = await self._ask(request, method_of)
        except InvalidArgument:  # of a source's two ids the customer's
            raise NotFound(_NOUN, method.id) from None
        if not legacy and present.customer != method.customer:
            raise NotFound(_NOUN, method.id)
        return present

    @override
    async def attach(self, call: Call, params: CustomersMethod) -> PaymentMethod:
        path = f"{_METHODS}/{segment(_NOUN, params.id)}/attach"
        request = Request.change(call, path, _subject(params), {"customer": params.customer})
        try:
            return await self._ask(request, method_of)
        except (FailedPrecondition, InvalidArgument) as error:
            return await self._explained(call, params, error)

    @override
    async def find_attached(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> PaymentMethod | None:
        try:
            return await self.read(call.stripe_account, params)
        except NotFound:
            return None

    @override
    async def detach(self, call: Call, params: CustomersMethod) -> CustomersMethod:
        if is_legacy(params.id):
            await self._delete(call, params)
            return params
        path = f"{_METHODS}/{segment(_NOUN, params.id)}/detach"
        try:
            await self._api.request(Request.change(call, path, _subject(params)))
        except FailedPrecondition as error:
            if error.reason is not Reason.STRIPE_REFUSED:
                raise
            with after_sending():
                still = await self._has(call, params)
            if still:
                raise
        return params

    @override
    async def find_detached(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> CustomersMethod | None:
        return None if await self._has(call, params) else params

    @override
    async def set_default(self, call: Call, params: CustomersMethod) -> Snapshot[Customer]:
        wanted: CustomerUpdateParams = {"invoice_settings": {"default_payment_method": params.id}}
        if is_legacy(params.id):
            # A default payment method would go before it.
            wanted = {
                "default_source": params.id,
                "invoice_settings": {"default_payment_method": ""},
            }
        subject = Subject("customer", params.customer)
        path = object_path(CUSTOMER, params.customer)
        try:
            return await send(self._api, Request.change(call, path, subject, wanted), CUSTOMER)
        except InvalidArgument:  # it names nothing but the payment method
            raise NotFound(_NOUN, params.id) from None

    @override
    async def find_default(
        self, call: Call, params: CustomersMethod, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        def shows(customer: Customer) -> bool:
            return params.id == (customer.default_payment_method or customer.default_source)

        return await look_for(self._api, CUSTOMER, call, params.customer, shows)

    @override
    async def create_setup(self, call: Call, params: NewSetupIntent) -> SetupIntent:
        wanted: SetupIntentCreateParams = {
            "customer": params.customer,
            "metadata": {REQUEST_TAG: call.tag},
        }
        if params.payment_method_types:
            wanted["allowed_payment_method_types"] = list(params.payment_method_types)
        else:
            wanted["automatic_payment_methods"] = {"enabled": True}
        if params.usage:
            wanted["usage"] = params.usage
        request = Request.change(call, _SETUPS, Subject("setup_intent"), wanted)
        try:
            return setup_of(await self._ask(request, SETUP.decode))
        except InvalidArgument as error:
            if _names_customer(error):
                raise NotFound("customer", params.customer) from None
            raise error.renamed(lambda field: field.removeprefix("allowed_")) from None

    @override
    async def find_setup(
        self, call: Call, params: NewSetupIntent, sent_at: dt.datetime
    ) -> SetupIntent | None:
        request = Request(
            "get",
            _SETUPS,
            Subject("setup_intent"),
            call.stripe_account,
            params={"customer": params.customer, "created": created_since(sent_at)},
        )
        decode = partial(read_elements, read=SETUP.decode)
        try:
            async for elements, _ in self._api.pages(request, decode):
                shape = tagged(elements, call.tag)
                if shape is not None:
                    return setup_of(shape)
        except InvalidArgument:  # the customer is gone, and his setup intents are of no use
            return None
        return None

    @override
    async def read_setup(self, stripe_account: str, setup_intent: str) -> tuple[SetupIntent, str]:
        subject = Subject("setup_intent", setup_intent)
        request = Request(
            "get", f"{_SETUPS}/{segment(subject.noun, setup_intent)}", subject, stripe_account
        )
        shape = await self._ask(request, SETUP.decode)
        return setup_of(shape), shape.client_secret or ""

    async def _ask(self, request: Request, decode: Callable[[str], R]) -> R:
        return self._api.understand(await self._api.request(request), request, decode)

    async def _list(
        self,
        stripe_account: str,
        customer: str,
        which: Literal["payment_methods", "sources"],
        after: str,
        limit: int,
    ) -> tuple[Sequence[PaymentMethod], str]:
        """Those that are understood, and the id of the last one where there are more."""
        path = f"{object_path(CUSTOMER, customer)}/{which}"
        params: dict[str, object] = {"limit": limit}
        if after:
            params["starting_after"] = after
        subject = Subject("customer", customer)
        request = Request("get", path, subject, stripe_account, params=params)
        try:
            elements, following = await self._ask(request, partial(read_elements, read=method_of))
        except InvalidArgument as error:
            if _names_customer(error):
                raise NotFound("customer", customer) from None
            rule = "its last entry does not exist any more; start again with the first page"
            raise InvalidArgument(
                [FieldViolation("page_token", rule)], reason=Reason.INVALID_PAGE_TOKEN
            ) from None
        return understood(elements, request), following.after if following else ""

    async def _delete(self, call: Call, source: CustomersMethod) -> None:
        request = Request.deletion(call, _source_path(source), _subject(source))
        try:
            await self._api.request(request)
        except (NotFound, InvalidArgument):
            with after_sending():
                still = await self._has(call, source)
            if still:
                raise

    async def _has(self, call: Call, method: CustomersMethod) -> bool:
        """Whether the customer has it now."""
        try:
            await self.read(call.stripe_account, method)
        except NotFound:
            return False
        return True

    async def _explained(
        self, call: Call, wanted: CustomersMethod, error: BillingError
    ) -> PaymentMethod:
        """What a refused attachment comes to: whose the payment method is, tells."""
        if isinstance(error, InvalidArgument) and _names_customer(error):
            raise NotFound("customer", wanted.customer) from None
        if error.reason not in (Reason.INVALID_FIELDS, Reason.STRIPE_REFUSED):
            raise error from None
        path = f"{_METHODS}/{segment(_NOUN, wanted.id)}"
        request = Request("get", path, _subject(wanted), call.stripe_account)
        try:
            present = await self._ask(request, method_of)
        except (RateLimited, Unavailable, NotUnderstood):
            raise error from None
        if present.customer == wanted.customer:
            return present
        if present.customer is not None:
            raise WrongState(_NOUN, wanted.id, _ATTACHED) from None
        raise error from None


def _subject(method: CustomersMethod) -> Subject:
    return Subject(_NOUN, method.id)


def _source_path(method: CustomersMethod) -> str:
    return f"{object_path(CUSTOMER, method.customer)}/sources/{segment(_NOUN, method.id)}"


def _names_customer(error: InvalidArgument) -> bool:
    """Whether Stripe refuses the customer: it knows none of that id."""
    return any(violation.field == "customer" for violation in error.violations)
