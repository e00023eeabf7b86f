"""What the contract's files promise together."""

import importlib
import inspect
import re
from pathlib import Path
from unittest.mock import create_autospec

import billing_client.v1
import grpc
import pytest
from billing_client.v1 import customer_service_pb2, errors_pb2, period_pb2
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health

import domain.errors
from application.events.explanation import Basis, RowState, Telling
from application.events.inbox import EventState
from bootstrap.tokens import list_scopes
from domain.connections import ConnectionKind, ConnectionState, Mode
from domain.effects import FactName
from domain.errors import BillingError, Reason
from domain.periods import Granularity
from interfaces.grpc.connections import mapping
from interfaces.grpc.contract import services
from interfaces.grpc.core.methods import methods_of
from interfaces.grpc.core.periods import read_granularity
from interfaces.grpc.core.statuses import CODES
from interfaces.grpc.events import mapping as events

PREFIX = "ERROR_REASON_"
ACTIONS = {
    "Get": {"read"}, "List": {"read"}, "Explain": {"read"}, "Watch": {"read", "watch"},
    "Export": {"read"}, "Preview": {"read", "write"}, "Search": {"read"}, "Count": {"read"},
    "Refund": {"write", "refund"}, "Batch": {"read"}, "Summarize": {"read"}, "Debit": {"spend"},
    "Adjust": {"admin"},
}  # fmt: skip
"""What the scope of a method may allow, by its verb; any other writes."""


def contract() -> list[ServiceDescriptor]:
    """Every service of every file of the contract."""
    (folder,) = billing_client.v1.__path__
    names = sorted(path.stem for path in Path(folder).glob("*_service_pb2.py"))
    modules = [importlib.import_module(f"billing_client.v1.{name}") for name in names]
    return [s for module in modules for s in module.DESCRIPTOR.services_by_name.values()]


def test_error_reasons_are_the_domains() -> None:
    names = {name.removeprefix(PREFIX) for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118
    assert names - {"UNSPECIFIED"} == {reason.value for reason in Reason}


def test_every_class_of_error_has_a_code() -> None:
    kinds = {
        kind for _, kind in inspect.getmembers(domain.errors, inspect.isclass)
        if issubclass(kind, BillingError) and kind is not BillingError
    }  # fmt: skip
    assert set(CODES) == kinds


def test_the_base_class_of_a_servicer_tells_its_service() -> None:
    for descriptor in contract():
        file = Path(descriptor.file.name).stem
        stubs = importlib.import_module(f"billing_client.v1.{file}_pb2_grpc")
        base = getattr(stubs, f"{descriptor.name}Servicer")
        (service,) = services(type("Another", (base,), {})())
        assert service.descriptor is descriptor
        server = create_autospec(grpc.aio.Server)
        service.add(server)
        (added,) = server.add_registered_method_handlers.call_args_list
        assert added.args[0] == descriptor.full_name


@pytest.mark.parametrize("servicer", [object(), health.aio.HealthServicer()])
def test_what_is_no_servicer_of_the_contract_is_not_served(servicer: object) -> None:
    with pytest.raises(ValueError, match="not of the contract"):
        services(servicer)


def test_every_method_of_the_contract_says_who_may_call_it() -> None:
    methods = methods_of(contract())
    assert len(methods) == sum(len(service.methods) for service in contract())
    assert methods["/billing.v1.CustomerService/DeleteCustomer"].mutates
    assert not methods["/billing.v1.CustomerService/GetCustomer"].mutates
    for path, method in methods.items():
        resource, _, action = method.scope.partition(".")
        assert resource, path
        verb = re.findall("/([A-Z][a-z]+)", path)[-1]
        assert action in ACTIONS.get(verb, {"write"}), path
        assert action in {"write", "spend", "admin", "refund"} or not method.mutates, path


def test_every_scope_of_the_contract_is_offered_and_told() -> None:
    scopes = {method.scope for method in methods_of(contract()).values()}
    beside = {"events.payload", "notes.admin"}  # of a view, and of who edits others' notes
    assert set(list_scopes()) == scopes | beside
    told = (Path(__file__).parents[3] / "docs" / "tokens.md").read_text(encoding="utf-8")
    assert {scope for scope in list_scopes() if f"| `{scope}` |" not in told} == set()


def test_a_method_without_authorization_stops_the_start() -> None:
    from grpc_health.v1 import health_pb2

    (health,) = health_pb2.DESCRIPTOR.services_by_name.values()
    with pytest.raises(ValueError, match=r"grpc\.health\.v1\.Health\.Check"):
        methods_of([customer_service_pb2.DESCRIPTOR.services_by_name["CustomerService"], health])


def test_every_business_fact_is_named_in_the_contract() -> None:
    proto = Path(__file__).parents[3] / "proto" / "billing" / "v1" / "event_service.proto"
    text = proto.read_text(encoding="utf-8")
    assert [fact for fact in FactName if not re.search(rf"\b{fact}\b", text)] == []


def test_every_value_has_its_name_in_the_contract() -> None:
    assert {*mapping._STATES} == {*ConnectionState}
    assert {*mapping._MODES} == {*Mode}
    assert {*mapping._KINDS} == {*ConnectionKind}
    assert {*events.STATES} == {*EventState}
    assert {*events.ROW_STATES} == {*RowState}
    assert {*events.TELLINGS} == {*Telling}
    assert {*events.BASES} == {None, *Basis}
    read = {read_granularity(value, []) for value in period_pb2.Granularity.values()}
    assert read == {*Granularity}
