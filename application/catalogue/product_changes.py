"""Changes of products: made with their prices, changed, archived, and deleted as far as it goes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from application.catalogue.commands import CreateProduct, Deletion, Outcome, UpdateProduct
from application.catalogue.fields import PRODUCT_FIELDS
from application.catalogue.ports import (
    ListedPrice,
    PriceChange,
    PriceGateway,
    ProductChange,
    ProductDeletion,
    ProductFields,
    ProductGateway,
)
from application.catalogue.violations import (
    creation_violations,
    product_id_violations,
    product_update_violations,
)
from application.mirror.nouns import PRICES, PRODUCTS
from application.mirror.ports import Mirror
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.violations import refuse
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
)
from domain.mirror import LAST
from domain.prices import Price
from domain.products import Product

_HAS_PRICES: Final = "Stripe deletes no product that has prices, and no price"
_REFUSED: Final = "Stripe refuses to delete the product"
_FOREIGN: Final = "a price of this very product is needed"


@dataclass(frozen=True, slots=True)
class CreatedProduct:
    """A product as it was made, and its prices in the order asked for."""

    product: Product
    prices: tuple[Price, ...] = ()


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a product stood before it was to be deleted."""

    default_price: str
    prices: tuple[ListedPrice, ...]


class ProductChanges:
    """Creates, updates, archives and deletes products.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(
        self,
        mutations: Mutations,
        mirror: Mirror,
        products: ProductGateway,
        prices: PriceGateway,
    ) -> None:
        self._mirror = mirror
        self._products = products
        self._prices = prices
        self._create = mutations.method(
            "CatalogService.CreateProduct", CreateProduct, CreatedProduct, self._create_steps
        )
        self._update = mutations.method(
            "CatalogService.UpdateProduct", ProductChange, Product, self._update_steps
        )
        self._archive = mutations.method(
            "CatalogService.ArchiveProduct", ProductChange, Product, self._update_steps
        )
        self._unarchive = mutations.method(
            "CatalogService.UnarchiveProduct", ProductChange, Product, self._update_steps
        )
        self._delete = mutations.method(
            "CatalogService.DeleteProduct", ProductDeletion, Deletion, self._delete_steps
        )

    async def create(
        self,
        caller: Caller,
        request_id: str,
        command: CreateProduct,
        violations: Sequence[FieldViolation] = (),
    ) -> CreatedProduct:
        """Create a product and its prices at Stripe: all of them, or none that can be sold by."""
        refuse(chain(violations, request_id_violations(request_id), creation_violations(command)))
        return await self._create.run(caller, request_id, command)

    async def update(self, caller: Caller, request_id: str, command: UpdateProduct) -> Product:
        """Change the named fields of a product at Stripe."""
        refuse(chain(request_id_violations(request_id), product_update_violations(command)))
        change = ProductChange(command.id, PRODUCT_FIELDS.masked(command.values, command.mask))
        return await self._update.run(caller, request_id, change)

    async def archive(self, caller: Caller, request_id: str, product_id: str) -> Product:
        """Take a product off sale."""
        _refuse_ids(request_id, product_id)
        return await self._archive.run(caller, request_id, ProductChange(product_id, active=False))

    async def unarchive(self, caller: Caller, request_id: str, product_id: str) -> Product:
        """Put a product on sale again."""
        _refuse_ids(request_id, product_id)
        return await self._unarchive.run(caller, request_id, ProductChange(product_id, active=True))

    async def delete(self, caller: Caller, request_id: str, product_id: str) -> Deletion:
        """Delete a product, or archive it where Stripe does not. One that is gone is success."""
        _refuse_ids(request_id, product_id)
        return await self._delete.run(caller, request_id, ProductDeletion(product_id))

    async def _create_steps(self, steps: Steps, command: CreateProduct) -> CreatedProduct:
        gateway = self._products
        product = shown(
            PRODUCTS,
            await steps.call(
                "create", PRODUCTS, command.product, gateway.create, gateway.find_created
            ),
        )
        made: list[Price] = []
        try:
            await self._make_prices(steps, product, command, made)
        except BillingError as error:
            if is_definite(error):
                await self._take_back(steps, product, made)
            raise
        for price, wanted in zip(made, command.prices, strict=True):
            if wanted.make_default:
                change = ProductChange(product.id, ProductFields(default_price=price.id))
                product = await self._change(steps, "default", change)
        return CreatedProduct(product, tuple(made))

    async def _make_prices(
        self, steps: Steps, product: Product, command: CreateProduct, made: list[Price]
    ) -> None:
        """Make the prices one after the other; `made` has those that there are by now."""
        gateway = self._prices
        for place, wanted in enumerate(command.prices):
            try:
                answer = await steps.call(
                    f"price-{place}", PRICES, replace(wanted, product=product.id),
                    gateway.create, gateway.find_created,
                )  # fmt: skip
            except InvalidArgument as error:
                raise error.renamed(f"prices[{place}].{{}}".format) from None
            made.append(shown(PRICES, answer))

    async def _take_back(self, steps: Steps, product: Product, made: Sequence[Price]) -> None:
        """Leave nothing that can be sold: what has prices is archived, what has none deleted."""
        for place, price in enumerate(made):
            await self._archive_price(steps, f"archive-{place}", price.id)
        if made:
            await self._change(steps, "take_back", ProductChange(product.id, active=False))
            return
        gateway, deletion = self._products, ProductDeletion(product.id)
        await steps.call("take_back", PRODUCTS, deletion, gateway.delete, gateway.find_deleted)

    async def _update_steps(self, steps: Steps, change: ProductChange) -> Product:
        default = change.fields.default_price
        if default and not steps.was_sent("update"):
            price = await _price_or_refuse(steps, default)
            if price.product != change.id:
                refuse([FieldViolation("product.default_price", _FOREIGN)])
        return await self._change(steps, "update", change)

    async def _delete_steps(self, steps: Steps, deletion: ProductDeletion) -> Deletion:
        try:
            standing = await steps.known(
                "standing", _Standing, lambda _: self._standing(steps, deletion.id)
            )
        except NotFound:
            if not await self._was_there(steps, deletion.id):
                raise
            return Deletion(Outcome.DELETED)
        if standing.prices:
            return await self._archive_all(steps, deletion.id, standing, _HAS_PRICES)
        gateway = self._products
        try:
            await steps.call("delete", PRODUCTS, deletion, gateway.delete, gateway.find_deleted)
        except (FailedPrecondition, InvalidArgument) as error:
            if not is_definite(error):
                raise
            return await self._archive_all(steps, deletion.id, standing, _REFUSED)
        return Deletion(Outcome.DELETED)

    async def _standing(self, steps: Steps, product_id: str) -> _Standing:
        product = await steps.standing(PRODUCTS, product_id)
        prices = await self._prices.of_product(steps.stripe_account, product_id)
        return _Standing(product.default_price or "", tuple(prices))

    async def _was_there(self, steps: Steps, product_id: str) -> bool:
        """Whether it is a product that the mirror once knew, and that is gone."""
        rows = await self._mirror.fetch(PRODUCTS, steps.stripe_account, [product_id])
        row = rows.get(product_id)
        return row is not None and LAST in row.derived

    async def _archive_all(
        self, steps: Steps, product_id: str, standing: _Standing, reason: str
    ) -> Deletion:
        """Archive a product with its prices; the default price cannot be: it is cleared first."""
        if standing.default_price:
            cleared = ProductChange(product_id, ProductFields(default_price=""))
            await self._change(steps, "clear_default", cleared)
        archived = [price.id for price in standing.prices if price.active]
        for place, price in enumerate(archived):
            await self._archive_price(steps, f"archive-{place}", price)
        await self._change(steps, "archive", ProductChange(product_id, active=False))
        return Deletion(Outcome.ARCHIVED, reason, tuple(archived), standing.default_price)

    async def _change(self, steps: Steps, name: str, change: ProductChange) -> Product:
        gateway = self._products
        answer = await steps.call(name, PRODUCTS, change, gateway.update, gateway.find_updated)
        return shown(PRODUCTS, answer)

    async def _archive_price(self, steps: Steps, name: str, price: str) -> None:
        gateway, change = self._prices, PriceChange(price, active=False)
        await steps.call(name, PRICES, change, gateway.update, gateway.find_updated)


async def _price_or_refuse(steps: Steps, price: str) -> Price:
    try:
        return await steps.standing(PRICES, price)
    except NotFound:
        raise InvalidArgument([FieldViolation("product.default_price", _FOREIGN)]) from None


def _refuse_ids(request_id: str, product_id: str) -> None:
    refuse(chain(request_id_violations(request_id), product_id_violations(product_id, "id")))
