"""Customers: how they are read from Stripe and changed there."""

import datetime as dt
from collections.abc import Mapping
from typing import Final

from stripe.params import CustomerCreateParams, CustomerCreateParamsAddress, CustomerUpdateParams
from typing_extensions import override

from application.customers.ports import (
    CustomerChange,
    CustomerDeletion,
    CustomerFields,
    CustomerGateway,
)
from application.mutations.stripe import REQUEST_TAG, Call
from domain.customers import Address, Customer
from domain.errors import NotFound
from domain.mirror import Snapshot
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.send import after_sending, find_tagged, look, look_for, send
from infrastructure.stripe.customers.translation import CUSTOMER


class StripeCustomers(CustomerGateway):
    """Customers at Stripe (API reference, "Customers")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: CustomerFields) -> Snapshot[Customer]:
        wanted: CustomerCreateParams = {
            "metadata": {**(params.metadata or {}), REQUEST_TAG: call.tag}
        }
        _write_texts(wanted, params)
        if params.address is not None:
            wanted["address"] = _address(params.address)
        return await self._send(call, CUSTOMER.path, Subject("customer"), _given(wanted))

    @override
    async def find_created(
        self, call: Call, params: CustomerFields, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        return await find_tagged(self._api, CUSTOMER, call, sent_at)

    @override
    async def update(self, call: Call, params: CustomerChange) -> Snapshot[Customer]:
        fields = params.fields
        wanted: CustomerUpdateParams = {}
        _write_texts(wanted, fields)
        if fields.address is not None:
            wanted["address"] = _address(fields.address) if fields.address != Address() else ""
        if fields.metadata is not None:
            wanted["metadata"] = fields.metadata
        path = object_path(CUSTOMER, params.id)
        return await self._send(call, path, Subject("customer", params.id), wanted)

    @override
    async def find_updated(
        self, call: Call, params: CustomerChange, sent_at: dt.datetime
    ) -> Snapshot[Customer] | None:
        def shows(customer: Customer) -> bool:
            return _shows(customer, params.fields)

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


_TEXTS: Final = ("email", "name", "phone", "description")


def _write_texts(
    wanted: CustomerCreateParams | CustomerUpdateParams, fields: CustomerFields
) -> None:
    """The plain fields that are written; an empty one clears what is there."""
    if fields.email is not None:
        wanted["email"] = fields.email
    if fields.name is not None:
        wanted["name"] = fields.name
    if fields.phone is not None:
        wanted["phone"] = fields.phone
    if fields.description is not None:
        wanted["description"] = fields.description


def _address(address: Address) -> CustomerCreateParamsAddress:
    """The whole address: what it does not hold is cleared, or else an old line would stay."""
    return {
        "line1": address.line1 or "",
        "line2": address.line2 or "",
        "city": address.city or "",
        "state": address.state or "",
        "postal_code": address.postal_code or "",
        "country": address.country or "",
    }


def _given(params: Mapping[str, object]) -> dict[str, object]:
    """Without what is empty: in a new customer there is nothing that it could clear."""
    nested = {
        name: _given(value) if isinstance(value, Mapping) else value
        for name, value in params.items()
    }
    return {name: value for name, value in nested.items() if value not in ("", {})}


def _shows(customer: Customer, fields: CustomerFields) -> bool:
    """Whether a customer shows every field as it was written."""
    texts_shown = all(
        getattr(fields, name) in (None, getattr(customer, name) or "") for name in _TEXTS
    )
    address_shown = fields.address is None or _same_address(customer.address, fields.address)
    metadata_shown = all(
        customer.metadata.get(key, "") == value for key, value in (fields.metadata or {}).items()
    )
    return texts_shown and address_shown and metadata_shown


def _same_address(shown: Address | None, written: Address) -> bool:
    return _address(shown or Address()) == _address(written)
