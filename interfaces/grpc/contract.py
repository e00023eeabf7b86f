"""The services of the contract and the reasons of its methods, read from the generated stubs.

A servicer's base class tells its service: `CustomerServiceServicer`, which stands in
`customer_service_pb2_grpc`, is of the service `CustomerService`, which `customer_service_pb2`
describes. So a new service needs no line here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

import grpc
from billing_client.v1 import errors_pb2, options_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

_GENERATED: Final = f"{options_pb2.__name__.rpartition('.')[0]}."
_BASE: Final = "Servicer"
_STUBS: Final = "_grpc"
_REASON: Final = "ERROR_REASON_"

CHANGES_STRIPE: Final = frozenset({
    "STRIPE_NOT_CONNECTED", "STRIPE_CONNECTION_REVOKED", "STRIPE_REFUSED", "STRIPE_RATE_LIMITED",
    "STRIPE_UNAVAILABLE", "STRIPE_NOT_UNDERSTOOD", "REQUEST_ID_REUSED", "REQUEST_IN_FLIGHT",
})  # fmt: skip
"""The reasons that `(billing.v1.changes_stripe)` implies.

Every method that changes Stripe has them.
The option's comment in `options.proto` names the same reasons; a test compares both."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the contract, and how its servicer is added to a server.

    Its methods are authorised by what the descriptor says: what is served and what is authorised
    cannot differ.
    """

    descriptor: ServiceDescriptor
    add: Callable[[grpc.aio.Server], None]


def services(*servicers: object) -> tuple[Service, ...]:
    """The services of servicers. ValueError for one that is of no service of the contract."""
    return tuple(map(_service_of, servicers))


def declared_reasons(options: MethodOptions) -> tuple[str, ...]:
    """The reasons that a method's options list, without their prefix and in their order.

    The reasons that `changes_stripe` implies are not among them, nor are those of every method.
    """
    reasons = options.Extensions[options_pb2.reasons]
    names = (errors_pb2.ErrorReason.Name(reason) for reason in reasons)
    return tuple(name.removeprefix(_REASON) for name in names)


def reasons_of(options: MethodOptions) -> frozenset[str]:
    """The reasons for which a method may fail, beside those that every method has.

    They are the declared ones and, for a method that changes Stripe, `CHANGES_STRIPE`.
    """
    implied = CHANGES_STRIPE if options.Extensions[options_pb2.changes_stripe] else frozenset()
    return implied.union(declared_reasons(options))


def _service_of(servicer: object) -> Service:
    for base in type(servicer).__mro__:
        if base.__module__.startswith(_GENERATED) and base.__name__.endswith(_BASE):
            descriptors = import_module(base.__module__.removesuffix(_STUBS)).DESCRIPTOR
            descriptor = descriptors.services_by_name[base.__name__.removesuffix(_BASE)]
            add = getattr(import_module(base.__module__), f"add_{base.__name__}_to_server")
            return Service(descriptor, partial(add, servicer))
    raise ValueError(f"{type(servicer).__name__}: not of the contract")
