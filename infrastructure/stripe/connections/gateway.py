"""Stripe accounts themselves: the platform's own and the connected ones."""

from typing import Final

import msgspec
from typing_extensions import override

from application.connections.stripe import StripeAccounts
from application.mirror.stripe import Priority
from domain.stripe_accounts import StripeAccount
from infrastructure.stripe.connections.translation import AccountShape, to_domain
from infrastructure.stripe.core.client import PLATFORM, Request, StripeApi, segment
from infrastructure.stripe.core.errors import Subject

_decode: Final = msgspec.json.Decoder(AccountShape).decode


def account_request(
    api: StripeApi, stripe_account: str, priority: Priority = Priority.CALLER
) -> Request:
    """The request for an account, on the platform's own behalf: it is shown to nobody else.

    There is no 404 for one that the platform has no access to, but a 403 ("Retrieve account").
    """
    ours = api.is_platform(stripe_account)
    path = "/v1/account" if ours else f"/v1/accounts/{segment('account', stripe_account)}"
    return Request("get", path, Subject("account", stripe_account), PLATFORM, priority=priority)


class StripeConnectedAccounts(StripeAccounts):
    """Accounts as the platform's key sees them."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def get(self, stripe_account: str) -> StripeAccount:
        return await self._read(account_request(self._api, stripe_account))

    @override
    async def platform(self) -> StripeAccount:
        account = await self._read(account_request(self._api, PLATFORM))
        self._api.know_platform_account(account.id)
        return account

    async def _read(self, request: Request) -> StripeAccount:
        answer = await self._api.request(request)
        return self._api.understand(answer, request, lambda body: to_domain(_decode(body))[0])
