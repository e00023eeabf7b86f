"""Country specs by the API: in which currencies accounts of a country take payments."""

import pytest

from domain.errors import NotFound
from infrastructure.stripe.checkouts.country_specs import StripeCountrySpecs
from infrastructure.stripe.core.client import StripeApi


async def test_the_currencies_of_a_country(api: StripeApi) -> None:
    specs = StripeCountrySpecs(api)
    assert {"usd", "eur", "jpy"} <= await specs.payment_currencies("US")
    assert await specs.payment_currencies("BR") == {"brl"}


@pytest.mark.parametrize("country", ["zz", "USA", "../accounts"])
async def test_a_country_without_accounts(api: StripeApi, country: str) -> None:
    with pytest.raises(NotFound):
        await StripeCountrySpecs(api).payment_currencies(country)
