"""Up to when figures stand: what every reply tells beside its figures."""

import datetime as dt
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a Stripe account is known here. Instants are Stripe's time, aware UTC.

    All that happened before `data_through` is in the inbox. Below `closed_through`, a whole UTC
    hour, figures of the ledger change only by restatements. `importing`: history is imported for
    the first time, and has come back to `history_start`. `imported_at` is when that had ended, by
    our own clock. None of an instant: it cannot be said (yet).
    """

    data_through: dt.datetime | None = None
    closed_through: dt.datetime | None = None
    dead_letters: int = 0
    importing: bool = True
    history_start: dt.datetime | None = None
    imported_at: dt.datetime | None = None


class Standings(Protocol):
    """Tells how far an account is known. `upkeep`, which keeps the mirror right, answers."""

    async def of(self, stripe_account: str) -> Standing:
        """How the account stands now; `closed_through` never goes back.

        Raises Unavailable (STORE_UNAVAILABLE) when the store does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class CurrencyTrust:
    """How much of a figure in one currency is provisional, and was restated, in minor units.

    None where the figure does not tell.
    """

    currency: str
    figure: int
    provisional: int | None = None
    restated: int | None = None

    @property
    def provisional_share(self) -> Fraction | None:
        """|provisional| / |figure|; None where the figure is zero."""
        return _share(self.provisional, self.figure)

    @property
    def restated_share(self) -> Fraction | None:
        """|restated| / |figure|; None where the figure is zero."""
        return _share(self.restated, self.figure)


@dataclass(frozen=True, slots=True)
class BucketTrust:
    """Whether a bucket's figure still moves: by how much it was restated (None: it was not)."""

    closed: bool
    restated: int | None = None
    restatements: int = 0


@dataclass(frozen=True, slots=True)
class Trust:
    """What a reply tells beside its figures. `as_of` is None where the caller names none."""

    time_zone: str
    standing: Standing
    as_of: dt.datetime | None = None
    currencies: tuple[CurrencyTrust, ...] = ()
    missing_rates: tuple[str, ...] = field(default=())

    def closes(self, end: dt.datetime) -> bool:
        """Whether a bucket that ends at an instant is closed."""
        closed_through = self.standing.closed_through
        return closed_through is not None and end <= closed_through


def _share(part: int | None, figure: int) -> Fraction | None:
    return None if part is None or figure == 0 else Fraction(abs(part), abs(figure))
