"""Facts: what is posted so that what stands is what should."""

import datetime as dt
from dataclasses import replace

import pytest

from domain.facts import Fact, Series, Statement, difference

_AT = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
_KNOWN = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
_NEW = Statement(Series.MRR, "cus_1", _AT, "new", "usd", 50_000, 1, customer="cus_1")


def test_what_should_stand_is_posted_and_then_nothing_more() -> None:
    posted = difference([_NEW], (), _KNOWN)

    assert posted == (Fact(_NEW, 1, _KNOWN),)
    assert difference([_NEW], posted, _KNOWN) == ()


def test_late_evidence_posts_the_difference_and_names_what_it_restates() -> None:
    posted = difference([_NEW], (), _KNOWN)

    more = difference([replace(_NEW, amount=70_000)], posted, _KNOWN)

    assert more == (Fact(replace(_NEW, amount=20_000, count=0), 2, _KNOWN, restates=1),)


def test_what_should_not_stand_any_more_is_taken_back() -> None:
    posted = difference([_NEW], (), _KNOWN)
    later = replace(_NEW, at=_AT + dt.timedelta(days=1))

    more = difference([later], posted, _KNOWN)

    assert [(f.statement.at, f.statement.amount, f.statement.count) for f in more] == [
        (_AT, -50_000, -1),
        (later.at, 50_000, 1),
    ]
    assert difference([later], (*posted, *more), _KNOWN) == ()


def test_statements_that_differ_in_their_figures_alone_add_up() -> None:
    posted = difference([_NEW, replace(_NEW, amount=1, count=0)], (), _KNOWN)

    assert [fact.statement.amount for fact in posted] == [50_001]


def test_a_count_of_two_takes_two_facts() -> None:
    posted = difference([_NEW, _NEW], (), _KNOWN)

    assert [(f.generation, f.statement.count) for f in posted] == [(1, 1), (2, 1)]
    assert sum(f.statement.amount for f in posted) == 100_000


def test_a_statement_of_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="count"):
        replace(_NEW, count=2)
    with pytest.raises(ValueError, match="currency"):
        replace(_NEW, currency="")
    with pytest.raises(ValueError, match="subject"):
        replace(_NEW, subject="")
