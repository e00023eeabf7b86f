"""Revenue questions: gross volume, its split, and numbers of charges."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.analytics.asking import Asking, BaseVolume, Figures, Series, first_sum, number
from application.analytics.metrics import (
    FAILED_CHARGES,
    GROSS_VOLUME,
    REVENUE_BY_REASON,
    SETTLEMENT_GROSS,
    SUCCEEDED_CHARGES,
    Metric,
)
from application.analytics.ports import FigureRow
from application.analytics.questions import Asked, Compared, Question
from application.analytics.trust import CurrencyTrust, currency_trusts
from application.requests.callers import Caller
from domain.analytics import Comparison
from domain.errors import FieldViolation

NEW: Final = "new"
RENEWING: Final = "renewing"
UPGRADE: Final = "upgrade"
ONE_OFF: Final = "one_off"

KINDS: Final = (NEW, RENEWING, UPGRADE, ONE_OFF)
"""The parts of revenue that are always there."""

KIND_OF_REASON: Final[Mapping[str | None, str]] = {
    "subscription_create": NEW,
    "subscription_cycle": RENEWING,
    "subscription_threshold": RENEWING,
    "subscription": RENEWING,
    "subscription_update": UPGRADE,
    "manual": ONE_OFF,
    "quote_accept": ONE_OFF,
    None: ONE_OFF,
}
"""What revenue is, by the billing reason of its invoice; any other keeps its own name."""


@dataclass(frozen=True, slots=True)
class CurrencyVolume:
    """Gross volume in one currency: `amounts` and `counts` hold a figure a bucket.

    `provisional` is how much of the period's may change its date: no transaction tells it yet.
    """

    currency: str
    total: Comparison
    amounts: Sequence[int]
    counts: Sequence[int]
    provisional: int = 0


@dataclass(frozen=True, slots=True)
class SettledVolume:
    """Gross volume in one settlement currency, by the date of its transactions."""

    currency: str
    volume: Series
    provisional: int = 0


@dataclass(frozen=True, slots=True)
class GrossVolume:
    """Gross volume of a period and the one before, per currency in order of its code."""

    time: Compared
    currencies: Sequence[CurrencyVolume]
    base: BaseVolume | None = None
    settled: Sequence[SettledVolume] = ()
    trusts: Sequence[CurrencyTrust] = ()


@dataclass(frozen=True, slots=True)
class ChargeCounts:
    """Numbers of charges of a period and the one before; the series hold a figure a bucket."""

    time: Compared
    succeeded: Comparison
    failed: Comparison
    succeeded_series: Sequence[int]
    failed_series: Sequence[int]


@dataclass(frozen=True, slots=True)
class CurrencySplit:
    """Revenue of one currency by what it was for; the parts sum to `total`, gross volume."""

    currency: str
    total: Series
    parts: Mapping[str, Series]
    provisional: int = 0


@dataclass(frozen=True, slots=True)
class RevenueSplit:
    """The split of each currency, in order of its code."""

    time: Compared
    currencies: Sequence[CurrencySplit]
    trusts: Sequence[CurrencyTrust] = ()


class RevenueAnalytics:
    """Answers the questions of one connection.

    `violations` are those of reading the caller's input; they are refused with the rest.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def gross_volume(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> GrossVolume:
        """What was captured of charges."""
        return await self.gross_of(await self._asking.asked(caller, question, violations))

    async def charge_counts(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> ChargeCounts:
        """How many charges succeeded and failed: attempts, not payments."""
        asked = await self._asking.asked(caller, question, violations)
        figures = await asyncio.gather(
            self._asking.figures(asked, SUCCEEDED_CHARGES),
            self._asking.figures(asked, FAILED_CHARGES),
        )
        succeeded, failed = (each.series(number) for each in figures)
        return ChargeCounts(
            asked.time, succeeded.total, failed.total, succeeded.values, failed.values
        )

    async def revenue_split(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> RevenueSplit:
        """What was captured, by what it was for."""
        return await self.split_of(await self._asking.asked(caller, question, violations))

    async def gross_of(self, asked: Asked) -> GrossVolume:
        """Gross volume of a question that was checked.

        A currency that is asked for narrows what customers paid in; what settled is told whole.
        """
        figures, settled, base = await asyncio.gather(
            self._asking.figures(asked, GROSS_VOLUME),
            self._asking.figures(replace(asked, currency=""), SETTLEMENT_GROSS),
            self._asking.base_volume(asked, GROSS_VOLUME),
        )
        return GrossVolume(
            asked.time,
            [_volume(figures, code) for code in figures.codes],
            base,
            [
                SettledVolume(code, settled.of(code).series(first_sum), _pending(settled, code))
                for code in settled.codes
            ],
            _trusts(figures, GROSS_VOLUME),
        )

    async def split_of(self, asked: Asked) -> RevenueSplit:
        """The split of a question that was checked."""
        figures = await self._asking.figures(asked, REVENUE_BY_REASON)
        parts = [_split(figures.of(code), code) for code in figures.codes]
        return RevenueSplit(asked.time, parts, _trusts(figures, REVENUE_BY_REASON))


def _volume(figures: Figures, currency: str) -> CurrencyVolume:
    own = figures.of(currency)
    amounts, counts = own.series(first_sum), own.series(number)
    provisional = sum(row.sums[0] for row in own.now if not row.group[0])
    return CurrencyVolume(currency, amounts.total, amounts.values, counts.values, provisional)


def _trusts(figures: Figures, metric: Metric) -> Sequence[CurrencyTrust]:
    """How much may change its date: that of charges whose transaction is not known yet."""
    place = metric.by.index("settled_in")
    return currency_trusts(figures.now, [row for row in figures.now if not row.group[place]], None)


def _pending(figures: Figures, currency: str) -> int:
    return sum(row.sums[0] for row in figures.of(currency).now if row.group[0] == "pending")


def _split(figures: Figures, currency: str) -> CurrencySplit:
    parts = {kind: part.series(first_sum) for kind, part in figures.by(_kind, KINDS).items()}
    provisional = sum(row.sums[0] for row in figures.now if not row.group[1])
    return CurrencySplit(currency, figures.series(first_sum), parts, provisional)


def _kind(row: FigureRow) -> str:
    reason: str | None = row.group[0]
    return KIND_OF_REASON.get(reason, reason or ONE_OFF)
