"""What the customers of an account's Stripe connection pay with."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from application.connections.use_cases import Connections
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps
from application.payment_methods.ports import (
    CustomersMethod,
    MethodPlace,
    NewSetupIntent,
    PaymentMethodGateway,
)
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import CUSTOMER_ID, METHOD_ID, id_violations, refuse
from domain.errors import FieldViolation
from domain.payment_methods import PaymentMethod, SetupIntent, is_legacy

MAX_TYPES: Final = 20

_METHODS: Final = "payment_methods"
_SOURCES: Final = "sources"
_TYPE: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_USAGES: Final = ("off_session", "on_session")


@dataclass(frozen=True, slots=True)
class ListPaymentMethods:
    """A page of a customer's payment methods and sources."""

    customer: str
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class OwnedMethod:
    """A customer's payment method, and whether invoices are charged to it first."""

    method: PaymentMethod
    is_default: bool


@dataclass(frozen=True, slots=True)
class PreparedSetup:
    """A setup intent and the secret that lets the payer complete it."""

    intent: SetupIntent
    client_secret: str = field(repr=False)


class PaymentMethods:
    """Lists, attaches, detaches payment methods, sets the default one, begins to save new ones."""

    def __init__(
        self,
        reader: MirrorReader,
        connections: Connections,
        mutations: Mutations,
        gateway: PaymentMethodGateway,
        page_tokens: PageTokens,
    ) -> None:
        self._reader = reader
        self._connections = connections
        self._gateway = gateway
        self._page_tokens = page_tokens
        self._attach = mutations.method(
            "PaymentMethodService.AttachPaymentMethod",
            CustomersMethod, PaymentMethod, self._attach_steps,
        )  # fmt: skip
        self._detach = mutations.method(
            "PaymentMethodService.DetachPaymentMethod",
            CustomersMethod, CustomersMethod, self._detach_steps,
        )  # fmt: skip
        self._set_default = mutations.method(
            "PaymentMethodService.SetDefaultPaymentMethod",
            CustomersMethod, PaymentMethod, self._set_default_steps,
        )  # fmt: skip
        self._create_setup = mutations.method(
            "PaymentMethodService.CreateSetupIntent",
            NewSetupIntent, SetupIntent, self._create_setup_steps,
        )  # fmt: skip

    async def list(self, caller: Caller, query: ListPaymentMethods) -> Page[OwnedMethod]:
        """A page of payment methods, then sources, from Stripe. NotFound for an unknown customer.

        InvalidArgument (INVALID_PAGE_TOKEN) for a token of another list, or whose last entry is
        gone.
        """
        refuse(chain(_customer_violations(query.customer), page_size_violations(query.page_size)))
        stripe_account = await self._stripe_account(caller)
        scope = digest(_METHODS, stripe_account, query.customer)
        place = _place(self._page_tokens.read(query.page_token, scope))
        default = await self._gateway.default_of(stripe_account, query.customer)
        page = await self._gateway.page(
            stripe_account, query.customer, place, query.page_size or DEFAULT_PAGE_SIZE
        )
        owned = [OwnedMethod(method, method.id == default) for method in page.items]
        return Page(owned, self._page_tokens.write(scope, _position(page.next)))

    async def attach(self, caller: Caller, request_id: str, wanted: CustomersMethod) -> OwnedMethod:
        """Attach a payment method to a customer. Whether it is the default, the mirror tells."""
        violations = chain(_method_violations(wanted), _attachable_violations(wanted.id))
        refuse(chain(request_id_violations(request_id), violations))
        method = await self._attach.run(caller, request_id, wanted)
        customer = await self._reader.find(
            CUSTOMERS, await self._stripe_account(caller), wanted.customer
        )
        default = customer and (customer.default_payment_method or customer.default_source)
        return OwnedMethod(method, method.id == default)

    async def detach(self, caller: Caller, request_id: str, wanted: CustomersMethod) -> None:
        """Detach a payment method, delete a source. NotFound where the customer has it not."""
        refuse(chain(request_id_violations(request_id), _method_violations(wanted)))
        await self._detach.run(caller, request_id, wanted)

    async def set_default(
        self, caller: Caller, request_id: str, wanted: CustomersMethod
    ) -> OwnedMethod:
        """Charge a customer's invoices to it. NotFound where the customer has it not."""
        refuse(chain(request_id_violations(request_id), _method_violations(wanted)))
        return OwnedMethod(await self._set_default.run(caller, request_id, wanted), True)

    async def create_setup(
        self, caller: Caller, request_id: str, wanted: NewSetupIntent
    ) -> PreparedSetup:
        """Begin to save a payment method of a customer.

        The record of the change is kept long, the secret must not be: it is read anew each time.
        """
        refuse(chain(request_id_violations(request_id), _setup_violations(wanted)))
        intent = await self._create_setup.run(caller, request_id, wanted)
        stripe_account = await self._stripe_account(caller)
        return PreparedSetup(*await self._gateway.read_setup(stripe_account, intent.id))

    async def _attach_steps(self, steps: Steps, wanted: CustomersMethod) -> PaymentMethod:
        gateway = self._gateway
        return await steps.call_unmirrored(
            "attach", PaymentMethod, wanted, gateway.attach, gateway.find_attached
        )

    async def _detach_steps(self, steps: Steps, wanted: CustomersMethod) -> CustomersMethod:
        gateway = self._gateway
        if not steps.was_sent("detach"):
            await self._look(steps, wanted)
        detached = await steps.call_unmirrored(
            "detach", CustomersMethod, wanted, gateway.detach, gateway.find_detached
        )
        # What becomes of a default that was detached, Stripe promises nowhere.
        await steps.read_back(CUSTOMERS, wanted.customer)
        return detached

    async def _set_default_steps(self, steps: Steps, wanted: CustomersMethod) -> PaymentMethod:
        gateway = self._gateway
        method = await self._look(steps, wanted)
        await steps.call(
            "set_default", CUSTOMERS, wanted, gateway.set_default, gateway.find_default
        )
        return method

    async def _create_setup_steps(self, steps: Steps, wanted: NewSetupIntent) -> SetupIntent:
        gateway = self._gateway
        return await steps.call_unmirrored(
            "create", SetupIntent, wanted, gateway.create_setup, gateway.find_setup
        )

    async def _look(self, steps: Steps, wanted: CustomersMethod) -> PaymentMethod:
        """The method as the customer had it at first. NotFound where the customer had it not.

        By a later run it may be detached again, and was looked at all the same.
        """
        return await steps.known(
            "look", PaymentMethod, lambda call: self._gateway.read(call.stripe_account, wanted)
        )

    async def _stripe_account(self, caller: Caller) -> str:
        return (await self._connections.of(caller)).stripe_account


def _place(position: Position | None) -> MethodPlace:
    return (
        MethodPlace() if position is None else MethodPlace(position.value == _SOURCES, position.id)
    )


def _position(place: MethodPlace | None) -> Position | None:
    if place is None:
        return None
    return Position(_SOURCES if place.sources else _METHODS, place.after)


def _customer_violations(customer: str) -> Iterator[FieldViolation]:
    return id_violations(customer, "customer", CUSTOMER_ID)


def _method_violations(wanted: CustomersMethod) -> Iterator[FieldViolation]:
    yield from _customer_violations(wanted.customer)
    yield from id_violations(wanted.id, "id", METHOD_ID)


def _attachable_violations(method: str) -> Iterator[FieldViolation]:
    if is_legacy(method):
        yield FieldViolation(
            "id", "must not be a legacy source: a legacy source always has a customer"
        )


def _setup_violations(wanted: NewSetupIntent) -> Iterator[FieldViolation]:
    yield from _customer_violations(wanted.customer)
    yield from _type_violations(wanted.payment_method_types)
    if wanted.usage and wanted.usage not in _USAGES:
        yield FieldViolation("usage", f"one of: {', '.join(_USAGES)}")


def _type_violations(types: Sequence[str]) -> Iterator[FieldViolation]:
    if len(types) > MAX_TYPES:
        yield FieldViolation("payment_method_types", f"at most {MAX_TYPES}")
    elif not all(map(_TYPE.fullmatch, types)):
        yield FieldViolation("payment_method_types", "types in Stripe's words, such as card")
