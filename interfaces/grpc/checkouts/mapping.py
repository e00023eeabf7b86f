"""What the store offers, quotes and cart items."""

from typing import Final

from billing_client.v1 import checkout_service_pb2 as pb

from application.checkouts.previews import Preview
from application.checkouts.use_cases import StoreItem
from application.requests.paging import Page
from domain.billing_cycles import Interval
from domain.carts import CartItem
from domain.phone_numbers import NumberKind
from domain.quotes import BuyersQuote, Quote
from domain.store_products import ProductKind
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.timestamps import timestamp_message

KINDS: Final = {
    ProductKind.ONE_OFF: pb.STORE_PRODUCT_KIND_ONE_OFF,
    ProductKind.PHONE_NUMBER: pb.STORE_PRODUCT_KIND_PHONE_NUMBER,
    ProductKind.LISTING: pb.STORE_PRODUCT_KIND_LISTING,
    ProductKind.SUBSCRIPTION: pb.STORE_PRODUCT_KIND_SUBSCRIPTION,
}
NUMBER_KINDS: Final = {
    NumberKind.LOCAL: pb.NUMBER_KIND_LOCAL,
    NumberKind.MOBILE: pb.NUMBER_KIND_MOBILE,
    NumberKind.NATIONAL: pb.NUMBER_KIND_NATIONAL,
    NumberKind.TOLL_FREE: pb.NUMBER_KIND_TOLL_FREE,
}
INTERVALS: Final = {
    Interval.DAY: pb.STORE_INTERVAL_DAY,
    Interval.WEEK: pb.STORE_INTERVAL_WEEK,
    Interval.MONTH: pb.STORE_INTERVAL_MONTH,
    Interval.YEAR: pb.STORE_INTERVAL_YEAR,
}
_NUMBER_KINDS_READ: Final = {value: kind.value for kind, value in NUMBER_KINDS.items()}


def products_message(page: Page[StoreItem]) -> pb.ListStoreProductsResponse:
    """A page of what the store offers."""
    return pb.ListStoreProductsResponse(
        products=map(product_message, page.items), next_page_token=page.next_page_token
    )


def product_message(item: StoreItem) -> pb.StoreProduct:
    """A product at one of its prices, as its buyer sees it."""
    product, price, amount = item.offer.product, item.offer.price, item.unit_amount
    return pb.StoreProduct(
        price=price.id,
        product=product.id,
        kind=KINDS[product.kind],
        name=product.name,
        description=product.description,
        unit_amount=None if amount is None else money_message(amount.amount, amount.currency),
        currency=price.currency,
        interval=interval_value(price.interval),
        interval_count=price.interval_count,
        max_quantity=product.most,
        has_setup_fee=product.setup,
    )


def interval_value(interval: Interval | None) -> pb.StoreInterval.ValueType:
    """What a period is a multiple of."""
    return pb.STORE_INTERVAL_UNSPECIFIED if interval is None else INTERVALS[interval]


def read_item(message: pb.CartItem) -> CartItem:
    """What a caller wants, as it was written. A kind that no release knows is none of ours."""
    kind = message.number_kind
    known = _NUMBER_KINDS_READ.get(kind, "unknown" if kind else "")
    return CartItem(message.price, message.quantity, message.country, known)


def item_message(item: CartItem) -> pb.CartItem:
    """An item of a cart."""
    kind = pb.NUMBER_KIND_UNSPECIFIED
    if item.number_kind:
        kind = NUMBER_KINDS[NumberKind(item.number_kind)]
    return pb.CartItem(
        price=item.price, quantity=item.quantity, country=item.country, number_kind=kind
    )


def quote_message(quote: BuyersQuote) -> pb.CheckoutQuote:
    """A quote as its buyer sees it, without its seal, its cart and its seller."""
    renewal = quote.renewal
    return pb.CheckoutQuote(
        item=item_message(quote.item),
        kind=KINDS[quote.kind],
        lines=[
            pb.CheckoutLine(
                part=line.part,
                description=line.description,
                quantity=line.quantity,
                amount=money_message(line.amount.amount, line.amount.currency),
            )
            for line in quote.lines
        ],
        total=money_message(quote.total.amount, quote.total.currency),
        renewal=(money_message(renewal.amount, renewal.currency) if quote.kind.recurs else None),
        interval=interval_value(quote.interval),
        interval_count=quote.interval_count,
    )


def preview_message(preview: Preview) -> pb.CheckoutQuote:
    """A quote as its caller may see it, signed, with the cart that holds the item."""
    quote, message = preview.quote, quote_message(preview.quote.buyers_view())
    message.quote = preview.signed.text
    message.expire_time.CopyFrom(timestamp_message(preview.signed.expires_at))
    message.cart = preview.cart
    message.charged_first = preview.charged_first
    message.seller = quote.seller or ""
    message.stripe_account = quote.stripe_account
    if preview.shows_cost:
        message.sellers_view.CopyFrom(sellers_view_message(quote))
    return message


def sellers_view_message(quote: Quote) -> pb.SellersView:
    """What only the seller and operators see of a quote."""
    cost, renewal = quote.cost, quote.renewal_cost
    return pb.SellersView(
        cost=money_message(cost.amount, cost.currency),
        renewal_cost=money_message(renewal.amount, renewal.currency),
        paid_by=quote.leg,
        multiplier=quote.multiplier,
        rate=quote.rate,
    )
