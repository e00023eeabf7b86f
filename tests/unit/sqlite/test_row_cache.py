"""The row cache never shows what is older than the file."""

from typing import Any

from domain.mirror import Row
from infrastructure.sqlite.core.row_cache import MAX_ROWS, RowCache

KEY = ("customer", "acct_1", "cus_1")
OTHER = ("customer", "acct_1", "cus_2")


def row(revision: int) -> Row[object]:  # type: ignore[type-var]  # what a row holds does not matter
    return Row("acct_1", "cus_1", revision, None)


def test_a_row_that_was_read_is_remembered() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    cache.keep(KEY, row(1), cache.moment)
    assert cache.get(KEY) == row(1)


def test_a_write_forgets_the_row_at_once() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    cache.keep(KEY, row(1), cache.moment)
    cache.writing([KEY])
    assert cache.get(KEY) is None


def test_nothing_is_remembered_while_it_is_written() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    cache.writing([KEY])
    cache.keep(KEY, row(1), cache.moment)
    assert cache.get(KEY) is None


def test_a_read_that_began_before_a_write_ended_is_not_remembered() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    ended = cache.writing([KEY])
    moment = cache.moment
    ended()
    cache.keep(KEY, row(1), moment)
    assert cache.get(KEY) is None


def test_two_writers_of_one_row_keep_it_out_until_both_have_ended() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    first, second = cache.writing([KEY]), cache.writing([KEY])
    first()
    cache.keep(KEY, row(1), cache.moment)
    assert cache.get(KEY) is None
    second()
    cache.keep(KEY, row(2), cache.moment)
    assert cache.get(KEY) == row(2)


def test_other_rows_stay_remembered() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    cache.keep(OTHER, row(1), cache.moment)
    cache.writing([KEY])()
    assert cache.get(OTHER) == row(1)


def test_the_row_read_longest_ago_goes_first() -> None:
    cache: RowCache[Row[Any]] = RowCache()
    for number in range(MAX_ROWS):
        cache.keep(("customer", "acct_1", str(number)), row(number), cache.moment)
    cache.get(("customer", "acct_1", "0"))
    cache.keep(KEY, row(1), cache.moment)
    assert cache.get(("customer", "acct_1", "0")) is not None
    assert cache.get(("customer", "acct_1", "1")) is None
