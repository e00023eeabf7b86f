"""CSV that spreadsheets read, and run nothing of."""

import csv
import io

import pytest

from application.requests.spreadsheets import csv_text, harmless


def test_rows_end_as_rfc_4180_has_it_and_every_cell_is_quoted() -> None:
    rows = [("a", "b;c"), ('say "hi"', "two\nlines"), ("", "1,5")]
    text = csv_text(rows)
    assert text == '"a","b;c"\r\n"say ""hi""","two\nlines"\r\n"","1,5"\r\n'
    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""))] == rows


def test_no_rows_are_no_text() -> None:
    assert csv_text([]) == ""


@pytest.mark.parametrize(
    "start",
    [
        "=", "+", "-", "@", "\t", "\r", "\n", " =", "\n=", " \t -", "\u3000@", "\xa0=", "\u200b=",
        "\ufeff+", "\u202e=", "\x00=", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66",
    ],
)  # fmt: skip
def test_a_cell_that_would_be_run_gets_an_apostrophe(start: str) -> None:
    cell = f'{start}HYPERLINK("https://evil.test")'
    assert harmless(cell) == f"'{cell}"
    ((read,),) = csv.reader(io.StringIO(csv_text([[cell]]), newline=""))
    assert read == f"'{cell}"


@pytest.mark.parametrize("cell", ["", " ", "a=1", "1-2", "'=1", "ö", " a", "-1", "-10.05", "0.5"])
def test_all_others_stay_as_they_are(cell: str) -> None:
    assert harmless(cell) == cell
