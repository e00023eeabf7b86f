"""Stripe accounts themselves: the platform's own and the connected ones."""

from typing import Final

import msgspec
from typing_extensions import override

from application.ports.stripe import StripeAccount, StripeAccounts
from infrastructure.stripe.client import PLATFORM, Request, StripeApi, quoted
from infrastructure.stripe.errors import Subject
from infrastructure.stripe.shapes import Identifier


class _AccountShape(msgspec.Struct, frozen=True, gc=False):
    """An account, as in the API reference, "The Account object"."""

    id: Identifier
    charges_enabled: bool = False
    payouts_enabled: bool = False
    default_currency: str | None = None
    country: str | None = None
    capabilities: dict[str, str] | None = None


_ACCOUNT: Final = msgspec.json.Decoder(_AccountShape)


class StripeConnectedAccounts(StripeAccounts):
    """Accounts as the platform's key sees them."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def get(self, stripe_account: str) -> StripeAccount:
        path = f"/v1/accounts/{quoted(stripe_account)}"
        return await self._read(path, Subject("account", stripe_account))

    @override
    async def platform(self) -> StripeAccount:
        account = await self._read("/v1/account", Subject("account"))
        self._api.know_platform_account(account.id)
        return account

    async def _read(self, path: str, subject: Subject) -> StripeAccount:
        request = Request("get", path, subject, PLATFORM)
        answer = await self._api.request(request)
        shape = self._api.understand(answer, request, _ACCOUNT.decode)
        return StripeAccount(
            id=shape.id,
            charges_enabled=shape.charges_enabled,
            payouts_enabled=shape.payouts_enabled,
            default_currency=shape.default_currency or "",
            country=shape.country or "",
            capabilities=shape.capabilities or {},
        )
