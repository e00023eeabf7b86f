"""The access that accounts give the platform: codes of OAuth, their exchange, their end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from typing_extensions import override

from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.values import JsonObject

CLIENT_ID: Final = "ca_emulator"
"""The platform's, in both modes."""

CODE_SECONDS: Final = 300
"""A code is good for five minutes, and once."""

MOST_KEPT: Final = 10_000


class OAuthError(ApiError):
    """An error in the envelope of OAuth (RFC 6749, 5.2), with its code as `error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(401 if code == "invalid_client" else 400, message, code=code)

    @override
    def envelope(self, log_url: str) -> JsonObject:
        return {"error": self.code, "error_description": self.message}


class ReusedCodeError(OAuthError):
    """A code comes a second time; `account` is the one that the first exchange gave access to."""

    def __init__(self, account: str) -> None:
        super().__init__("invalid_grant", "This authorization code has already been used.")
        self.account = account


@dataclass(slots=True)
class Grant:
    """An owner's consent: to which account, in which mode, until when."""

    account: str
    livemode: bool
    expires: int
    used: bool = False


class Grants:
    """The codes given, at most MOST_KEPT, the oldest forgotten."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}

    def give(self, code: str, grant: Grant) -> None:
        """Let a code stand for a consent."""
        self._grants[code] = grant
        if len(self._grants) > MOST_KEPT:
            del self._grants[next(iter(self._grants))]

    def exchange(self, code: str, now: int, *, livemode: bool) -> Grant:
        """The consent of a code, which is used up by it; OAuthError `invalid_grant`.

        ReusedCodeError where it was used up before.
        """
        grant = self._grants.get(code)
        if grant is None:
            raise OAuthError("invalid_grant", f"Authorization code does not exist: {code}")
        if grant.used:
            raise ReusedCodeError(grant.account)
        if now >= grant.expires:
            raise OAuthError("invalid_grant", f"Authorization code expired: {code}")
        if grant.livemode != livemode:
            mode, other = ("live", "test") if grant.livemode else ("test", "live")
            raise OAuthError(
                "invalid_grant",
                f"The code was issued in {mode} mode, but the key is one of {other} mode.",
            )
        grant.used = True
        return grant


def check_page(asked: Mapping[str, str]) -> None:
    """OAuthError where an authorize page is asked for what no owner can be asked for.

    Stripe compares `redirect_uri` with those of the platform's settings; here are none, so any is
    right that is an address.
    """
    if asked.get("client_id") != CLIENT_ID:
        raise OAuthError("invalid_client", "No application matches the supplied client identifier")
    if asked.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if asked.get("scope", "read_only") not in ("read_only", "read_write"):
        raise OAuthError("invalid_scope", "scope must be read_only or read_write")
    redirect = urlsplit(asked.get("redirect_uri", ""))
    if redirect.scheme not in ("http", "https") or not redirect.netloc:
        raise OAuthError("invalid_redirect_uri", "Invalid redirect URI")


def asked_by(page: str) -> dict[str, str]:
    """The parameters in the address of an authorize page; OAuthError as `check_page`."""
    asked = dict(parse_qsl(urlsplit(page).query))
    check_page(asked)
    return asked


def sent_back(asked: Mapping[str, str], *, code: str = "") -> str:
    """Where the owner's browser is sent, with a code, or (empty) since he has declined.

    `state` comes back with a code alone. Stripe's refusals may lack it, so a caller that needs it
    there must be wrong here, too.
    """
    answer = {"scope": asked.get("scope", "read_only"), "code": code}
    if not code:
        answer = {"error": "access_denied", "error_description": "The user denied your request"}
    elif "state" in asked:
        answer["state"] = asked["state"]
    to = urlsplit(asked["redirect_uri"])
    query = urlencode([*parse_qsl(to.query), *answer.items()])
    return urlunsplit((to.scheme, to.netloc, to.path, query, ""))
