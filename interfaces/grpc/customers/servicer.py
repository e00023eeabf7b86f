"""CustomerService."""

from billing_client.v1 import customer_service_pb2 as pb
from billing_client.v1 import customer_service_pb2_grpc as pb_grpc
from google.protobuf.empty_pb2 import Empty
from typing_extensions import override

from application.customers.use_cases import Customers
from domain.errors import FieldViolation
from interfaces.grpc.core.calls import Context, current_caller
from interfaces.grpc.customers import mapping


class CustomerServicer(pb_grpc.CustomerServiceServicer):
    """Customers of an account's Stripe connection."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    @override
    async def ListCustomers(
        self, request: pb.ListCustomersRequest, context: Context
    ) -> pb.ListCustomersResponse:
        violations: list[FieldViolation] = []
        query = mapping.read_list(request, violations)
        page = await self._customers.list(current_caller(), query, violations)
        return mapping.page_message(page)

    @override
    async def SearchCustomers(
        self, request: pb.SearchCustomersRequest, context: Context
    ) -> pb.SearchCustomersResponse:
        page = await self._customers.search(current_caller(), mapping.read_search(request))
        return mapping.found_message(page)

    @override
    async def GetCustomer(self, request: pb.GetCustomerRequest, context: Context) -> pb.Customer:
        customer = await self._customers.get(current_caller(), request.id)
        return mapping.linked_message(customer)

    @override
    async def CreateCustomer(
        self, request: pb.CreateCustomerRequest, context: Context
    ) -> pb.Customer:
        violations: list[FieldViolation] = []
        fields = mapping.read_create(request, violations)
        customer = await self._customers.create(
            current_caller(), request.request_id, fields, violations
        )
        return mapping.linked_message(customer)

    @override
    async def UpdateCustomer(
        self, request: pb.UpdateCustomerRequest, context: Context
    ) -> pb.Customer:
        command = mapping.read_update(request)
        customer = await self._customers.update(current_caller(), request.request_id, command)
        return mapping.linked_message(customer)

    @override
    async def DeleteCustomer(self, request: pb.DeleteCustomerRequest, context: Context) -> Empty:
        await self._customers.delete(current_caller(), request.request_id, request.id)
        return Empty()
