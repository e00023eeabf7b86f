"""What replies tell of their buckets and currencies."""

import datetime as dt
from fractions import Fraction
from typing import Final

import pytest

from application.analytics.ports import FigureRow
from application.analytics.trust import (
    BucketTrust,
    CurrencyTrust,
    Standing,
    Trust,
    as_of_violations,
    bucket_trusts,
    currency_trusts,
)
from domain.errors import InvalidArgument
from tests.support.fakes.standings import some_trust

NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HOUR: Final = dt.timedelta(hours=1)


def row(bucket: int, currency: str, amount: int, count: int = 1, group: str = "a") -> FigureRow:
    return FigureRow(bucket, currency, (group,), (amount, 7), count)


def test_buckets_tell_whether_they_are_closed_and_what_was_restated() -> None:
    trust = Trust("UTC", Standing(NOON + HOUR, NOON))
    restated = [row(0, "usd", 5), row(0, "usd", -2, 2, "b"), row(1, "usd", 0), row(2, "eur", 9)]
    ends = [NOON - HOUR, NOON, NOON + HOUR]
    assert bucket_trusts(trust, ends, restated, "usd") == [
        BucketTrust(True, 3, 3),
        BucketTrust(True, 0, 1),
        BucketTrust(False),
    ]


def test_currencies_tell_their_shares() -> None:
    figures = [row(0, "usd", 300), row(1, "usd", 100), row(0, "eur", -50), row(0, "jpy", 0)]
    found = currency_trusts(figures, [row(0, "usd", 100)], [row(1, "eur", 10), row(1, "gbp", 1)])
    assert found == [
        CurrencyTrust("eur", -50, 0, 10),
        CurrencyTrust("gbp", 0, 0, 1),
        CurrencyTrust("jpy", 0, 0, 0),
        CurrencyTrust("usd", 400, 100, 0),
    ]
    eur, gbp, _, usd = found
    assert (eur.restated_share, eur.provisional_share) == (Fraction(1, 5), 0)
    assert (gbp.restated_share, usd.provisional_share) == (None, Fraction(1, 4))
    (bare,) = currency_trusts([row(0, "usd", 1)], None, None)
    assert (bare.provisional, bare.restated_share) == (None, None)


@pytest.mark.parametrize(("minutes", "wrong"), [(-60, 0), (-1, 0), (-0.99, 1), (0, 1), (1, 1)])
def test_the_past_is_a_minute_old(minutes: float, wrong: int) -> None:
    as_of = NOON + dt.timedelta(minutes=minutes)
    assert len([*as_of_violations(as_of, NOON)]) == wrong
    assert not [*as_of_violations(None, NOON)]


async def test_the_past_begins_when_the_history_was_imported() -> None:
    trust = some_trust(Standing(importing=False, imported_at=NOON))
    assert (await trust.of("acct_1", "UTC", as_of=NOON)).as_of == NOON
    for answers in (trust, some_trust()):
        with pytest.raises(InvalidArgument) as refused:
            await answers.of("acct_1", "UTC", as_of=NOON - HOUR)
        assert [violation.field for violation in refused.value.violations] == ["as_of"]
