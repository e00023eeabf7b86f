"""Quotes as callers hold them: signed, short, and nobody alters them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quotes import quote
from infrastructure.security.quotes import HmacQuotes
from tests.support.rooms.store import ADD_ON, NOON, terms

SIGNER = HmacQuotes(b"k" * 32)
SEAL = quote(terms(ADD_ON, 2)).sealed("0123456789abcdef" * 2, NOON)


def test_a_quote_is_read_as_it_was_written_and_fits_into_an_error() -> None:
    text = SIGNER.write(SEAL)
    assert SIGNER.read(text) == SEAL
    assert len(text) <= 128


@given(st.integers(0, 111), st.characters(codec="utf-8"))
def test_nobody_alters_a_quote(place: int, character: str) -> None:
    text = SIGNER.write(SEAL)
    other = text[:place] + character + text[place + 1 :]
    assert (SIGNER.read(other) is None) == (other != text)


@pytest.mark.parametrize("text", ["", "x", "x" * 112, "é" * 112, "=" * 112, "\ud800" * 112])
def test_what_was_never_signed_is_no_quote(text: str) -> None:
    assert SIGNER.read(text) is None
    assert HmacQuotes(b"l" * 32).read(SIGNER.write(SEAL)) is None
