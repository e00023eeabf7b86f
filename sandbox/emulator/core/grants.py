"""The access that accounts give the platform: codes of OAuth, their exchange, their end."""

from dataclasses import dataclass
from typing import Final

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
        """The consent of a code, which is used up by it; OAuthError `invalid_grant`."""
        grant = self._grants.get(code)
        if grant is None:
            raise OAuthError("invalid_grant", f"Authorization code does not exist: {code}")
        if grant.used:
            raise OAuthError("invalid_grant", "This authorization code has already been used.")
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
