"""Up to when figures stand: what every reply tells beside its figures."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from application.analytics.ports import FigureRow
from domain.errors import FieldViolation, InvalidArgument

SETTLED_AFTER: Final = dt.timedelta(minutes=1)
"""How old an instant must be to be asked for: what was known at it is then stored for certain."""


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
    """Up to when the figures of a reply stand. `as_of` is None where the caller names none."""

    time_zone: str
    standing: Standing
    as_of: dt.datetime | None = None

    def closes(self, end: dt.datetime) -> bool:
        """Whether a bucket that ends at an instant is closed."""
        closed_through = self.standing.closed_through
        return closed_through is not None and end <= closed_through


class TrustAnswers:
    """What every question tells beside its figures, and whether the past can be asked for."""

    def __init__(self, standings: Standings) -> None:
        self._standings = standings

    async def of(
        self, stripe_account: str, time_zone: str, *, as_of: dt.datetime | None = None
    ) -> Trust:
        """The trust of figures, of an account.

        InvalidArgument where `as_of` is before the account's history was imported.
        """
        standing = await self._standings.of(stripe_account)
        known_from = standing.imported_at
        if as_of is not None and (known_from is None or as_of < known_from):
            since = "it is not yet" if known_from is None else f"{known_from:%Y-%m-%dT%H:%M:%SZ}"
            rule = f"not before the account's history was imported: {since}"
            raise InvalidArgument([FieldViolation("as_of", rule)])
        return Trust(time_zone, standing, as_of)


def as_of_violations(as_of: dt.datetime | None, now: dt.datetime) -> Iterator[FieldViolation]:
    """What is wrong with an instant of the past by the clock alone."""
    if as_of is None:
        return
    if as_of > now:
        yield FieldViolation("as_of", "must not be in the future")
    elif now - as_of < SETTLED_AFTER:
        yield FieldViolation("as_of", "must be a minute old: leave it out for what is known now")


def _share(part: int | None, figure: int) -> Fraction | None:
    return None if part is None or figure == 0 else Fraction(abs(part), abs(figure))


def bucket_trusts(
    trust: Trust, ends: Sequence[dt.datetime], restated: Iterable[FigureRow], currency: str
) -> Sequence[BucketTrust]:
    """What each bucket of a series tells, by its end and its rows of `Ledger.restated`.

    The first of their sums counts, over all groups.
    """
    sums, counts = Counter[int](), Counter[int]()
    for row in restated:
        if row.currency == currency:
            sums[row.bucket] += row.sums[0]
            counts[row.bucket] += row.count
    return [
        BucketTrust(trust.closes(end), sums[number] if counts[number] else None, counts[number])
        for number, end in enumerate(ends)
    ]


def currency_trusts(
    figures: Iterable[FigureRow],
    provisional: Iterable[FigureRow] | None,
    restated: Iterable[FigureRow] | None,
) -> Sequence[CurrencyTrust]:
    """What each currency of a period's figures tells, in order of their code.

    The first sum of the rows counts. None: the figure does not tell how much of it is so.
    """
    totals, parts = (
        _totals(figures),
        [None if rows is None else _totals(rows) for rows in (provisional, restated)],
    )
    codes = {*totals, *(code for part in parts if part for code in part)}
    return [
        CurrencyTrust(code, totals[code], *(None if part is None else part[code] for part in parts))
        for code in sorted(codes)
    ]


def _totals(rows: Iterable[FigureRow]) -> Counter[str]:
    totals = Counter[str]()
    for row in rows:
        totals[row.currency] += row.sums[0]
    return totals


@dataclass(frozen=True, slots=True)
class Stands:
    """How a figure of the ledger stands, by rows of which the first sum counts.

    `ends` are those of its buckets, `pending` what Stripe has not made available (None: nobody
    knows), `restated` as `Ledger.restated` tells.
    """

    trust: Trust
    ends: Sequence[dt.datetime]
    figures: Sequence[FigureRow]
    pending: Sequence[FigureRow] | None
    restated: Sequence[FigureRow]

    @property
    def currencies(self) -> Sequence[CurrencyTrust]:
        """What each currency of the period tells."""
        return currency_trusts(self.figures, self.pending, self.restated)

    def provisional(self, currency: str) -> int | None:
        """How much of the figure in a currency may change without a restatement."""
        if self.pending is None:
            return None
        return _totals(self.pending)[currency]

    def buckets(self, currency: str) -> Sequence[BucketTrust]:
        """What each bucket of the figure in a currency tells."""
        return bucket_trusts(self.trust, self.ends, self.restated, currency)
