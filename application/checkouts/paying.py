"""What a purchase is paid with: the payment method that was asked for, or the buyer's default."""

from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from application.payment_intents.ports import PaymentIntentGateway
from application.payment_methods.ports import CustomersMethod, PaymentMethodGateway
from domain.errors import FailedPrecondition, NotFound, Reason
from domain.payment_methods import PaymentMethod, is_bank_account, is_legacy

_UNUSABLE: Final = "the payment method is not one that the buyer can pay with there"


@dataclass(frozen=True, slots=True)
class ChosenMethod:
    """A payment method to charge. `charged_first`: it cannot be authorised and captured later."""

    id: str
    charged_first: bool = False


class MethodReads(Protocol):
    """Payment methods as they are read for a purchase.

    The boundary is here because who only looks at prices is spared requests to Stripe.
    """

    async def default_of(self, stripe_account: str, customer: str) -> str:
        """The id of a customer's default payment method; empty: none, or no such customer.

        Raises what reading at Stripe raises.
        """
        ...

    async def read(
        self, stripe_account: str, customer: str, payment_method: str
    ) -> PaymentMethod | None:
        """A payment method that is the customer's or nobody's yet; None: there is no such one.

        `customer` is empty for a buyer who is none there. Raises what reading at Stripe raises.
        """
        ...


class AskedMethods(MethodReads):
    """Payment methods as Stripe shows them now."""

    def __init__(self, payments: PaymentIntentGateway, methods: PaymentMethodGateway) -> None:
        self._payments = payments
        self._methods = methods

    @override
    async def default_of(self, stripe_account: str, customer: str) -> str:
        try:
            return await self._methods.default_of(stripe_account, customer)
        except NotFound:
            return ""

    @override
    async def read(
        self, stripe_account: str, customer: str, payment_method: str
    ) -> PaymentMethod | None:
        try:
            if not is_legacy(payment_method):
                found = await self._payments.method(stripe_account, payment_method)
                return found if found.customer in (None, customer) else None
            if not customer:
                return None
            return await self._methods.read(
                stripe_account, CustomersMethod(customer, payment_method)
            )
        except NotFound:
            return None


class MethodChoice:
    """Chooses what a purchase is paid with."""

    def __init__(self, reads: MethodReads) -> None:
        self._reads = reads

    async def choose(
        self, stripe_account: str, customer: str, asked_for: str
    ) -> ChosenMethod | None:
        """What was asked for, or the customer's default; None where there is nothing to charge.

        `customer` is empty for a buyer who is none there. Raises FailedPrecondition
        (PAYMENT_METHOD_UNUSABLE) for a bank account of before payment methods, and for one that is
        neither the customer's nor nobody's; whether there is such a one nobody learns.
        """
        default = ""
        if customer and not asked_for:
            default = await self._reads.default_of(stripe_account, customer)
        wanted = asked_for or default
        if not wanted:
            return None
        method = None
        if not is_bank_account(wanted):
            method = await self._reads.read(stripe_account, customer, wanted)
        if method is None:
            raise FailedPrecondition(
                Reason.PAYMENT_METHOD_UNUSABLE, _UNUSABLE, subject="payment_method"
            )
        return ChosenMethod(method.id, charged_first=not method.holds)
