"""Which currencies a Stripe account takes payments in."""

import datetime as dt
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from application.background.clock import Clock
from application.connections.stripe import StripeAccounts
from application.mirror.nouns import STRIPE_ACCOUNTS
from application.mirror.ports import Mirror
from domain.errors import BillingError, Reason

KEPT: Final = dt.timedelta(days=1)
"""How long what Stripe says of a country is remembered: it changes when Stripe enters a market."""

_MOST: Final = 10_000


class CountrySpecs(Protocol):
    """What Stripe offers to accounts of a country.

    Raises what `application.connections.stripe` promises, and NotFound for a country where Stripe
    has no accounts.
    """

    async def payment_currencies(self, country: str) -> AbstractSet[str]:
        """The currencies, lower-case ISO 4217, in which accounts of a country take payments."""
        ...


class TakenCurrencies:
    """Tells whether a Stripe account takes payments in a currency, by its country.

    An account never changes its country, so that is remembered for good.
    """

    def __init__(
        self, specs: CountrySpecs, accounts: StripeAccounts, mirror: Mirror, clock: Clock
    ) -> None:
        self._specs = specs
        self._accounts = accounts
        self._mirror = mirror
        self._clock = clock
        self._countries: dict[str, str] = {}
        self._currencies: dict[str, tuple[dt.datetime, AbstractSet[str]]] = {}

    async def takes(self, stripe_account: str, currency: str) -> bool:
        """Whether it takes them, as far as is known; True where Stripe does not tell now.

        Then Stripe itself refuses the payment, and nothing is charged. Raises Unavailable
        (STORE_UNAVAILABLE) alone.
        """
        try:
            country = await self._country(stripe_account)
            return not country or currency in await self._of(country)
        except BillingError as error:
            if error.reason is Reason.STORE_UNAVAILABLE:
                raise
            return True

    async def _country(self, stripe_account: str) -> str:
        if country := self._countries.get(stripe_account):
            return country
        rows = await self._mirror.fetch(STRIPE_ACCOUNTS, stripe_account, [stripe_account])
        row = rows.get(stripe_account)
        known = row.snapshot.object if row and row.snapshot else None
        if known is None or not known.country:
            known = await self._accounts.get(stripe_account)
        if len(self._countries) >= _MOST:
            self._countries.clear()
        self._countries[stripe_account] = known.country or ""
        return known.country or ""

    async def _of(self, country: str) -> AbstractSet[str]:
        now = self._clock.now()
        at, known = self._currencies.get(country, (now - KEPT, frozenset()))
        if abs(now - at) >= KEPT:
            known = await self._specs.payment_currencies(country)
            self._currencies[country] = (now, known)
        return known
