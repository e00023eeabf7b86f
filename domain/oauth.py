"""Connecting by OAuth (RFC 6749): what is remembered while an owner is asked for access."""

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from domain.connections import Mode

STATE_LIFETIME: Final = dt.timedelta(minutes=10)
"""How long an owner may take to answer. Stripe's code is then good for five minutes more."""

STATE_BYTES: Final = 32
"""A state is so many random bytes: 256 bits, which nobody guesses."""

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
"""A SHA-256 digest as text."""

CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""What Stripe's codes are made of: `ac_…`."""

OAUTH_ERROR: Final = re.compile(r"[a-z_]{1,64}")
"""A code of an error of OAuth (RFC 6749, 4.1.2.1), such as `access_denied`."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a connection was begun; it is completed there alone.

    `session_digest` is a digest of the browser's session, which the caller derives: so nobody can
    have another's browser complete what he has begun himself.
    """

    account: str
    session_digest: str
    redirect_uri: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class OauthState:
    """A state that was given out. Only its digest is kept, so no reader of a store can use it.

    `subject` is who began, for people. `used_by` names the one change that has used it; empty
    while there is none.
    """

    digest: str
    binding: Binding
    subject: str
    expires_at: dt.datetime
    used_by: str = ""


def digest_of(secret: str) -> str:
    """The digest that a state or a code is known by. It is random enough to need no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()
