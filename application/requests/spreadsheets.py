"""CSV for people who open it in a spreadsheet."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"
"""Stands before the first row: without it Excel does not take a file for UTF-8."""

_FORMULA_STARTS: Final = frozenset("=+-@")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_LINE_STARTS: Final = ("\t", "\r", "\n")


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as RFC 4180 has them: CRLF, and every cell in quotes.

    So a `;` in a cell does not divide it either, where a spreadsheet's language does so.
    """
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula (OWASP, "CSV Injection"). A number is none.

    Spaces and what is not seen may be dropped in front, and signs of full width taken for others.
    """
    if _NUMBER.fullmatch(cell):
        return cell
    first = next((one for one in cell if not _is_dropped(one)), "")
    runs = unicodedata.normalize("NFKC", first)[:1] in _FORMULA_STARTS
    return f"'{cell}" if runs or cell.startswith(_LINE_STARTS) else cell


def _is_dropped(character: str) -> bool:
    return character.isspace() or unicodedata.category(character).startswith("C")
