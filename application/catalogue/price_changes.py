"""Changes of prices: made, changed as far as a price can change, and archived."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

from application.catalogue.commands import UpdatePrice
from application.catalogue.fields import PRICE_FIELDS
from application.catalogue.ports import (
    NewPrice,
    PriceChange,
    PriceGateway,
    ProductChange,
    ProductFields,
    ProductGateway,
)
from application.catalogue.violations import (
    immutable_fields,
    new_price_violations,
    price_id_violations,
    price_update_violations,
    product_id_violations,
)
from application.mirror.nouns import PRICES, PRODUCTS
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.violations import refuse
from domain.errors import BillingError, FailedPrecondition, FieldViolation, Reason, WrongState
from domain.prices import Price

NEXT_METHOD: Final = "CatalogService.ReplacePrice"

_UNSAID: Final = ("unspecified", "", None)
"""A tax behaviour that can still be said."""


class PriceChanges:
    """Creates, updates, archives and unarchives prices.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self, mutations: Mutations, prices: PriceGateway, products: ProductGateway
    ) -> None:
        self._prices = prices
        self._products = products
        self._create = mutations.method(
            "CatalogService.CreatePrice", NewPrice, Price, self._create_steps
        )
        self._update = mutations.method(
            "CatalogService.UpdatePrice", PriceChange, Price, self._update_steps
        )
        self._archive = mutations.method(
            "CatalogService.ArchivePrice", PriceChange, Price, self._archive_steps
        )
        self._unarchive = mutations.method(
            "CatalogService.UnarchivePrice", PriceChange, Price, self._update_steps
        )

    async def create(
        self,
        caller: Caller,
        request_id: str,
        wanted: NewPrice,
        violations: Sequence[FieldViolation] = (),
    ) -> Price:
        """Create a price of a product at Stripe, and make it the default where that is asked."""
        refuse(
            chain(
                violations,
                request_id_violations(request_id),
                product_id_violations(wanted.product, "product"),
                new_price_violations(wanted, "price."),
            )
        )
        return await self._create.run(caller, request_id, wanted)

    async def update(self, caller: Caller, request_id: str, command: UpdatePrice) -> Price:
        """Change the named fields of a price. PRICE_IMMUTABLE for those that never change."""
        refuse(chain(request_id_violations(request_id), price_update_violations(command)))
        if immutable := immutable_fields(command):
            raise price_immutable(command.id, immutable)
        fields = PRICE_FIELDS.masked(command.values, command.mask)
        change = PriceChange(command.id, fields, None, command.transfer_lookup_key)
        return await self._update.run(caller, request_id, change)

    async def archive(self, caller: Caller, request_id: str, price_id: str) -> Price:
        """Take a price off sale. WrongState for the default price of its product."""
        _refuse_ids(request_id, price_id)
        return await self._archive.run(caller, request_id, PriceChange(price_id, active=False))

    async def unarchive(self, caller: Caller, request_id: str, price_id: str) -> Price:
        """Put a price on sale again."""
        _refuse_ids(request_id, price_id)
        return await self._unarchive.run(caller, request_id, PriceChange(price_id, active=True))

    async def _create_steps(self, steps: Steps, wanted: NewPrice) -> Price:
        gateway = self._prices
        if not steps.was_sent("create"):
            await steps.standing(PRODUCTS, wanted.product)
        answer = await steps.call("create", PRICES, wanted, gateway.create, gateway.find_created)
        price = shown(PRICES, answer)
        if wanted.make_default:
            await self._make_default(steps, price)
        return price

    async def _make_default(self, steps: Steps, price: Price) -> None:
        """Make a new price the default; where Stripe refuses that, it is taken off sale again."""
        products = self._products
        change = ProductChange(price.product, ProductFields(default_price=price.id))
        try:
            await steps.call("default", PRODUCTS, change, products.update, products.find_updated)
        except BillingError as error:
            if is_definite(error):
                await self._change(steps, "take_back", PriceChange(price.id, active=False))
            raise

    async def _update_steps(self, steps: Steps, change: PriceChange) -> Price:
        said = change.fields.tax_behavior
        options = change.fields.currency_options
        if (said or options) and not steps.was_sent("update"):
            standing = await steps.standing(PRICES, change.id)
            if said and standing.tax_behavior not in (*_UNSAID, said):
                raise price_immutable(change.id, ["tax_behavior"])
            if options and standing.currency in options:
                rule = "is the currency of the price itself"
                place = f"price.currency_options[{standing.currency}]"
                refuse([FieldViolation(place, rule)])
        return await self._change(steps, "update", change)

    async def _archive_steps(self, steps: Steps, change: PriceChange) -> Price:
        if not steps.was_sent("archive"):
            price = await steps.standing(PRICES, change.id)
            product = await steps.standing(PRODUCTS, price.product)
            if product.default_price == price.id:
                raise WrongState(PRICES.name, price.id, "default_price")
        return await self._change(steps, "archive", change)

    async def _change(self, steps: Steps, name: str, change: PriceChange) -> Price:
        gateway = self._prices
        answer = await steps.call(name, PRICES, change, gateway.update, gateway.find_updated)
        return shown(PRICES, answer)


def price_immutable(price: str, fields: Sequence[str]) -> FailedPrecondition:
    """The refusal of a change of what never changes; it names the next method."""
    return FailedPrecondition(
        Reason.PRICE_IMMUTABLE,
        f"{', '.join(fields)} of a price never change; make the price that follows with"
        " ReplacePrice",
        subject=PRICES.name,
        metadata={
            "resource": PRICES.name, "id": price, "fields": ",".join(fields),
            "method": NEXT_METHOD,
        },
    )  # fmt: skip


def _refuse_ids(request_id: str, price_id: str) -> None:
    refuse(chain(request_id_violations(request_id), price_id_violations(price_id, "id")))
