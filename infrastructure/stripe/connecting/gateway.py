"""OAuth of Connect ("OAuth reference"): an owner is asked, a code exchanged, access given back."""

import datetime as dt
from typing import Final

import msgspec
from typing_extensions import override

from application.connecting.ports import Deauthorized, Grant, OauthGateway
from application.connections.stripe import StripeAccounts
from application.mutations.stripe import Call
from domain.connections import STRIPE_ACCOUNT_ID
from domain.errors import FailedPrecondition, NotUnderstood, Reason
from infrastructure.stripe.core.client import PLATFORM, Request, StripeApi
from infrastructure.stripe.core.errors import OauthRefused, Subject
from infrastructure.stripe.core.send import after_sending

SCOPE: Final = "read_write"

_OF_THE_CODE: Final = ("invalid_grant", "invalid_request")
"""What is refused is the code: all else of the request is the same for every one."""


class _Token(msgspec.Struct, frozen=True):
    """What a code is exchanged for. The tokens stand beside these fields and are not read."""

    stripe_user_id: str
    livemode: bool
    scope: str = SCOPE


_decode: Final = msgspec.json.Decoder(_Token).decode


class StripeOauth(OauthGateway):
    """Stripe's OAuth for platforms, on its host for Connect."""

    def __init__(self, api: StripeApi, accounts: StripeAccounts, client_id: str) -> None:
        """`client_id` is the platform's, `ca_…`; empty where there is none."""
        self._api = api
        self._accounts = accounts
        self._client_id = client_id

    @property
    @override
    def is_set_up(self) -> bool:
        return bool(self._client_id)

    @override
    def authorize_url(self, redirect_uri: str, state: str) -> str:
        return self._api.authorize_url(
            {
                "client_id": self._client_id, "scope": SCOPE, "redirect_uri": redirect_uri,
                "state": state,
            }
        )  # fmt: skip

    @override
    async def exchange(self, call: Call, code: str) -> Grant:
        # Without an idempotency key, so that it is never repeated: a second exchange would end
        # what the first gave.
        params = {"grant_type": "authorization_code", "code": code}
        request = Request(
            "post", "/oauth/token", Subject("code"), PLATFORM, params=params, base="connect"
        )
        try:
            answer = await self._api.request(request)
        except OauthRefused as error:
            if error.code not in _OF_THE_CODE:
                raise
            raise FailedPrecondition(
                Reason.CODE_REFUSED,
                "Stripe does not take the code: it is unknown, used, too old, or of the other mode",
                subject="code",
                metadata={"stripe_code": error.code},
            ) from None
        return self._api.understand(answer, request, _grant)

    @override
    async def deauthorize(self, call: Call, params: str) -> Deauthorized:
        subject = Subject("account", params)
        request = Request(
            "post", "/oauth/deauthorize", subject, PLATFORM, base="connect",
            params={"client_id": self._client_id, "stripe_user_id": params},
            idempotency_key=call.idempotency_key,
        )  # fmt: skip
        try:
            await self._api.request(request)
        except OauthRefused as error:
            # The same code for a wrong client and for an account that gives no access.
            if error.code == "invalid_client" and not await self._has_access(params):
                return Deauthorized(already=True)
            raise FailedPrecondition(
                Reason.STRIPE_REFUSED,
                "Stripe does not take the access back; an operator must check "
                "BILLING_CONNECT_CLIENT_ID, or whether this account can be disconnected at all",
                subject="stripe",
                metadata={"stripe_code": error.code},
            ) from None
        return Deauthorized()

    @override
    async def find_deauthorized(
        self, call: Call, params: str, sent_at: dt.datetime
    ) -> Deauthorized | None:
        with after_sending():
            return None if await self._has_access(params) else Deauthorized()

    async def _has_access(self, stripe_account: str) -> bool:
        try:
            await self._accounts.get(stripe_account)
        except NotUnderstood:
            return True  # Stripe shows it, however oddly
        except FailedPrecondition as error:
            if error.reason is not Reason.STRIPE_CONNECTION_REVOKED:
                raise
            return False
        return True


def _grant(body: str) -> Grant:
    token = _decode(body)
    if not STRIPE_ACCOUNT_ID.fullmatch(token.stripe_user_id):
        raise ValueError("stripe_user_id: not a Stripe account's id")
    return Grant(token.stripe_user_id, token.livemode, token.scope)
