"""Exchange rates: an account imports its own, and figures are converted by them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from application.analytics.ports import MAX_RATES, Rates
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.errors import FieldViolation
from domain.money import CURRENCIES
from domain.rates import DATE_RULE, RATE_RULE, Place, Rate, is_rate, read_date

CURRENCY_RULE: Final = "a currency that Stripe knows, lower-case ISO 4217, such as eur"


@dataclass(frozen=True, slots=True)
class RateRow:
    """A rate as the caller wrote it: a UTC day, a currency, a decimal."""

    date: str
    currency: str
    rate: str


@dataclass(frozen=True, slots=True)
class ImportRates:
    """Rates to keep. An empty `base_currency` stands for the deployment's."""

    rows: Sequence[RateRow]
    base_currency: str = ""
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class ImportedRates:
    """How many rates were written (or would be), and how many had been."""

    base_currency: str
    written: int
    known: int


@dataclass(frozen=True, slots=True)
class ListRates:
    """Which rates to list. An empty currency stands for all."""

    page_size: int = 0
    page_token: str = ""
    currency: str = ""


class ExchangeRates:
    """Imports and lists an account's rates; it needs no connection.

    `base_currency` is the deployment's; empty where none is set, and then there are no rates.
    """

    def __init__(self, rates: Rates, page_tokens: PageTokens, base_currency: str) -> None:
        self._rates = rates
        self._page_tokens = page_tokens
        self._base = base_currency

    @property
    def base_currency(self) -> str:
        """What the rates are in; empty where the deployment has none."""
        return self._base

    async def import_rates(self, caller: Caller, command: ImportRates) -> ImportedRates:
        """Write the rates that are not there yet; one that stands is refused another value.

        InvalidArgument names every row that is wrong; then nothing is written.
        """
        refuse(_import_violations(command, self._base))
        rates = _distinct(command.rows)
        known = await self._standing(caller.account, command.rows, rates)
        new = [rate for place, rate in rates.items() if place not in known]
        if new and not command.validate_only:
            await self._rates.add(caller.account, self._base, new)
            await self._standing(caller.account, command.rows, rates)  # somebody may be faster
        return ImportedRates(self._base, len(new), len(known))

    async def list(self, caller: Caller, query: ListRates) -> Page[Rate]:
        """A page of rates, in order of currency and day."""
        refuse(chain(_base_violations("", self._base), _list_violations(query)))
        scope = digest("rates", caller.account, self._base, query.currency)
        place = self._page_tokens.read(query.page_token, scope)
        size = query.page_size or DEFAULT_PAGE_SIZE
        rates = await self._rates.list(
            caller.account,
            self._base,
            query.currency or None,
            after=None if place is None else (read_date(str(place.value)), place.id),
            limit=size + 1,  # one more than asked for tells whether there is a next page
        )
        page = rates[:size]
        last = Position(page[-1].date.isoformat(), page[-1].currency) if len(rates) > size else None
        return Page(page, self._page_tokens.write(scope, last))

    async def _standing(
        self, account: str, rows: Sequence[RateRow], rates: Mapping[Place, Rate]
    ) -> set[Place]:
        """The places that have their rate. InvalidArgument for rows that have another one."""
        standing = await self._rates.standing(account, self._base, list(rates))
        other = [rate for rate in standing if rate.value != rates[rate.place].value]
        refuse(_standing_violations(rows, other))
        return {rate.place for rate in standing}


def _distinct(rows: Sequence[RateRow]) -> dict[Place, Rate]:
    """The rates of rows that were checked, each place once."""
    rates = (Rate(read_date(row.date), row.currency, row.rate) for row in rows)
    return {rate.place: rate for rate in rates}


def _base_violations(asked: str, base: str) -> Iterator[FieldViolation]:
    if not base:
        yield FieldViolation("base_currency", "this deployment has none; BASE_CURRENCY sets it")
    elif asked not in ("", base):
        yield FieldViolation("base_currency", f"this deployment's is {base}")


def _list_violations(query: ListRates) -> Iterator[FieldViolation]:
    yield from page_size_violations(query.page_size)
    if query.currency and query.currency not in CURRENCIES:
        yield FieldViolation("currency", CURRENCY_RULE)


def _import_violations(command: ImportRates, base: str) -> Iterator[FieldViolation]:
    yield from _base_violations(command.base_currency, base)
    if not 1 <= len(command.rows) <= MAX_RATES:
        yield FieldViolation("rows", f"1 to {MAX_RATES:,} are needed")
    first: dict[tuple[str, str], tuple[int, RateRow]] = {}
    for number, row in enumerate(command.rows[:MAX_RATES]):
        violations = list(_row_violations(row, f"rows[{number}]", base))
        yield from violations
        earlier, same = first.setdefault((row.date, row.currency), (number, row))
        if not violations and is_rate(same.rate) and _rate(same).value != _rate(row).value:
            rule = f"rows[{earlier}] has another rate for this day and currency"
            yield FieldViolation(f"rows[{number}].rate", rule)


def _rate(row: RateRow) -> Rate:
    return Rate(read_date(row.date), row.currency, row.rate)


def _row_violations(row: RateRow, field: str, base: str) -> Iterator[FieldViolation]:
    try:
        read_date(row.date)
    except ValueError:
        yield FieldViolation(f"{field}.date", DATE_RULE)
    if row.currency not in CURRENCIES:
        yield FieldViolation(f"{field}.currency", CURRENCY_RULE)
    elif row.currency == base:
        yield FieldViolation(f"{field}.currency", "the base currency itself has no rate")
    if not is_rate(row.rate):
        yield FieldViolation(f"{field}.rate", RATE_RULE)


def _standing_violations(
    rows: Sequence[RateRow], standing: Sequence[Rate]
) -> Iterator[FieldViolation]:
    """A violation for each row whose day and currency have another rate already."""
    kept = {(rate.date.isoformat(), rate.currency): rate for rate in standing}
    for number, row in enumerate(rows):
        if (rate := kept.get((row.date, row.currency))) is not None:
            rule = f"{rate.rate} was imported for this day and currency; a rate never changes"
            yield FieldViolation(f"rows[{number}].rate", rule)
