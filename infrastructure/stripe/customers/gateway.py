"""Customers: how they are read from Stripe and changed there."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from stripe.params import CustomerUpdateParams
from typing_extensions import override

from application.customers.fields import FIELDS
from application.customers.ports import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.mutations.stripe import Call
from domain.customers import Address, Customer
from domain.errors import NotFound
from domain.mirror import Snapshot
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.parameters import Parameters, as_they_are
from infrastructure.stripe.core.send import after_sending, find_tagged, look, look_for, send
from infrastructure.stripe.customers.translation import CUSTOMER


def _address(address: Address) -> object:
    """The whole address: what it does not hold is cleared, or else an old line would stay."""
    parts = {name: part or "" for name, part in asdict(address).items()}
    return parts if address != Address() else ""


PARAMETERS: Final = Parameters(
    FIELDS,
    CustomerUpdateParams,
    {
        **as_they_are("email", "name", "phone", "description", "metadata"),
        "address": {"address": _address},
    },
)


class StripeCustomers(CustomerGateway):
    """Customers at Stripe (API reference, "Customers")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: CustomerFields) -> Snapshot[Customer]:
        wanted = PARAMETERS.create(params, call.tag)
        return await self._send(call, CUSTOMER.path, Subject("customer"), wanted)

    @override
    async def find_created(
        self, call: Call, params: CustomerFields, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        return await find_tagged(self._api, CUSTOMER, call, sent_at)

    @override
    async def update(self, call: Call, params: CustomerChange) -> Snapshot[Customer]:
        path, subject = object_path(CUSTOMER, params.id), Subject("customer", params.id)
        return await self._send(call, path, subject, PARAMETERS.change(params.fields))

    @override
    async def find_updated(
        self, call: Call, params: CustomerChange, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        def shows(customer: Customer) -> bool:
            return FIELDS.shown_by(customer, params.fields)

        return await look_for(self._api, CUSTOMER, call, params.id, shows)

    @override
    async def delete(self, call: Call, params: CustomerDeletion) -> Snapshot[Customer]:
        path, subject = object_path(CUSTOMER, params.id), Subject("customer", params.id)
        try:
            return await send(self._api, Request.deletion(call, path, subject), CUSTOMER)
        except NotFound:
            with after_sending():
                tombstone = await self._tombstone(call, params.id)
            if tombstone is None:
                raise
            return tombstone

    @override
    async def find_deleted(
        self, call: Call, params: CustomerDeletion, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        return await self._tombstone(call, params.id)

    async def _send(
        self, call: Call, path: str, subject: Subject, params: Mapping[str, object]
    ) -> Snapshot[Customer]:
        return await send(self._api, Request.change(call, path, subject, params), CUSTOMER)

    async def _tombstone(self, call: Call, customer: str) -> Snapshot[Customer] | None:
        """A tombstone where Stripe shows the customer as deleted; None: there never was one."""
        present = await look(self._api, CUSTOMER, call.stripe_account, customer)
        return present if present is not None and present.deleted else None
