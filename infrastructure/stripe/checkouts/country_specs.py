"""What Stripe offers to accounts of a country."""

from collections.abc import Set as AbstractSet
from typing import Final

import msgspec
from typing_extensions import override

from application.checkouts.currencies import CountrySpecs
from infrastructure.stripe.core.client import PLATFORM, Request, StripeApi, segment
from infrastructure.stripe.core.errors import Subject


class _Shape(msgspec.Struct, frozen=True, gc=False):
    """A country spec, as in the API reference, "The Country Spec object"."""

    supported_payment_currencies: list[str]


_decode: Final = msgspec.json.Decoder(_Shape).decode


class StripeCountrySpecs(CountrySpecs):
    """Country specs by the API, on the platform's own behalf: they are the same for everybody."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def payment_currencies(self, country: str) -> AbstractSet[str]:
        path = f"/v1/country_specs/{segment('country_spec', country)}"
        request = Request("get", path, Subject("country_spec", country), PLATFORM)
        spec = self._api.understand(await self._api.request(request), request, _decode)
        return frozenset(spec.supported_payment_currencies)
