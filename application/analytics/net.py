"""Net volume: what is left of gross volume, part by part, and what else moved the balance."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.analytics.asking import Asking, BaseVolume, Figures, Series, stands_of
from application.analytics.metrics import NET_VOLUME
from application.analytics.ports import FigureRow
from application.analytics.questions import Asked, Compared, Question
from application.analytics.trust import BucketTrust, CurrencyTrust, Stands
from application.requests.callers import Caller
from domain.errors import FieldViolation
from domain.reporting_categories import APART, NetPart, net_part

PARTS = tuple(part for part in NetPart if part not in APART)
"""The parts that sum to net."""


@dataclass(frozen=True, slots=True)
class Fees:
    """The three kinds of fees; they sum to the part `fees`, below zero as it is."""

    stripe: Series
    application: Series
    tax: Series


@dataclass(frozen=True, slots=True)
class CurrencyNet:
    """Net volume of one settlement currency.

    `parts` sum to `net`; `other` tells that part by category (empty: none), `apart` what is no part
    of it. `provisional` is the net of pending rows, whose fees may change; None of the past.
    `stands` says of each bucket whether its net still moves.
    """

    currency: str
    net: Series
    parts: Mapping[NetPart, Series]
    fees: Fees
    other: Mapping[str, Series]
    apart: Mapping[NetPart, Series]
    provisional: int | None
    stands: Sequence[BucketTrust] = ()


@dataclass(frozen=True, slots=True)
class NetVolume:
    """Net volume of a period and the one before, per settlement currency in order of its code.

    `trusts` tell how much of net is provisional, and was restated.
    """

    time: Compared
    currencies: Sequence[CurrencyNet]
    base: BaseVolume | None = None
    trusts: Sequence[CurrencyTrust] = ()


class NetAnalytics:
    """Answers what is left, and why."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def net_volume(
        self, caller: Caller, question: Question, violations: Sequence[FieldViolation] = ()
    ) -> NetVolume:
        """Net volume and its parts, which sum to it exactly."""
        return await self.net_of(await self._asking.asked(caller, question, violations))

    async def net_of(self, asked: Asked) -> NetVolume:
        """The same of a question that was checked."""
        figures, base, restated = await asyncio.gather(
            self._asking.figures(asked, NET_VOLUME),
            self._asking.base_volume(asked, NET_VOLUME, net),
            self._asking.restated(asked, NET_VOLUME),
        )
        stands = stands_of(figures, restated, net, NET_VOLUME.by.index("status"))
        currencies = [_currency(figures.of(code), code, stands) for code in figures.codes]
        return NetVolume(asked.time, currencies, base, stands.currencies)


def net(row: FigureRow) -> int:
    """What a row of the ledger adds to net: its amount, unless it is shown apart, less its fee."""
    return (0 if _part(row) in APART else _amount(row)) - _fee(row)


def _currency(figures: Figures, currency: str, stands: Stands) -> CurrencyNet:
    others = figures.where(_is_other).by(_category)
    return CurrencyNet(
        currency,
        figures.series(net),
        {part: _series(figures, part) for part in PARTS},
        Fees(
            figures.series(_stripe_fee),
            figures.series(lambda row: -row.sums[2]),
            figures.series(lambda row: -row.sums[3]),
        ),
        {name: part.series(_amount) for name, part in others.items()},
        {part: _series(figures, part) for part in APART},
        stands.provisional(currency),
        stands.buckets(currency),
    )


def _series(figures: Figures, part: NetPart) -> Series:
    if part is NetPart.FEES:
        return figures.series(_fees)
    return figures.where(lambda row: _part(row) is part).series(_amount)


def _fees(row: FigureRow) -> int:
    return (_amount(row) if _part(row) is NetPart.FEES else 0) - _fee(row)


def _stripe_fee(row: FigureRow) -> int:
    return _fees(row) + row.sums[2] + row.sums[3]


def _part(row: FigureRow) -> NetPart:
    return net_part(row.group[0])


def _category(row: FigureRow) -> str:
    return row.group[0] or ""


def _is_other(row: FigureRow) -> bool:
    return _part(row) is NetPart.OTHER


def _amount(row: FigureRow) -> int:
    return row.sums[0]


def _fee(row: FigureRow) -> int:
    return row.sums[1]
