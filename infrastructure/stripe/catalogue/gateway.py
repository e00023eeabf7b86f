"""Products: how they are changed at Stripe, and read there by their ids."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from stripe.params import ProductUpdateParams
from typing_extensions import override

from application.catalogue.fields import PRODUCT_FIELDS
from application.catalogue.ports import (
    NewProduct,
    ProductChange,
    ProductDeletion,
    ProductGateway,
)
from application.mutations.stripe import Call
from domain.errors import (
    AlreadyExists,
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Reason,
)
from domain.mirror import Snapshot
from domain.products import Product
from infrastructure.stripe.core.client import PAGE_SIZE, Request, StripeApi, object_path
from infrastructure.stripe.core.elements import read_elements, understood
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.core.parameters import Parameters, as_they_are
from infrastructure.stripe.core.send import after_sending, find_tagged, look, look_for, send
from infrastructure.stripe.products import PRODUCT


def _cleared_if_empty(elements: Sequence[object]) -> object:
    """A list, or what clears one: Stripe takes no empty list."""
    return list(elements) or ""


def _features(features: Sequence[str]) -> object:
    return _cleared_if_empty([{"name": feature} for feature in features])


PRODUCT_PARAMETERS: Final = Parameters(
    PRODUCT_FIELDS,
    ProductUpdateParams,
    {
        **as_they_are(
            "name", "description", "default_price", "tax_code", "unit_label",
            "statement_descriptor", "url", "metadata",
        ),
        "images": {"images": _cleared_if_empty},
        "marketing_features": {"marketing_features": _features},
    },
)  # fmt: skip

_TAKEN: Final = "resource_already_exists"


class StripeProducts(ProductGateway):
    """Products at Stripe (API reference, "Products")."""

    def __init__(self, api: StripeApi) -> None:
        """Send through `api`."""
        self._api = api

    @override
    async def create(self, call: Call, params: NewProduct) -> Snapshot[Product]:
        wanted = PRODUCT_PARAMETERS.create(params.fields, call.tag)
        if params.id:
            wanted["id"] = params.id
        request = Request.change(call, PRODUCT.path, Subject("product"), wanted)
        try:
            return await send(self._api, request, PRODUCT)
        except (FailedPrecondition, InvalidArgument) as error:
            raise await self._why_not_created(call, params.id, error) from None

    @override
    async def find_created(
        self, call: Call, params: NewProduct, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        return await find_tagged(self._api, PRODUCT, call, sent_at)

    @override
    async def update(self, call: Call, params: ProductChange) -> Snapshot[Product]:
        wanted: Mapping[str, object] = PRODUCT_PARAMETERS.change(params.fields)
        if params.active is not None:
            wanted = {**wanted, "active": params.active}
        path, subject = object_path(PRODUCT, params.id), Subject("product", params.id)
        try:
            return await send(self._api, Request.change(call, path, subject, wanted), PRODUCT)
        except InvalidArgument as error:
            raise error.renamed("product.{}".format) from None

    @override
    async def find_updated(
        self, call: Call, params: ProductChange, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        def shows(product: Product) -> bool:
            is_as_wanted = params.active in (None, product.active)
            return is_as_wanted and PRODUCT_FIELDS.shown_by(product, params.fields)

        return await look_for(self._api, PRODUCT, call, params.id, shows)

    @override
    async def delete(self, call: Call, params: ProductDeletion) -> Snapshot[Product]:
        path, subject = object_path(PRODUCT, params.id), Subject("product", params.id)
        try:
            return await send(self._api, Request.deletion(call, path, subject), PRODUCT)
        except NotFound:
            with after_sending():
                return await self._present(call, params.id)

    @override
    async def find_deleted(
        self, call: Call, params: ProductDeletion, sent_at: dt.datetime
    ) -> Snapshot[Product] | None:
        present = await self._present(call, params.id)
        return present if present.deleted else None

    @override
    async def read(self, stripe_account: str, ids: Sequence[str]) -> Sequence[Snapshot[Product]]:
        subject = Subject("product")
        params = {"ids": list(ids), "limit": PAGE_SIZE}
        request = Request("get", PRODUCT.path, subject, stripe_account, params=params)
        answer = await self._api.request(request)
        elements, _ = self._api.understand(
            answer, request, partial(read_elements, read=PRODUCT.decode_listed)
        )
        version = answer.version()
        found = [
            PRODUCT.snapshot(shape, stripe_account, version)
            for shape in understood(elements, request)
        ]
        shown = {element.head.id for element in elements}
        gone: list[Snapshot[Product]] = [
            Snapshot(stripe_account, product, version, None)
            for product in ids
            if product not in shown
        ]
        return [*found, *gone]

    async def _present(self, call: Call, product: str) -> Snapshot[Product]:
        """The product as it is, or the tombstone of one that there is not: Stripe says 404."""
        path, subject = object_path(PRODUCT, product), Subject("product", product)
        request = Request("get", path, subject, call.stripe_account, keep_missing=True)
        return await observe(self._api, request, PRODUCT)

    async def _why_not_created(
        self, call: Call, product: str, error: FailedPrecondition | InvalidArgument
    ) -> BillingError:
        """The refusal as the caller knows its fields; AlreadyExists where the id is taken."""
        about_id = isinstance(error, InvalidArgument) and any(
            violation.field == "id" for violation in error.violations
        )
        if product and (about_id or error.metadata.get("stripe_code") == _TAKEN):
            with after_sending():
                taken = await look(self._api, PRODUCT, call.stripe_account, product)
            if taken is not None:
                return AlreadyExists(
                    Reason.ALREADY_EXISTS,
                    "there is a product of this id",
                    metadata={"resource": "product", "id": product},
                )
        if isinstance(error, InvalidArgument):
            return error.renamed("product.{}".format)
        return error
