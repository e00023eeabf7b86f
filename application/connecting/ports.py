"""What connecting needs: Stripe's OAuth, and a memory of the states that were given out."""

import datetime as dt
from dataclasses import dataclass
from typing import Final, Protocol

from application.mutations.stripe import Call
from domain.oauth import Binding, OauthState

STATES_KEPT: Final = dt.timedelta(days=1)
"""How long a state is kept after its end, so that the change which has used it finds it again."""


class OauthStates(Protocol):
    """The states that were given out to browsers: `billing.oauth_states`.

    Each method is atomic and durable on return. Raises Unavailable (STORE_UNAVAILABLE) when the
    store does not answer.
    """

    async def add(self, state: OauthState, *, now: dt.datetime) -> None:
        """Keep a new state. A few that have ended STATES_KEPT ago or longer are removed, too."""
        ...

    async def count(self, account: str, *, now: dt.datetime, limit: int) -> int:
        """How many states of an account could be used at `now`, counted up to `limit`."""
        ...

    async def use(self, binding: Binding, digest: str, *, by: str, now: dt.datetime) -> bool:
        """Use a state up; whether it was there to be used: the one check of all there is to check.

        It is where its digest and binding are these, it ends after `now`, and nothing has used it.
        What has used it (`by`, not empty) may do so again, also after its end. Of two at once one
        succeeds. A state that is not used stays as it is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """What an owner gave: access to a Stripe account, in one mode. Its tokens are not kept."""

    stripe_account: str
    livemode: bool
    scope: str


@dataclass(frozen=True, slots=True)
class Deauthorized:
    """The platform has no access any more. `already`: it had none before."""

    already: bool = False


class OauthGateway(Protocol):
    """How an owner is asked for access, and how that is given back.

    The boundary is here because other ways of asking (hosted onboarding) end with the same. What
    its methods raise, `application/mutations/stripe.py` promises.
    """

    @property
    def is_set_up(self) -> bool:
        """Whether this deployment has what is needed: a client id."""
        ...

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Where to send the owner's browser. Nothing is asked of Stripe."""
        ...

    async def exchange(self, call: Call, code: str) -> Grant:
        """Exchange a code, which Stripe sends back with the browser. It is sent once, whatever.

        Raises FailedPrecondition (CODE_REFUSED) where Stripe does not take it.
        """
        ...

    async def deauthorize(self, call: Call, params: str) -> Deauthorized:
        """Give the access to the Stripe account `params` back. To have none is success.

        Raises FailedPrecondition (STRIPE_REFUSED) where Stripe refuses and gives access still.
        """
        ...

    async def find_deauthorized(
        self, call: Call, params: str, sent_at: dt.datetime
    ) -> Deauthorized | None:
        """What an earlier `deauthorize` has left: None where there is access still."""
        ...
