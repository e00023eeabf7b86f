"""Whether days tie to the bank."""

from collections.abc import Mapping
from typing import Final

from billing_client.v1 import tie_out_pb2 as pb

from application.analytics.questions import Question
from application.analytics.tie_out import CurrencyTieOut, TieOut, TieOutDay
from domain.errors import FieldViolation
from domain.periods import from_milliseconds
from domain.reporting_categories import APART, NetPart
from domain.tie_out import BEGINNING, Anchor, Verdict
from interfaces.grpc.analytics.trust_mapping import trust_message
from interfaces.grpc.core.money import money_message
from interfaces.grpc.core.periods import period_message
from interfaces.grpc.core.timestamps import read_instant, timestamp_message

VERDICTS: Final[Mapping[Verdict, pb.TieOutDay.Verdict.ValueType]] = {
    Verdict.TIES: pb.TieOutDay.VERDICT_TIES,
    Verdict.DIFFERS: pb.TieOutDay.VERDICT_DIFFERS,
    Verdict.UNKNOWN: pb.TieOutDay.VERDICT_UNKNOWN,
}


def read_tie_out(request: pb.GetTieOutRequest, violations: list[FieldViolation]) -> Question:
    """Of which days it is asked."""
    period = request.period
    return Question(
        start=read_instant(period, "start_time", violations, path="period.start_time"),
        end=read_instant(period, "end_time", violations, path="period.end_time"),
        time_zone=period.time_zone,
        currency=request.currency,
    )


def tie_out_message(answer: TieOut) -> pb.TieOut:
    """The days of a period, a part for each currency."""
    currencies = map(_currency, answer.currencies)
    return pb.TieOut(
        period=period_message(answer.period),
        currencies=currencies,
        trust=trust_message(answer.trust),
    )


def _currency(answer: CurrencyTieOut) -> pb.CurrencyTieOut:
    days = (_day(day, answer.currency) for day in answer.days)
    return pb.CurrencyTieOut(currency=answer.currency, days=days)


def _day(day: TieOutDay, currency: str) -> pb.TieOutDay:
    opening, closing, judgement = day.opening, day.closing, day.judgement
    differs = judgement.verdict is Verdict.DIFFERS
    return pb.TieOutDay(
        start_time=timestamp_message(day.start),
        end_time=timestamp_message(day.end),
        opening=None if opening is None else money_message(opening, currency),
        parts=[
            pb.TieOutPart(
                name=part.value, amount=money_message(amount, currency), apart=part in APART
            )
            for part in NetPart
            if (amount := day.parts.get(part, 0))
        ],
        net=money_message(day.net, currency),
        closing=None if closing is None else money_message(closing, currency),
        verdict=VERDICTS[judgement.verdict],
        remainder=money_message(judgement.remainder, currency) if differs else None,
        before=_anchor(day.sides.left, currency),
        after=_anchor(day.sides.right, currency),
    )


def _anchor(anchor: Anchor | None, currency: str) -> pb.BalanceAnchor | None:
    if anchor is None:
        return None
    balance = money_message(anchor.total(currency), currency)
    if anchor is BEGINNING:
        return pb.BalanceAnchor(balance=balance)
    return pb.BalanceAnchor(
        start_time=timestamp_message(from_milliseconds(anchor.start_ms)),
        end_time=timestamp_message(from_milliseconds(anchor.end_ms)),
        balance=balance,
    )
