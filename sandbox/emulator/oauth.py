"""OAuth of Connect (docs, "OAuth reference"): a code for access to an account, and its end.

The owner of an account consents, or declines, by the control API's `authorizations`, which takes
the address of the authorize page and answers where Stripe would send the owner's browser then.
"""

from html import escape
from typing import Final

from sandbox.emulator.core.call import Action, Call, Noun
from sandbox.emulator.core.grants import CLIENT_ID, OAuthError, ReusedCodeError, check_page
from sandbox.emulator.core.params import Boolean, Text
from sandbox.emulator.core.values import Download, JsonObject, Scope

_AUTHORIZE: Final = {
    name: Text()
    for name in ("client_id", "redirect_uri", "response_type", "scope", "state", "stripe_landing")
}

_TOKEN: Final = {
    "assert_capabilities": Boolean(),
    "client_secret": Text(),
    "code": Text(),
    "grant_type": Text(),
    "refresh_token": Text(),
    "scope": Text(),
}

_DEAUTHORIZE: Final = {"client_id": Text(), "client_secret": Text(), "stripe_user_id": Text()}


_PAGE: Final = """\
<!doctype html><title>Connect</title>
<h1>{name} asks for access ({scope})</h1>
<p>Nobody can sign in here. Consent for an account, or decline, with the emulator's control API:</p>
<pre>POST {address}/_emulator/authorizations
{{"account": "acct_...", "page": "(the address of this page)", "declined": false}}</pre>
<p>It answers with the address to which Stripe would send the browser.</p>
"""


def _authorize(call: Call) -> JsonObject:
    """What an owner is asked for. Stripe asks it of his browser, so it needs no key."""
    check_page(call.params)
    return call.params


def _page(call: Call, asked: JsonObject) -> Download:
    name: str = call.world.application()["name"]
    page = _PAGE.format(
        name=escape(name), scope=escape(asked.get("scope", "read_only")),
        address=escape(call.address),
    )  # fmt: skip
    return Download(page.encode(), "text/html; charset=utf-8")


def _anybody(_: str) -> Scope:
    return Scope("", livemode=False)


def _token(call: Call) -> JsonObject:
    """`authorization_code` only: the other grants are of flows that nobody here uses."""
    params, world = call.params, call.world
    if params.get("grant_type") != "authorization_code":
        raise OAuthError("unsupported_grant_type", "The grant type is not authorization_code.")
    if not params.get("code"):
        raise OAuthError("invalid_request", "No authorization code provided")
    livemode = call.scope.livemode
    try:
        grant = world.grants.exchange(params["code"], call.now, livemode=livemode)
    except ReusedCodeError as error:
        # RFC 6749, 4.1.2: what the first exchange gave is revoked.
        if world.accounts.connected(error.account):
            world.deauthorize(error.account)
        raise
    secret = world.ids.text(24)
    world.accounts.connect(grant.account, secret)
    scope = Scope(grant.account, livemode)
    kind = "account.application.authorized"
    world.events.emit(scope, kind, world.application(), None, call.origin)
    mode = "live" if livemode else "test"
    return {
        "access_token": f"sk_{mode}_{secret}",
        "livemode": livemode,
        "refresh_token": f"rt_{world.ids.text(32)}",
        "scope": "read_write",
        "stripe_publishable_key": f"pk_{mode}_{secret}",
        "stripe_user_id": grant.account,
        "token_type": "bearer",
    }


def _deauthorize(call: Call) -> JsonObject:
    """Give the access back; Connect endpoints hear of it."""
    account, accounts = call.params.get("stripe_user_id"), call.world.accounts
    client = call.params.get("client_id")
    if client != CLIENT_ID:
        raise OAuthError("invalid_client", f"No such application: '{client}'")
    if account is None or account == accounts.platform or not accounts.connected(account):
        raise OAuthError(
            "invalid_client",
            f"This application is not connected to stripe account {account}, or that account "
            "does not exist.",
        )
    call.world.deauthorize(account)
    return {"stripe_user_id": account}


NOUN: Final = Noun(
    object="oauth",
    collection="oauth",
    prefix="oauth",
    fields={},
    actions=(
        Action("GET", "/oauth/authorize", _AUTHORIZE, _authorize, keyless=_anybody, sends=_page),
        Action("POST", "/oauth/token", _TOKEN, _token),
        Action("POST", "/oauth/deauthorize", _DEAUTHORIZE, _deauthorize),
    ),
)
