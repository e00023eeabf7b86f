"""What payouts need of Stripe, of the store, and of what keeps the mirror right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.mirror.stripe import Priority
from domain.balances import BalanceReading


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a payout went: a bank account or a card, `type` in Stripe's word.

    Of a `deleted` one Stripe tells its id, its type and at most its currency.
    """

    id: str
    type: str
    bank_name: str = ""
    last4: str = ""
    currency: str = ""
    country: str = ""
    deleted: bool = False


class PayoutGateway(Protocol):
    """Reads at Stripe what is not mirrored. Raises as `application/mirror/stripe.py` says."""

    async def destination(self, stripe_account: str, payout: str) -> Destination | None:
        """Where a payout went; None where Stripe names nothing. NotFound without such a payout."""
        ...

    async def balance(self, stripe_account: str, *, priority: Priority) -> BalanceReading:
        """The present balance of an account, with the interval in which it was so; no ties."""
        ...


class MembershipReading(Protocol):
    """Has the transactions of payouts read from Stripe, in the background.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def ask(self, stripe_account: str, payouts: Sequence[str]) -> None:
        """Have payouts read soon; durable on return. Idempotent.

        Raises RateLimited (OVERLOADED) where too many wait.
        """
        ...

    async def is_due(self, stripe_account: str, payout: str) -> bool:
        """Whether a payout waits to be read, or is being read."""
        ...


class TransactionsReading(Protocol):
    """Reads the balance transactions that were made lately."""

    async def refresh(self, stripe_account: str) -> object:
        """Bring all that were made until now into the mirror.

        Raises Conflict where another process is at it, and as `application/mirror/stripe.py` says.
        May be cancelled: what was read until then is kept.
        """
        ...


class BalanceReadings(Protocol):
    """Keeps readings of balances, one an hour of Stripe's time.

    Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
    """

    async def last(self, stripe_account: str) -> BalanceReading | None:
        """The latest reading that is kept of an account."""
        ...

    async def keep(self, stripe_account: str, reading: BalanceReading) -> None:
        """Keep a reading, durably, in the place of an earlier one of the same hour.

        A later one of the hour stays. The hour is that of `start_ms`.
        """
        ...

    async def between(
        self, stripe_account: str, start_ms: int, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        """The kept readings that start in a time, end exclusive, in order; at most `limit`."""
        ...

    async def before(
        self, stripe_account: str, end_ms: int, *, limit: int
    ) -> Sequence[BalanceReading]:
        """The kept readings that start before an instant, the latest first; at most `limit`."""
        ...
