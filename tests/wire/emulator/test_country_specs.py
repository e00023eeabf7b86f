"""Country specs, as Stripe's SDK reads them."""

import pytest
import stripe


async def test_a_country_spec_names_its_currencies(client: stripe.StripeClient) -> None:
    spec = await client.v1.country_specs.retrieve_async("DE")
    assert (spec.id, spec.object, spec.default_currency) == ("DE", "country_spec", "eur")
    assert {"eur", "usd"} <= {*spec.supported_payment_currencies}
    few = await client.v1.country_specs.retrieve_async("BR")
    assert few.supported_payment_currencies == ["brl"]


async def test_there_is_no_such_country(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await client.v1.country_specs.retrieve_async("nowhere")
    assert caught.value.http_status == 404
