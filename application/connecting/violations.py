"""What is wrong with a caller's input when he connects."""

from collections.abc import Collection, Iterator
from typing import Final

from application.connecting.commands import BeginConnection, CompleteConnection
from application.requests.violations import text_violations
from domain.errors import FieldViolation
from domain.oauth import CODE, DIGEST, OAUTH_ERROR

_DIGEST_RULE: Final = "the SHA-256 digest of a secret of the session: 64 digits of 0-9a-f"
_MAX_CHARACTERS: Final = 2_048


def begin_violations(
    command: BeginConnection, redirect_uris: Collection[str], *, set_up: bool
) -> Iterator[FieldViolation]:
    """The address and the session. The address is compared as it is, as Stripe does."""
    if not set_up:
        rule = "this deployment cannot connect accounts; BILLING_CONNECT_CLIENT_ID lets it"
        yield FieldViolation("redirect_uri", rule)
    elif command.redirect_uri not in redirect_uris:
        rule = "must be exactly one of BILLING_CONNECT_REDIRECT_URIS"
        yield FieldViolation("redirect_uri", rule)
    yield from _digest_violations(command.session_digest)


def complete_violations(command: CompleteConnection) -> Iterator[FieldViolation]:
    """A code with a state, or an error; a state with where it was begun.

    A state that is none is no violation: it is unknown, as any other that was not given out.
    """
    if bool(command.code) is bool(command.error):
        yield FieldViolation("code", "either a code or an error is needed")
    elif command.code and not CODE.fullmatch(command.code):
        yield FieldViolation("code", "must be as Stripe sent it, such as ac_...")
    elif command.error and not OAUTH_ERROR.fullmatch(command.error):
        yield FieldViolation("error", "must be as Stripe sent it, such as access_denied")
    if command.code and not command.state:
        yield FieldViolation("state", "is required with a code")
    yield from text_violations(command.state, "state", _MAX_CHARACTERS)
    yield from text_violations(command.redirect_uri, "redirect_uri", _MAX_CHARACTERS)
    if command.state or command.session_digest:
        yield from _digest_violations(command.session_digest)
    if command.state and not command.redirect_uri:
        yield FieldViolation("redirect_uri", "is required with a state")


def _digest_violations(digest: str) -> Iterator[FieldViolation]:
    if not DIGEST.fullmatch(digest):
        yield FieldViolation("session_digest", _DIGEST_RULE)
