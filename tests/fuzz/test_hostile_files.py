"""Files of keys, prices and rates that are broken, odd or none; and cells of the CSV we write."""

import csv
import io
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from application.requests.spreadsheets import csv_text
from bootstrap.tokens import list_scopes
from infrastructure.number_price_file import NumberPriceFile
from infrastructure.price_file import PriceFile
from infrastructure.security.callers_document import CallersInvalid
from infrastructure.security.callers_file import CallersFile
from infrastructure.security.tls_files import TlsFiles, TlsInvalid
from interfaces.cli.exits import Refused
from interfaces.cli.rates import read_lines
from tests.fuzz.inputs import MARK, hostile_json, hostile_text, tells_nothing, tries
from tests.fuzz.odd_values import Chance, odd_text
from tests.support.servers.callers import DOCUMENT, JWKS, SHOP_SECRET
from tests.support.servers.certificates import make_certificate

SECRET: Final = f"{MARK}-{'s' * 32}"
CALLERS: Final = DOCUMENT.replace(SHOP_SECRET, SECRET)
RATES: Final = "date,currency,rate\r\n2026-10-01,eur,1.1\r\n2026-10-02,gbp,1.3\r\n"


def test_a_hostile_callers_file_is_callers_or_problems(tmp_path: Path) -> None:
    """Lines of problems, bounded, in which no secret stands."""
    file = CallersFile(tmp_path / "callers.toml", list_scopes())
    beside = tmp_path / "ledger.jwks.json"
    counts: Counter[str] = Counter()
    for tried in tries("callers"):
        with tried as chance:
            broken = chance.choice(("callers", "keys"))
            callers, keys = CALLERS.encode(), json.dumps(JWKS).encode()
            if broken == "callers":
                callers = hostile_text(chance, CALLERS)
            else:
                key = {**chance.choice(JWKS["keys"]), "d": MARK} if chance.random() < 0.3 else {}
                keys = hostile_json(chance, {"keys": [*JWKS["keys"], key]})
            file.path.write_bytes(callers)
            beside.write_bytes(keys)
            try:
                file.read()
                counts["callers"] += 1
            except CallersInvalid as error:
                tells_nothing(error)
                counts["problems"] += 1
                _bounded(error)
    assert counts.total() > 0


def _bounded(error: CallersInvalid) -> None:
    assert 0 < len(error.problems) < 1_000
    assert all(0 < len(problem) < 1_000 for problem in error.problems)


NO_FILES: Final[dict[str, Callable[[Path], None]]] = {
    "a folder": lambda path: path.mkdir(),
    "nothing": lambda path: path.unlink(missing_ok=True),
    "a pipe": os.mkfifo,
    "a circle": lambda path: path.symlink_to(path),
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a name that is too long": lambda path: path.symlink_to("x" * 255),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("which", ["callers.toml", "ledger.jwks.json", "shop.key"])
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_of_keys_is_told_and_nobody_waits(
    tmp_path: Path, which: str, kind: str
) -> None:
    document = DOCUMENT.replace(f'secret = "{SHOP_SECRET}"', 'secret_file = "shop.key"')
    for name, content in (
        ("callers.toml", document), ("ledger.jwks.json", json.dumps(JWKS)), ("shop.key", SECRET),
    ):  # fmt: skip
        if name != which:
            (tmp_path / name).write_text(content)
    file = CallersFile(tmp_path / "callers.toml", list_scopes())
    NO_FILES[kind](tmp_path / which)
    with pytest.raises(CallersInvalid) as told:
        file.read()
    tells_nothing(told.value)


def test_a_hostile_pair_of_tls_is_a_pair_or_refused(tmp_path: Path) -> None:
    files = TlsFiles(*make_certificate().write(tmp_path))
    right = {path: path.read_bytes() for path in (files.cert, files.key)}
    for tried in tries("tls"):
        with tried as chance:
            for path, content in right.items():
                path.write_bytes(content)
            path = chance.choice([*right])
            path.write_bytes(hostile_text(chance, f"{MARK}\n{right[path].decode()}"))
            try:
                files.read()
            except TlsInvalid as error:
                tells_nothing(error)


PRICES: Final = {"currency": "usd", "prices": {"sms.us": "0.0079", "seat": "3.00"}}
NUMBERS: Final = {
    "prices": [
        {"country": "DE", "kind": "local", "currency": "usd",
         "tiers": [{"up_to": 10, "price": "1.15"}, {"up_to": None, "price": "1"}]},
    ],
}  # fmt: skip


def _told_shortly(error: Exception, start: str, *, most: int) -> None:
    assert str(error).startswith(start)
    assert len(str(error)) < most


@pytest.mark.parametrize("kind", ["prices", "numbers"])
def test_a_hostile_price_list_is_a_list_or_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "prices.json"
    for tried in tries(f"price list: {kind}"):
        with tried as chance:
            path.write_bytes(hostile_json(chance, PRICES if kind == "prices" else NUMBERS))
            try:
                PriceFile(path, "usd") if kind == "prices" else NumberPriceFile(path)
            except ValueError as error:
                _told_shortly(error, str(path), most=2_000)


def test_a_hostile_file_of_rates_is_rates_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    for tried in tries("rates"):
        with tried as chance:
            content = hostile_text(chance, RATES)
            if chance.random() < 0.3:
                cells = [odd_text(chance) for _ in range(3)]
                content = (RATES + csv_text([cells])).encode("utf-8", "surrogatepass")
            path.write_bytes(content)
            try:
                lines = read_lines(path)
            except Refused as error:
                _told_shortly(error, "", most=10_000)
            else:
                assert all(line.rate.currency.isascii() for line in lines)


STARTS: Final = (
    "=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\ufe66",
    "\u200b", "\ufeff", " ", "\u00a0", "\u202e", "\x00", "'", '"', ";", ",", "|", "%", "\u2028",
    "\x85", "\x0b",
)  # fmt: skip
FORMULAS: Final = (
    "cmd|' /C calc'!A0",
    'HYPERLINK("http://elsewhere","x")',
    "1+1",
    "SUM(A1:A9)",
    "-5",
    "1",
    "",
)


def test_no_cell_of_ours_is_run_by_a_spreadsheet() -> None:
    """What a spreadsheet reads begins with no sign of a formula, and no cell is torn apart."""
    for tried in tries("cells"):
        with tried as chance:
            rows = [[_cell(chance) for _ in range(3)] for _ in range(3)]
            text = csv_text(rows)
            read = [*csv.reader(io.StringIO(text, newline=""), strict=True)]
            assert [len(row) for row in read] == [3, 3, 3]
            for row, written in zip(rows, read, strict=True):
                for cell, shown in zip(row, written, strict=True):
                    assert shown in (cell, f"'{cell}")
                    assert not _is_run(shown), ascii(shown)


def _cell(chance: Chance) -> str:
    start = "".join(chance.choice(STARTS) for _ in range(chance.choice((0, 1, 1, 2, 3))))
    end = chance.choice((*FORMULAS, odd_text(chance)))
    return f"{start}{end}"


def _is_run(shown: str) -> bool:
    """Whether some spreadsheet takes a cell for a formula: one that drops what is not seen."""
    seen = "".join(
        sign for sign in shown
        if not sign.isspace() and unicodedata.category(sign) not in ("Cc", "Cf", "Cn", "Co", "Cs")
    )  # fmt: skip
    first = unicodedata.normalize("NFKC", seen[:1])[:1]
    is_number = seen.lstrip("-").replace(".", "", 1).isdecimal() and shown == seen
    return (first in set("=+-@") and not is_number) or shown[:1] in set("\t\r\n")
