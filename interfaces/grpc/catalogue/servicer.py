"""CatalogService."""

from collections.abc import AsyncIterator

from billing_client.v1 import catalog_service_pb2 as pb
from billing_client.v1 import catalog_service_pb2_grpc as pb_grpc
from typing_extensions import override

from application.catalogue.pictures import ProductPictures
from application.catalogue.price_changes import PriceChanges
from application.catalogue.product_changes import ProductChanges
from application.catalogue.replacement import PriceReplacement
from application.catalogue.use_cases import Catalogue
from domain.errors import FieldViolation
from interfaces.grpc.catalogue import mapping
from interfaces.grpc.catalogue.terms import price_message
from interfaces.grpc.core.calls import Context, current_call, current_caller


class CatalogServicer(pb_grpc.CatalogServiceServicer):
    """Products and prices of an account's Stripe connection."""

    def __init__(
        self,
        catalogue: Catalogue,
        products: ProductChanges,
        prices: PriceChanges,
        replacement: PriceReplacement,
        pictures: ProductPictures,
    ) -> None:
        self._catalogue = catalogue
        self._products = products
        self._prices = prices
        self._replacement = replacement
        self._pictures = pictures

    @override
    async def ListProducts(
        self, request: pb.ListProductsRequest, context: Context
    ) -> pb.ListProductsResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_product_list(request, violations)
        page = await self._catalogue.list_products(current_caller(), query, violations)
        return mapping.products_page(page)

    @override
    async def SearchProducts(
        self, request: pb.SearchProductsRequest, context: Context
    ) -> pb.SearchProductsResponse:
        query = mapping.read_search(request)
        page = await self._catalogue.search_products(current_caller(), query)
        return mapping.found_page(page)

    @override
    async def CountProducts(
        self, request: pb.CountProductsRequest, context: Context
    ) -> pb.CountProductsResponse:
        counts = await self._catalogue.count_products(current_caller())
        return pb.CountProductsResponse(active=counts.active, archived=counts.archived)

    @override
    async def GetProduct(
        self, request: pb.GetProductRequest, context: Context
    ) -> pb.ProductDetails:
        details = await self._catalogue.get_product(current_caller(), request.id)
        return mapping.details_message(details)

    @override
    async def BatchGetProducts(
        self, request: pb.BatchGetProductsRequest, context: Context
    ) -> pb.BatchGetProductsResponse:
        named = await self._catalogue.name_products(current_caller(), list(request.ids))
        return mapping.named_message(named)

    @override
    async def CreateProduct(
        self, request: pb.CreateProductRequest, context: Context
    ) -> pb.ProductDetails:
        violations: list[FieldViolation] = []
        command = mapping.read_create_product(request, violations)
        created = await self._products.create(
            current_caller(), request.request_id, command, violations
        )
        return mapping.created_message(created)

    @override
    async def UpdateProduct(self, request: pb.UpdateProductRequest, context: Context) -> pb.Product:
        command = mapping.read_update_product(request)
        product = await self._products.update(current_caller(), request.request_id, command)
        return mapping.product_message(product)

    @override
    async def ArchiveProduct(
        self, request: pb.ArchiveProductRequest, context: Context
    ) -> pb.Product:
        product = await self._products.archive(current_caller(), request.request_id, request.id)
        return mapping.product_message(product)

    @override
    async def UnarchiveProduct(
        self, request: pb.UnarchiveProductRequest, context: Context
    ) -> pb.Product:
        product = await self._products.unarchive(current_caller(), request.request_id, request.id)
        return mapping.product_message(product)

    @override
    async def DeleteProduct(
        self, request: pb.DeleteProductRequest, context: Context
    ) -> pb.DeleteProductResponse:
        deletion = await self._products.delete(current_caller(), request.request_id, request.id)
        return mapping.deletion_message(deletion)

    @override
    async def UploadProductImage(
        self, request: AsyncIterator[pb.UploadProductImageRequest], context: Context
    ) -> pb.Product:
        announced = mapping.read_upload(current_call().message)
        pieces = (part.piece async for part in request)
        product = await self._pictures.upload(current_caller(), announced, pieces)
        return mapping.product_message(product)

    @override
    async def ListPrices(
        self, request: pb.ListPricesRequest, context: Context
    ) -> pb.ListPricesResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_price_list(request, violations)
        page = await self._catalogue.list_prices(current_caller(), query, violations)
        return mapping.prices_page(page)

    @override
    async def CountPrices(
        self, request: pb.CountPricesRequest, context: Context
    ) -> pb.CountPricesResponse:
        counts = await self._catalogue.count_prices(current_caller(), request.product)
        return mapping.price_counts_message(counts)

    @override
    async def GetPrice(self, request: pb.GetPriceRequest, context: Context) -> pb.PriceDetails:
        details = await self._catalogue.get_price(current_caller(), request.id)
        return mapping.price_details_message(details)

    @override
    async def CreatePrice(self, request: pb.CreatePriceRequest, context: Context) -> pb.Price:
        violations: list[FieldViolation] = []
        wanted = mapping.read_create_price(request, violations)
        price = await self._prices.create(current_caller(), request.request_id, wanted, violations)
        return price_message(price)

    @override
    async def UpdatePrice(self, request: pb.UpdatePriceRequest, context: Context) -> pb.Price:
        command = mapping.read_update_price(request)
        price = await self._prices.update(current_caller(), request.request_id, command)
        return price_message(price)

    @override
    async def ArchivePrice(self, request: pb.ArchivePriceRequest, context: Context) -> pb.Price:
        price = await self._prices.archive(current_caller(), request.request_id, request.id)
        return price_message(price)

    @override
    async def UnarchivePrice(self, request: pb.UnarchivePriceRequest, context: Context) -> pb.Price:
        price = await self._prices.unarchive(current_caller(), request.request_id, request.id)
        return price_message(price)

    @override
    async def ReplacePrice(
        self, request: pb.ReplacePriceRequest, context: Context
    ) -> pb.ReplacePriceResponse:
        violations: list[FieldViolation] = []
        command = mapping.read_replace(request, violations)
        replacement, counts = await self._replacement.replace(
            current_caller(), request.request_id, command, violations
        )
        return mapping.replacement_message(replacement, counts)
