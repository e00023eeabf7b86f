"""Payment methods and setup intents."""

from billing_client.v1 import payment_method_service_pb2 as pb

from application.payment_methods.ports import CustomersMethod, NewSetupIntent
from application.payment_methods.use_cases import ListPaymentMethods, OwnedMethod, PreparedSetup
from application.requests.paging import Page

NamesMethod = (
    pb.AttachPaymentMethodRequest
    | pb.DetachPaymentMethodRequest
    | pb.SetDefaultPaymentMethodRequest
)
"""The requests that are about one customer and one payment method."""


def method_message(owned: OwnedMethod) -> pb.PaymentMethod:
    """A payment method or a legacy source of a customer."""
    method = owned.method
    return pb.PaymentMethod(
        id=method.id,
        type=method.type,
        legacy=method.legacy,
        is_default=owned.is_default,
        brand=method.brand or "",
        bank=method.bank or "",
        last4=method.last4 or "",
        exp_month=method.exp_month or 0,
        exp_year=method.exp_year or 0,
        funding=method.funding or "",
        country=method.country or "",
    )


def page_message(page: Page[OwnedMethod]) -> pb.ListPaymentMethodsResponse:
    """A page of payment methods."""
    return pb.ListPaymentMethodsResponse(
        payment_methods=map(method_message, page.items), next_page_token=page.next_page_token
    )


def setup_message(setup: PreparedSetup) -> pb.SetupIntent:
    """A setup intent with its secret."""
    return pb.SetupIntent(
        id=setup.intent.id, client_secret=setup.client_secret, status=setup.intent.status
    )


def read_list(request: pb.ListPaymentMethodsRequest) -> ListPaymentMethods:
    """What to list."""
    return ListPaymentMethods(request.customer, request.page_size, request.page_token)


def read_method(request: NamesMethod) -> CustomersMethod:
    """Whose and which payment method."""
    return CustomersMethod(request.customer, request.id)


def read_setup(request: pb.CreateSetupIntentRequest) -> NewSetupIntent:
    """What to create."""
    return NewSetupIntent(request.customer, tuple(request.payment_method_types), request.usage)
