"""Products and prices."""

from collections.abc import Sequence
from typing import Final

from billing_client.v1 import catalog_service_pb2 as pb
from google.protobuf.message import Message

from application.catalogue.commands import (
    CreateProduct,
    Deletion,
    ListPrices,
    ListProducts,
    NamedProducts,
    Outcome,
    PriceCount,
    PriceDetails,
    ProductDetails,
    Replacement,
    ReplacePrice,
    SearchProducts,
    SubscriberCounts,
    UpdatePrice,
    UpdateProduct,
    UploadPicture,
)
from application.catalogue.fields import IMMUTABLE
from application.catalogue.ports import NewPrice, NewProduct, PriceFields, ProductFields
from application.catalogue.product_changes import CreatedProduct
from application.catalogue.violations import REPLACEABLE
from application.requests.paging import Page
from domain.errors import FieldViolation
from domain.products import Product
from interfaces.grpc.catalogue.terms import (
    options_of,
    price_message,
    read_terms,
)
from interfaces.grpc.core.metadata import callers_own
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

_OUTCOMES: Final = {
    Outcome.DELETED: pb.DeleteProductResponse.OUTCOME_DELETED,
    Outcome.ARCHIVED: pb.DeleteProductResponse.OUTCOME_ARCHIVED,
}
_NOT_FOR_CREATION: Final = ("create_time", "update_time", "active", "type")
_SET_BY_OTHERS: Final = "must be empty: it is not the caller's to set"


def product_message(product: Product) -> pb.Product:
    """A product, without what is Billing's own."""
    return pb.Product(
        id=product.id,
        create_time=timestamp_message(product.created),
        update_time=timestamp_message(product.updated) if product.updated else None,
        name=product.name,
        active=product.active,
        description=product.description or "",
        default_price=product.default_price or "",
        images=product.images,
        type=product.type or "",
        tax_code=product.tax_code or "",
        unit_label=product.unit_label or "",
        statement_descriptor=product.statement_descriptor or "",
        url=product.url or "",
        marketing_features=product.marketing_features,
        metadata=callers_own(product.metadata),
    )


def details_message(details: ProductDetails) -> pb.ProductDetails:
    """A product with its prices and subscribers."""
    return pb.ProductDetails(
        product=product_message(details.product),
        prices=map(price_details_message, details.prices),
        more_prices=details.more_prices,
        subscribers=counts_message(details.subscribers),
    )


def created_message(created: CreatedProduct) -> pb.ProductDetails:
    """A product as it was made: nobody subscribes to it yet."""
    prices = [PriceDetails(price, subscribers=SubscriberCounts()) for price in created.prices]
    return details_message(ProductDetails(created.product, prices))


def price_details_message(details: PriceDetails) -> pb.PriceDetails:
    """A price and, where they were counted, its subscribers."""
    counts = details.subscribers
    return pb.PriceDetails(
        price=price_message(details.price, details.unknown),
        subscribers=None if counts is None else counts_message(counts),
    )


def counts_message(counts: SubscriberCounts) -> pb.SubscriberCounts:
    """How many subscribe."""
    return pb.SubscriberCounts(
        active=counts.active,
        past_due=counts.past_due,
        trialing=counts.trialing,
        more=counts.more,
    )


def products_page(page: Page[ProductDetails]) -> pb.ListProductsResponse:
    """A page of products."""
    return pb.ListProductsResponse(
        products=map(details_message, page.items),
        next_page_token=page.next_page_token,
        previous_page_token=page.previous_page_token,
    )


def found_page(page: Page[ProductDetails]) -> pb.SearchProductsResponse:
    """A page of the products that were found."""
    return pb.SearchProductsResponse(
        products=map(details_message, page.items), next_page_token=page.next_page_token
    )


def prices_page(page: Page[PriceDetails]) -> pb.ListPricesResponse:
    """A page of prices."""
    return pb.ListPricesResponse(
        prices=[price_message(each.price, each.unknown) for each in page.items],
        next_page_token=page.next_page_token,
        previous_page_token=page.previous_page_token,
    )


def named_message(named: NamedProducts) -> pb.BatchGetProductsResponse:
    """Products by their ids."""
    return pb.BatchGetProductsResponse(
        products=map(product_message, named.products),
        deleted=[pb.DeletedProduct(id=id_, last_name=name) for id_, name in named.deleted.items()],
    )


def price_counts_message(counts: Sequence[PriceCount]) -> pb.CountPricesResponse:
    """How many prices there are."""
    return pb.CountPricesResponse(
        counts=[
            pb.PriceCount(
                active=each.active, type=each.type, currency=each.currency, count=each.count
            )
            for each in counts
        ]
    )


def deletion_message(deletion: Deletion) -> pb.DeleteProductResponse:
    """What became of a product."""
    return pb.DeleteProductResponse(
        outcome=_OUTCOMES[deletion.outcome],
        reason=deletion.reason,
        archived_prices=deletion.archived_prices,
        cleared_default_price=deletion.cleared_default_price,
    )


def replacement_message(
    replacement: Replacement, counts: SubscriberCounts
) -> pb.ReplacePriceResponse:
    """The price that follows another."""
    return pb.ReplacePriceResponse(
        price=price_message(replacement.price),
        replaced_price=price_message(replacement.replaced),
        subscribers=counts_message(counts),
        is_default=replacement.is_default,
        lookup_key_moved=replacement.lookup_key_moved,
    )


def read_product_list(
    request: pb.ListProductsRequest, violations: list[FieldViolation]
) -> ListProducts:
    """What products to list."""
    return ListProducts(
        page_size=request.page_size,
        page_token=request.page_token,
        active=request.active if request.HasField("active") else None,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
        oldest_first=request.oldest_first,
    )


def read_search(request: pb.SearchProductsRequest) -> SearchProducts:
    """What to search for."""
    return SearchProducts(
        query=request.query,
        page_size=request.page_size,
        page_token=request.page_token,
        active=request.active if request.HasField("active") else None,
    )


def read_price_list(request: pb.ListPricesRequest, violations: list[FieldViolation]) -> ListPrices:
    """What prices to list."""
    return ListPrices(
        page_size=request.page_size,
        page_token=request.page_token,
        product=request.product,
        active=request.active if request.HasField("active") else None,
        type=request.type,
        currency=request.currency,
        lookup_key=request.lookup_key,
        created_after=read_instant(request, "created_after", violations),
        created_before=read_instant(request, "created_before", violations),
        oldest_first=request.oldest_first,
    )


def read_create_product(
    request: pb.CreateProductRequest, violations: list[FieldViolation]
) -> CreateProduct:
    """What product to create."""
    if not request.HasField("product"):
        violations.append(FieldViolation("product", "is required"))
    given = _given(request.product)
    violations += [
        FieldViolation(f"product.{name}", _SET_BY_OTHERS)
        for name in _NOT_FOR_CREATION
        if name in given
    ]
    product = NewProduct(_product_fields(request.product), request.product.id)
    return CreateProduct(product, tuple(map(_new_price, request.prices)))


def read_update_product(request: pb.UpdateProductRequest) -> UpdateProduct:
    """What to change of a product; paths of the mask as they were written."""
    return UpdateProduct(
        request.product.id, _product_fields(request.product), tuple(request.update_mask.paths)
    )


def read_create_price(request: pb.CreatePriceRequest, violations: list[FieldViolation]) -> NewPrice:
    """What price to create."""
    if not request.HasField("price"):
        violations.append(FieldViolation("price", "is required"))
    return _new_price(request.price, request.product)


def read_update_price(request: pb.UpdatePriceRequest) -> UpdatePrice:
    """What to change of a price; paths of the mask as they were written."""
    given = _given(request.price)
    return UpdatePrice(
        request.price.id,
        _price_fields(request.price),
        tuple(request.update_mask.paths),
        request.transfer_lookup_key,
        tuple(name for name in IMMUTABLE if name in given),
    )


def read_replace(request: pb.ReplacePriceRequest, violations: list[FieldViolation]) -> ReplacePrice:
    """What a new price has other than the old one."""
    if not request.HasField("price"):
        violations.append(FieldViolation("price", "is required"))
    given = _given(request.price)
    return ReplacePrice(
        request.id,
        _new_price(request.price),
        tuple(request.replace_mask.paths),
        tuple(name for name in REPLACEABLE if name in given),
    )


def read_upload(first: pb.UploadProductImageRequest) -> UploadPicture:
    """What picture is announced."""
    return UploadPicture(first.product, first.size, first.request_id)


def _given(message: Message) -> set[str]:
    """The fields of a message that have a value."""
    return {field.name for field, _ in message.ListFields()}


def _product_fields(product: pb.Product) -> ProductFields:
    return ProductFields(
        name=product.name or None,
        description=product.description or None,
        default_price=product.default_price or None,
        images=tuple(product.images) or None,
        tax_code=product.tax_code or None,
        unit_label=product.unit_label or None,
        statement_descriptor=product.statement_descriptor or None,
        url=product.url or None,
        marketing_features=tuple(product.marketing_features) or None,
        metadata=dict(product.metadata) or None,
    )


def _price_fields(price: pb.Price) -> PriceFields:
    return PriceFields(
        nickname=price.nickname or None,
        lookup_key=price.lookup_key or None,
        tax_behavior=price.tax_behavior or None,
        currency_options=options_of(price.currency_options) or None,
        metadata=dict(price.metadata) or None,
    )


def _new_price(price: pb.NewPrice, product: str = "") -> NewPrice:
    return NewPrice(
        terms=read_terms(price),
        product=product,
        nickname=price.nickname,
        lookup_key=price.lookup_key,
        transfer_lookup_key=price.transfer_lookup_key,
        metadata=dict(price.metadata),
        make_default=price.make_default,
    )
