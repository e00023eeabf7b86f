"""Cohorts: by the first MRR in all of history; what is empty is in no mean."""

from fractions import Fraction

from domain.cohorts import cohorts, mean_retention
from tests.unit.domain.evidence_samples import NOW, day
from tests.unit.domain.test_subscriber_figures import fact

EDGES = [day(month) for month in (1, 2, 3, 4, 5)]
FACTS = [
    fact("a", day(1, 5), "new", 10, 1),
    fact("a", day(3, 1), "churn", -10, -1, number=2),
    fact("a", day(4, 1), "reactivation", 20, 1, number=3),
    fact("b", day(1, 31, 23), "new", 5, 1, currency="eur"),
    fact("c", day(3, 2), "new", 7, 1),
    fact("c", day(3, 9), "churn", -7, -1, number=2),
    fact("never", day(1, 5), "new", 10, 1),
    fact("never", day(1, 5), "new", -10, -1, number=2),
]


def test_who_began_in_a_month_and_what_became_of_them() -> None:
    january, february, march, april = cohorts(FACTS, EDGES, NOW)
    assert [each.size for each in (january, february, march, april)] == [2, 0, 1, 0]
    assert [(cell.subscribers, dict(cell.mrr)) for cell in january.cells] == [
        (2, {"eur": 5, "usd": 10}),
        (2, {"eur": 5, "usd": 10}),
        (1, {"eur": 5, "usd": 0}),
        (2, {"eur": 5, "usd": 20}),
    ]
    assert [cell.subscribers for cell in march.cells] == [0, 0]


def test_an_empty_cohort_is_in_no_mean_and_one_at_zero_is() -> None:
    found = cohorts(FACTS, EDGES, NOW)
    assert mean_retention(found, 0) == Fraction(1, 2)
    assert mean_retention(found, 1) == Fraction(1, 2)
    assert mean_retention(found, 2) == Fraction(1, 2)
    assert mean_retention(found, 4) is None


def test_a_range_never_changes_a_cohort() -> None:
    whole = cohorts(FACTS, EDGES, NOW)
    for start in range(len(EDGES) - 1):
        part = cohorts(FACTS, EDGES[start:], NOW)
        assert part == whole[start:]
    short = cohorts(FACTS, EDGES[:3], NOW)
    assert [each.cells for each in short] == [whole[0].cells[:2], whole[1].cells[:1]]


def test_a_month_that_runs_is_partial_and_one_to_come_is_not_there() -> None:
    (january, february, *_) = cohorts(FACTS, EDGES, day(2, 15))
    assert [cell.partial for cell in january.cells] == [False, True]
    assert [cell.subscribers for cell in january.cells] == [2, 2]
    assert mean_retention([january, february], 1) is None
