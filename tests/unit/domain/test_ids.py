"""Ids of objects at Stripe: one rule, and what is named after them."""

import hashlib
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.contacts.violations import contact_id_violations
from application.requests.violations import id_violations
from domain.accounts import ACCOUNT_ID
from domain.contacts import contact_id_for, customer_of
from domain.effects import FactName
from domain.ids import is_object_id
from domain.jobs import MAX_ID_CHARACTERS, job_id
from infrastructure.stripe.core.shapes import Identifier
from tests.support.contract.odd_ids import DOTS, LONGEST, NO_IDS, ODD_IDS, object_ids

KIND = f"events.{FactName.CUSTOMER_CREATED}"
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


def job_of(customer: str, account: str = "acme") -> str:
    return job_id(KIND, account, FactName.CUSTOMER_CREATED, customer)


def is_read(text: str) -> bool:
    """Whether Stripe's answers are understood with it."""
    try:
        return msgspec.json.decode(msgspec.json.encode(text), type=Identifier) == text
    except msgspec.ValidationError:
        return False


@pytest.mark.parametrize("id_", [*ODD_IDS, *DOTS])
def test_an_id_is_any_text_of_a_line(id_: str) -> None:
    assert is_object_id(id_)
    assert is_read(id_)
    assert list(id_violations(id_, "id", "cus_1")) == []


@pytest.mark.parametrize("id_", NO_IDS)
def test_what_is_no_id_is_told_with_the_rule(id_: str) -> None:
    assert not is_object_id(id_)
    assert not is_read(id_)
    (violation,) = id_violations(id_, "customer.id", "cus_1")
    assert violation.field == "customer.id"
    assert "1 to 255 characters, without control characters" in violation.rule


@given(st.text(max_size=260))
def test_what_is_read_of_stripe_is_what_callers_may_say(text: str) -> None:
    assert is_read(text) is is_object_id(text) is not any(id_violations(text, "id", "cus_1"))


def test_a_lone_surrogate_is_no_character() -> None:
    assert not is_object_id("a\ud800")


@given(PRINTABLE)
def test_the_jobs_of_printable_ids_are_named_as_ever(id_: str) -> None:
    assert job_of(id_) == f"{KIND}/acme/customer_created/{id_}"


@given(object_ids, object_ids)
def test_every_id_has_jobs_of_its_own_that_any_header_takes(one: str, other: str) -> None:
    for id_ in (one, other):
        assert re.fullmatch(rf"[!-~]{{1,{MAX_ID_CHARACTERS}}}", job_of(id_))
    assert (job_of(one) == job_of(other)) is (one == other)


def test_no_spelling_of_an_id_is_taken_for_another_id() -> None:
    spelled = [*ODD_IDS, *DOTS]
    for _ in range(3):  # a merchant may choose what we would make of another id
        spelled += [job_of(id_).rpartition("/")[2] for id_ in spelled]
    ids = set(spelled)
    assert len({job_of(id_) for id_ in ids}) == len(ids)


def test_the_job_of_a_long_id_ends_in_its_digest() -> None:
    digest = hashlib.sha256(LONGEST.encode()).hexdigest()
    assert job_of(LONGEST) == f"{KIND}/acme/customer_created:sha256/{digest}"
    assert job_of("größe m") == f"{KIND}/acme/customer_created:utf8/gr%C3%B6%C3%9Fe%20m"


@given(object_ids)
def test_the_contact_of_a_customer_has_an_id_that_calls_take(customer: str) -> None:
    assert not any(contact_id_violations(contact_id_for("acme", "acct_1", customer), "contact"))


def test_contacts_of_customers_have_ids_as_ever() -> None:
    assert contact_id_for("acme", "acct_1", "cus_1") == "stripe-acme-acct_1-cus_1"
    assert contact_id_for("acme", "acct_1", "desk@x.test") == "stripe-acme-acct_1-desk@x.test"
    longest = contact_id_for("a" * 64, f"acct_{'1' * 64}", LONGEST)
    assert not any(contact_id_violations(longest, "contact"))


@given(object_ids | st.sampled_from(ODD_IDS))
def test_a_contact_tells_of_which_customer_it_was_made(customer: str) -> None:
    contact = contact_id_for("acme", "acct_1", customer)
    made_of = customer_of(contact, "acme", "acct_1")
    assert made_of == customer or contact.startswith("stripe:sha256-")
    assert customer_of(contact, "acme", "acct_2") is None
    assert customer_of("contact-7", "acme", "acct_1") is None


OWNERS = st.tuples(
    st.from_regex(ACCOUNT_ID, fullmatch=True) | st.sampled_from(["a", "a-acct_1", "a-acct_1-a"]),
    st.sampled_from(["acct_1", "acct_2"]),
    object_ids | st.sampled_from([*ODD_IDS, "acct_1-x", "acct_2-x", "a-acct_2-x", "x"]),
)


@given(OWNERS, OWNERS)
def test_no_two_customers_become_one_contact(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (contact_id_for(*one) == contact_id_for(*other)) is (one == other)


def test_a_customers_id_cannot_pretend_to_be_another_accounts() -> None:
    assert contact_id_for("a", "acct_1", "acct_2-x") != contact_id_for("a-acct_1", "acct_2", "x")
