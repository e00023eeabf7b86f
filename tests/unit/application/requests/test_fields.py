"""One table of a noun's fields drives the mask, the limits, what is written and what is shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from application.requests.fields import FieldTable, choice, flag, metadata, number, text
from domain.errors import FieldViolation


@dataclass(frozen=True, slots=True)
class BookFields:
    """What is written to a book."""

    title: str | None = None
    binding: str | None = None
    page_count: int | None = None
    lent: bool | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """A book as it is mirrored."""

    title: str | None = None
    binding: str | None = None
    page_count: int | None = None
    lent: bool | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def _capital_violations(title: str, path: str) -> list[FieldViolation]:
    return [FieldViolation(path, "begins with a capital")] if title[:1].islower() else []


PAGES: Final = replace(number("pages", 0, 9_999), attribute="page_count")
BOOK: Final = FieldTable(
    "book",
    BookFields,
    (
        text("title", 5, _capital_violations),
        choice("binding", ("cloth", "paper")),
        PAGES,
        flag("lent"),
        metadata(),
    ),
)


def told(violations: Any) -> list[tuple[str, str]]:
    return [(violation.field, violation.rule) for violation in violations]


def test_every_value_has_its_limits_and_is_named_where_it_stands() -> None:
    wrong = BookFields("atlases", "glue", 10_000, True, {"billing_x": "y"})
    assert told(BOOK.violations(wrong)) == [
        ("book.title", "at most 5 characters"),
        ("book.title", "begins with a capital"),
        ("book.binding", "one of: cloth, paper"),
        ("book.pages", "0 to 9,999"),
        ("book.metadata", "keys must not begin with billing_"),
    ]
    assert [path for path, _ in told(BOOK.violations(wrong, within=""))][:2] == ["title"] * 2
    assert told(BOOK.violations(BookFields())) == []
    assert told(BOOK.violations(BookFields("", "cloth", 0, False, {}))) == []


@pytest.mark.parametrize(
    ("mask", "fields"),
    [
        ((), ["update_mask"]),
        (("isbn",), ["update_mask"]),
        (("page_count",), ["update_mask"]),
        (("*",), ["update_mask"]),
        (("title", "lent", "metadata"), []),
        (("binding", "pages", "isbn"), ["update_mask", "book.binding", "book.pages"]),
    ],
)
def test_a_mask_names_fields_and_clears_what_can_be_cleared(
    mask: tuple[str, ...], fields: list[str]
) -> None:
    assert [path for path, _ in told(BOOK.mask_violations(BookFields(), mask))] == fields


@pytest.mark.parametrize(
    ("values", "has_value"),
    [
        (BookFields(lent=False), True),
        (BookFields(page_count=0), True),
        (BookFields(title="A"), True),
        (BookFields(title="", metadata={}), False),
    ],
)
def test_without_a_mask_there_is_a_value(values: BookFields, has_value: bool) -> None:
    assert (told(BOOK.mask_violations(values, ())) == []) is has_value
    assert told(BOOK.mask_violations(values, (), has_more=True)) == []


VALUES: Final = BookFields(title="Atlas", page_count=0, lent=False)


@pytest.mark.parametrize(
    ("mask", "written"),
    [
        ((), VALUES),
        (("title",), BookFields(title="Atlas")),
        (("pages", "metadata"), BookFields(page_count=0, metadata={})),
        (("lent", "title"), BookFields(title="Atlas", lent=False)),
    ],
)
def test_what_is_written_is_what_the_mask_names(mask: tuple[str, ...], written: BookFields) -> None:
    assert BOOK.masked(VALUES, mask) == written
    cleared = BOOK.masked(BookFields(), ("title", "lent", "metadata"))
    assert cleared == BookFields(title="", lent=False, metadata={})


SHOWN: Final = Book("Atlas", "cloth", 96, True, {"shelf": "7", "row": "b"})


@pytest.mark.parametrize(
    ("written", "is_shown"),
    [
        (BookFields(), True),
        (BookFields("Atlas", "cloth", 96, True, {"shelf": "7"}), True),
        (BookFields(metadata={"gone": ""}), True),
        (BookFields("Globe"), False),
        (BookFields(binding="paper"), False),
        (BookFields(page_count=95), False),
        (BookFields(lent=False), False),
        (BookFields(metadata={"shelf": "8"}), False),
        (BookFields(metadata={"row": ""}), False),
        (BookFields(title=""), False),
    ],
)
def test_every_field_that_was_written_is_to_be_shown(written: BookFields, is_shown: bool) -> None:
    assert BOOK.shown_by(SHOWN, written) is is_shown


def test_what_is_cleared_is_shown_as_none() -> None:
    cleared = BookFields(title="", lent=False, metadata={})
    assert BOOK.shown_by(Book(), cleared)
    assert BOOK.given(cleared) == {"title": "", "lent": False, "metadata": {}}
