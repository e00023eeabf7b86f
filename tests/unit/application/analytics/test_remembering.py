"""Which metrics are remembered, and what stands for a declaration."""

from dataclasses import replace
from typing import Final

import pytest

from application.analytics.metrics import GROSS_VOLUME, METRICS, Metric, Sum
from application.analytics.remembering import digest_of, is_guarded
from application.mirror.nouns import CHARGES, NOUNS
from application.mirror.ports import Column, Counted

_OTHERWISE: Final = {
    "rows": replace(GROSS_VOLUME, where={"status": ("failed",)}),
    "above zero": replace(GROSS_VOLUME, above_zero=()),
    "kept apart": replace(GROSS_VOLUME, by=("status",)),
    "sums": replace(GROSS_VOLUME, sums=(Sum("amount", (), minus=("amount_captured",)),)),
}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_each_metric_is_remembered(metric: Metric) -> None:
    """Its noun counts all columns that it reads; one that is read every time would cost a year."""
    assert is_guarded(metric), f"{metric.noun.name}: counted lacks some of {metric.index}"


def test_what_nobody_counts_raises_no_mark() -> None:
    for noun in NOUNS:
        dates = {metric.date for metric in METRICS if metric.noun is noun}
        read = {name for metric in METRICS if metric.noun is noun for name in metric.index}
        read -= {"id", noun.first_known}
        counted = noun.counted or Counted((), ())
        assert ({*counted.dates}, {*counted.names}) == (dates, read), noun.name


@pytest.mark.parametrize("otherwise", _OTHERWISE.values(), ids=_OTHERWISE)
def test_another_declaration_has_another_digest(otherwise: Metric) -> None:
    assert digest_of(otherwise) != digest_of(GROSS_VOLUME)


def test_so_has_a_column_that_is_filled_from_elsewhere() -> None:
    moved = tuple(
        Column("amount_captured", "object.amount.amount")
        if column.name == "amount_captured"
        else column
        for column in CHARGES.columns
    )
    noun = replace(CHARGES, columns=moved)
    assert digest_of(replace(GROSS_VOLUME, noun=noun)) != digest_of(GROSS_VOLUME)


def test_words_and_other_columns_do_not_change_it() -> None:
    more = replace(CHARGES, columns=(*CHARGES.columns, Column("paid", "object.captured")))
    told = replace(GROSS_VOLUME, doc="In other words.", noun=more)
    assert digest_of(told) == digest_of(GROSS_VOLUME)


def test_a_declaration_that_no_other_process_could_repeat_is_refused() -> None:
    with pytest.raises(TypeError, match="plain data"):
        digest_of(replace(GROSS_VOLUME, where={"status": object()}))  # type: ignore[dict-item]


@pytest.mark.parametrize("columns", [("status",), ("status", "currency")])
def test_a_noun_that_counts_less_is_not_remembered(columns: tuple[str, ...]) -> None:
    noun = replace(CHARGES, counted=Counted(("created",), columns))
    assert not is_guarded(replace(GROSS_VOLUME, noun=noun))
    assert not is_guarded(replace(GROSS_VOLUME, noun=replace(CHARGES, counted=None)))


def test_what_is_counted_is_a_column_of_one_value() -> None:
    with pytest.raises(ValueError, match="no such column"):
        replace(CHARGES, counted=Counted(("created",), ("colour",)))
    many = Column("tags", "object.tags", many=True)
    with pytest.raises(ValueError, match="many values is not counted"):
        replace(CHARGES, columns=(*CHARGES.columns, many), counted=Counted(("created",), ("tags",)))
