"""Customers looked up at Stripe by address (API reference, "List all customers")."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from typing_extensions import override

from application.customers.lookup import CustomerLookup
from domain.customers import Customer
from infrastructure.stripe.core.client import Request, StripeApi
from infrastructure.stripe.core.elements import read_elements, understood
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.customers.translation import CUSTOMER

_MOST: Final = 100


class StripeCustomerLookup(CustomerLookup):
    """`application.customers.lookup.CustomerLookup` on Stripe's lists."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def by_email(self, stripe_account: str, email: str) -> Sequence[Customer]:
        request = Request(
            "get",
            CUSTOMER.path,
            Subject("customer"),
            stripe_account,
            params={"email": email, "limit": _MOST},
        )
        answer = await self._api.request(request)
        elements, _ = self._api.understand(answer, request, partial(read_elements, read=_read))
        return understood(elements, request)


def _read(element: bytes) -> Customer:
    return CUSTOMER.to_domain(CUSTOMER.decode_listed(element))[0]
