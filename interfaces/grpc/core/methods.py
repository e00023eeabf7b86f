"""The methods that are served and who may call them, read from the descriptors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from billing_client.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor


@dataclass(frozen=True, slots=True)
class Method:
    """A method. `scope` is what the caller's token must contain.

    `sub_accounts` allows to act for sub-accounts of the token's account, `operators` an operator
    to act for none in particular. `mutates` tells a method whose request carries a request_id: it
    changes something. `streams` tells one that replies with a stream. `open` is one outside the
    contract, which everybody may call.
    """

    path: str
    scope: str
    sub_accounts: bool
    operators: bool
    mutates: bool
    streams: bool
    open: bool = False


UNKNOWN: Final = Method(
    "", "", sub_accounts=False, operators=False, mutates=False, streams=False, open=True
)
"""Stands for every method that there is not."""


def methods_of(services: Iterable[ServiceDescriptor]) -> Mapping[str, Method]:
    """Every method of the services by its path, such as `/billing.v1.CustomerService/GetCustomer`.

    ValueError for one that cannot be authorised: without `(billing.v1.authorization)`, without a
    scope, or without the field `account`. It stops the start.
    """
    methods = (_method(method) for service in services for method in service.methods)
    return {method.path: method for method in methods}


def open_methods(services: Iterable[ServiceDescriptor]) -> Mapping[str, Method]:
    """Every method, by its path, of services that are open to everybody: health and reflection."""
    methods = (method for service in services for method in service.methods)
    return {
        _path(method): replace(UNKNOWN, path=_path(method), streams=method.server_streaming)
        for method in methods
    }


def _method(method: MethodDescriptor) -> Method:
    options = method.GetOptions()
    rule = options.Extensions[options_pb2.authorization]
    if not rule.scope:
        raise ValueError(f"{method.full_name}: (billing.v1.authorization) with a scope is needed")
    fields = method.input_type.fields_by_name
    if "account" not in fields:
        raise ValueError(f"{method.full_name}: its request needs the field account")
    return Method(
        _path(method),
        rule.scope,
        rule.sub_accounts,
        rule.operators,
        mutates="request_id" in fields,
        streams=method.server_streaming,
    )


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"
