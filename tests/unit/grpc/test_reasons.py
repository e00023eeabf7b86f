"""Every method of the contract says for which reasons it fails, and the table tells them all."""

import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Final

import billing_client.v1
import pytest
from billing_client.v1 import errors_pb2, options_pb2
from google.protobuf.descriptor import MethodDescriptor

from interfaces.grpc import contract
from interfaces.grpc.contract import CHANGES_STRIPE, declared_reasons
from tools.api_table import COMMON

ROOT: Final = Path(__file__).parents[3]
WITHOUT_REASONS: Final = frozenset(
    "ExportNotes ImportRates GetConnection GetContactMapping ListContactFields".split()
)
"""They need neither a connection nor an object that may be missing."""

MUTATION: Final = {"REQUEST_ID_REUSED", "REQUEST_IN_FLIGHT"}
AT_ONCE: Final = {"DebitUsage", "RefundUsage", "AdjustWallet"}
"""What an entry of the ledger alone records is never in flight: it stands, or it does not."""

PAIRS: Final = (
    ("STRIPE_NOT_CONNECTED", "STRIPE_CONNECTION_REVOKED"),
    ("STRIPE_RATE_LIMITED", "STRIPE_UNAVAILABLE"),
    ("STRIPE_UNAVAILABLE", "STRIPE_NOT_UNDERSTOOD"),
)


def methods() -> list[MethodDescriptor]:
    """Every method of every service."""
    (folder,) = billing_client.v1.__path__
    names = sorted(path.stem for path in Path(folder).glob("*_service_pb2.py"))
    files = [importlib.import_module(f"billing_client.v1.{name}").DESCRIPTOR for name in names]
    services = [service for file in files for service in file.services_by_name.values()]
    return [method for service in services for method in service.methods]


def reasons_of(method: MethodDescriptor) -> frozenset[str]:
    """The names of the reasons of a method, the implied ones included."""
    return contract.reasons_of(method.GetOptions())


every_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.full_name)


@every_method
def test_a_method_declares_its_reasons_once_and_not_the_common_ones(
    method: MethodDescriptor,
) -> None:
    reasons = declared_reasons(method.GetOptions())
    assert bool(reasons_of(method)) == (method.name not in WITHOUT_REASONS)
    assert [name for name, count in Counter(reasons).items() if count > 1] == []
    assert {*reasons} & {*COMMON, "OUTCOME_UNKNOWN", "UNSPECIFIED"} == set()


@every_method
def test_the_option_changes_stripe_stands_in_place_of_its_reasons(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    declared = {*declared_reasons(options)}
    assert not declared >= CHANGES_STRIPE
    if options.Extensions[options_pb2.changes_stripe]:
        assert "request_id" in method.input_type.fields_by_name
        assert declared & CHANGES_STRIPE == set()
        assert reasons_of(method) == declared | CHANGES_STRIPE
    else:
        assert reasons_of(method) == declared


def test_the_comment_of_the_option_names_the_reasons_that_it_implies() -> None:
    text = (ROOT / "proto" / "billing" / "v1" / "options.proto").read_text()
    (comment,) = re.findall(r"((?:  //[^\n]*\n)+)  bool changes_stripe", text)
    assert {*re.findall(r"\b(?:STRIPE|REQUEST)_[A-Z_]+\b", comment)} == CHANGES_STRIPE


@every_method
def test_reasons_that_come_together_are_declared_together(method: MethodDescriptor) -> None:
    reasons = reasons_of(method)
    fields = method.input_type.fields_by_name
    if "request_id" in fields:
        assert reasons >= MUTATION - ({"REQUEST_IN_FLIGHT"} if method.name in AT_ONCE else set())
    assert ("INVALID_PAGE_TOKEN" in reasons) == ("page_token" in fields or "resume_token" in fields)
    for one, other in PAIRS:
        assert (one in reasons) == (other in reasons)
    if "STRIPE_REFUSED" in reasons or "WRONG_STATE" in reasons:
        assert "STRIPE_UNAVAILABLE" in reasons


def test_the_table_has_every_method_and_every_reason() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    shown = re.findall(r"^\| `(\w+)`", text, re.MULTILINE)
    reasons = [name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()[1:]]
    assert sorted(shown) == sorted([*(method.name for method in methods()), *reasons])
