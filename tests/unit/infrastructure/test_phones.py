"""Telephone numbers: many spellings are one number."""

import pytest

from infrastructure.phones import NumberingPlans

PLANS = NumberingPlans()


@pytest.mark.parametrize(
    "text", ["+1 415 555 2671", "(415) 555-2671", "415.555.2671", "1-415-555-2671", "4155552671"]
)
def test_every_spelling_is_the_same_number(text: str) -> None:
    assert PLANS.e164(text, "US") == "+14155552671"


def test_a_number_of_another_country_bears_its_code() -> None:
    assert PLANS.e164("+49 30 901820", "US") == "+4930901820"
    assert PLANS.e164("030 901820", "DE") == "+4930901820"
    assert PLANS.e164("030 901820", "") is None


@pytest.mark.parametrize("text", [None, "", "call me", "12", "+1" + "5" * 60, "41555526"])
def test_what_can_be_no_number_is_none(text: str | None) -> None:
    assert PLANS.e164(text, "US") is None
    assert PLANS.spellings(text, "US") == ()


def test_spellings_are_each_told_once_and_name_the_same_number() -> None:
    told = PLANS.spellings("(415) 555-2671", "US")
    assert told[0] == "+14155552671"
    assert {"14155552671", "+1 415-555-2671", "(415) 555-2671", "4155552671"} <= set(told)
    assert len(told) == len(set(told))
    assert {PLANS.e164(one, "US") for one in told} == {"+14155552671"}
