"""docs/integration.md names what other services read: every fact, field and kind that we write."""

import re
from pathlib import Path
from typing import Final

import pytest

from application.checkouts.sellers import SELLER_UNAVAILABLE
from application.support.payment_notices import PAYMENT_NOTICE
from application.wallet.low import WALLET_LOW
from domain.contacts import STANDARD_FIELDS
from domain.effects import Fact, FactName, fact_payload

PAGE: Final = Path(__file__).parents[3] / "docs" / "integration.md"


@pytest.mark.parametrize(
    "name",
    [
        *(fact.value for fact in FactName),
        *(field.name for field in STANDARD_FIELDS),
        *fact_payload(Fact(FactName.INVOICE_PAID, "in_1", "in_1"), "acct_1", 0),
        PAYMENT_NOTICE,
        WALLET_LOW,
        SELLER_UNAVAILABLE,
    ],
)
def test_the_page_names_each_fact_field_and_kind(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}`", PAGE.read_text(encoding="utf-8"))
