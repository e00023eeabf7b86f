"""CheckoutService: what the store offers, and what is bought of it."""

from billing_client.v1 import checkout_service_pb2 as pb
from billing_client.v1 import checkout_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.checkouts.commands import ListStoreProducts
from application.checkouts.executing import CheckoutCalls
from application.checkouts.previews import Previews
from application.checkouts.pricing import Purchase
from application.checkouts.refunding import SaleRefunds
from application.checkouts.use_cases import StoreProducts
from interfaces.grpc.checkouts import mapping
from interfaces.grpc.checkouts.checkouts import CheckoutsServicer
from interfaces.grpc.core.calls import Context, current_caller


class CheckoutServicer(CheckoutsServicer, pb_grpc.CheckoutServiceServicer):
    """The store. What is about checkouts stands in a class of its own."""

    def __init__(
        self, products: StoreProducts, previews: Previews, checkouts: CheckoutCalls,
        refunds: SaleRefunds,
    ) -> None:  # fmt: skip
        super().__init__(checkouts, refunds)
        self._products = products
        self._previews = previews

    @override
    async def ListStoreProducts(
        self, request: pb.ListStoreProductsRequest, context: Context
    ) -> pb.ListStoreProductsResponse:
        query = ListStoreProducts(request.page_size, request.page_token)
        return mapping.products_message(await self._products.list(current_caller(), query))

    @override
    async def PreviewCheckout(
        self, request: pb.PreviewCheckoutRequest, context: Context
    ) -> pb.CheckoutQuote:
        caller = current_caller()
        purchase = Purchase(
            caller.account,
            mapping.read_item(request.item),
            request.cart,
            request.seller,
            request.payment_method,
        )
        return mapping.preview_message(await self._previews.preview(caller, purchase))
