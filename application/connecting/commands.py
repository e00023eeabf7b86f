"""What callers ask for when they connect and disconnect."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BeginConnection:
    """Where to send a browser, and in which session it is."""

    redirect_uri: str
    session_digest: str


@dataclass(frozen=True, slots=True)
class CompleteConnection:
    """What Stripe sent back with the browser: a code with the state, or an error."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    error: str
    redirect_uri: str
    session_digest: str
