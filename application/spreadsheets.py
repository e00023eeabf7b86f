"""CSV for people who open it in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

BYTE_ORDER_MARK: Final = "\ufeff"
"""Stands before the first row: without it Excel does not take a file for UTF-8."""

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Rows as RFC 4180 has them: CRLF, and every cell in quotes.

    So a `;` in a cell does not divide it either, where a spreadsheet's language does so.
    """
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs as a formula (OWASP, "CSV Injection")."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell
