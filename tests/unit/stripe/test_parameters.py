"""A field stands in one table, and the gateway writes every field of that table, and no other."""

import dataclasses
from typing import Final, get_type_hints

import pytest

from application.customers.ports import CustomerFields
from application.invoices.ports import InvoiceFields
from domain.customers import Address
from infrastructure.stripe.customers.gateway import PARAMETERS as CUSTOMER
from infrastructure.stripe.invoices.gateway import PARAMETERS as INVOICE
from tests.support.contract.field_tables import PARAMETERS, TABLES

NOT_AT_STRIPE: Final[frozenset[str]] = frozenset({"contact_mapping"})
"""The nouns that callers change, and that Stripe does not have."""


def test_every_noun_that_callers_change_is_written_by_its_gateway() -> None:
    assert {"customer", "invoice", "price", "product", "subscription"} <= {*TABLES}
    assert {*TABLES} - NOT_AT_STRIPE == {*PARAMETERS}


@pytest.mark.parametrize("noun", TABLES)
def test_the_values_of_a_noun_are_its_fields(noun: str) -> None:
    table = TABLES[noun]
    assert len({*table.names}) == len(table.names)
    held = [field.attribute or field.name for field in table.fields]
    assert sorted(held) == sorted(field.name for field in dataclasses.fields(table.values))


@pytest.mark.parametrize("noun", PARAMETERS)
def test_gateway_and_table_name_the_same_fields(noun: str) -> None:
    parameters = PARAMETERS[noun]
    assert parameters.table is TABLES[noun]
    assert {*parameters.written} == {*parameters.table.names}


@pytest.mark.parametrize("noun", PARAMETERS)
def test_a_field_is_written_by_parameters_that_stripe_has(noun: str) -> None:
    parameters = PARAMETERS[noun]
    assert all(parameters.written.values()), "a field that no parameter writes"
    assert {*parameters.fields} <= {*get_type_hints(parameters.of_update)}
    assert sum(map(len, parameters.written.values())) == len(parameters.fields), "shared by two"


def test_an_update_clears_and_a_creation_leaves_out_what_is_empty() -> None:
    fields = CustomerFields(name="Ada", email="", address=Address(city="Ulm"), metadata={"a": ""})
    parts = {"line1": "", "line2": "", "state": "", "postal_code": "", "country": ""}
    assert CUSTOMER.change(fields) == {
        "name": "Ada", "email": "", "address": {"city": "Ulm", **parts}, "metadata": {"a": ""},
    }  # fmt: skip
    assert CUSTOMER.create(fields, "tag") == {
        "name": "Ada", "address": {"city": "Ulm"}, "metadata": {"billing_request": "tag"},
    }  # fmt: skip
    assert CUSTOMER.change(CustomerFields(address=Address())) == {"address": ""}
    assert CUSTOMER.change(CustomerFields()) == {}


def test_false_and_zero_are_written_to_a_new_object_too() -> None:
    fields = InvoiceFields(auto_advance=False, days_until_due=0, default_payment_method="card_1")
    assert INVOICE.create(fields, "tag") == {
        "auto_advance": False, "days_until_due": 0, "default_source": "card_1",
        "metadata": {"billing_request": "tag"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameter", "field"),
    [
        ("due_date", "due_time"),
        ("default_source", "default_payment_method"),
        ("metadata[a]", "metadata[a]"),
        ("customer", "customer"),
        ("", ""),
        ("lines[0].due_date", "lines[0].due_date"),
    ],
)
def test_a_refused_parameter_is_told_by_the_fields_name(parameter: str, field: str) -> None:
    assert INVOICE.field_of(parameter) == field


@pytest.mark.parametrize(
    ("parameter", "is_field"),
    [
        ("due_date", True),
        ("metadata[a]", True),
        ("due_time", False),
        ("customer", False),
        ("", False),
    ],
)
def test_what_is_a_parameter_of_a_field(parameter: str, is_field: bool) -> None:
    assert INVOICE.writes(parameter) is is_field
