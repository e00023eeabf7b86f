"""The services of the contract, read from what was generated of it.

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
from billing_client.v1 import options_pb2
from google.protobuf.descriptor import ServiceDescriptor

_GENERATED: Final = f"{options_pb2.__name__.rpartition('.')[0]}."
_BASE: Final = "Servicer"
_STUBS: Final = "_grpc"


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


def _service_of(servicer: object) -> Service:
    for base in type(servicer).__mro__:
        if base.__module__.startswith(_GENERATED) and base.__name__.endswith(_BASE):
            descriptors = import_module(base.__module__.removesuffix(_STUBS)).DESCRIPTOR
            descriptor = descriptors.services_by_name[base.__name__.removesuffix(_BASE)]
            add = getattr(import_module(base.__module__), f"add_{base.__name__}_to_server")
            return Service(descriptor, partial(add, servicer))
    raise ValueError(f"{type(servicer).__name__}: not of the contract")
