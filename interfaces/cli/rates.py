"""`billing rates`: the exchange rates that totals in the base currency are made by."""

import csv
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import grpc
import typer
from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from rich.table import Table

from application.analytics.ports import MAX_RATES
from domain.money import CURRENCIES
from domain.rates import DATE_RULE, RATE_RULE, is_rate, read_date
from interfaces.cli.client import Connect, Reach, run
from interfaces.cli.exits import Refused
from interfaces.cli.lists import print_list, read_list
from interfaces.cli.output import JsonOption, counted, print_json, say, table_of
from interfaces.cli.target import Target, asks

MAX_LINES: Final = 100_000
"""How long a file may be: twenty years of thirteen currencies."""

_MOST_NAMED: Final = 20
"""How many wrong lines are named."""

_COLUMNS: Final = ("date", "currency", "rate")

AccountOption: TypeAlias = Annotated[
    str, typer.Option("--account", help="The account whose rates these are.")
]


@dataclass(frozen=True, slots=True)
class Line:
    """A rate, and the number of the line that it stands on."""

    number: int
    rate: pb.Rate


def rates_app(reach: Reach) -> typer.Typer:
    """The commands, on the service that `reach` leads to."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, help="Import and list exchange rates."
    )
    _add_import(app, reach)
    _add_list(app, reach)
    return app


def _add_import(app: typer.Typer, reach: Reach) -> None:
    @app.command("import")
    @asks
    def import_rates(
        target: Target,
        file: Annotated[Path, typer.Argument(help="CSV: date,currency,rate; - reads stdin.")],
        account: AccountOption,
        base: Annotated[
            str,
            typer.Option(
                help="The currency of the rates; default: the service's BASE_CURRENCY.",
                show_default=False,
            ),
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Import rates: how many units of the base currency one unit was worth on a UTC day.

        All lines are checked first. If one line is wrong, nothing is written. The same file may be
        imported again.
        """
        lines = read_lines(file)
        total = run(_import(reach(target), account, base, lines))
        if as_json:
            print_json(total)
            return
        written = counted(total.written_count, "rate")
        say(f"{written} in {total.base_currency} written, {total.known_count:,} known before")


def _add_list(app: typer.Typer, reach: Reach) -> None:
    @app.command("list")
    @asks
    def list_rates(
        target: Target,
        account: AccountOption,
        currency: Annotated[
            str, typer.Option(help="Only rates of this currency.", show_default=False)
        ] = "",
        limit: Annotated[
            int, typer.Option(min=1, max=MAX_LINES, help="How many rates at most.")
        ] = 1_000,
        as_json: JsonOption = False,
    ) -> None:
        """List rates, in order of currency and day."""
        page = run(_list(reach(target), account, currency, limit))
        empty = f"no rates of {account}" + (f" for {currency}" if currency else "")
        more = "there are more rates: narrow the list, or raise --limit"
        table = partial(_table, page.base_currency)
        print_list(page, "rates", table, empty, more, as_json=as_json)


def _table(base_currency: str, rates: Iterable[pb.Rate]) -> Table:
    table = table_of(*_COLUMNS[:2], ids=("date",), numbers=(f"rate in {base_currency}",))
    for rate in rates:
        table.add_row(rate.date, rate.currency, rate.rate)
    return table


def read_lines(file: Path) -> list[Line]:
    """The rates of a CSV file, whose first line may name the columns.

    Raises Refused, which names each line that is no rate.
    """
    name = "/dev/stdin" if str(file) == "-" else str(file)
    with Path(name).open(encoding="utf-8-sig", newline="") as source:
        lines, wrong = _parsed(csv.reader(source))
    if wrong:
        more = [f"and {len(wrong) - _MOST_NAMED:,} more"] if len(wrong) > _MOST_NAMED else []
        raise Refused("; ".join(["nothing is written", *wrong[:_MOST_NAMED], *more]))
    if not lines:
        raise Refused("the file holds no rates")
    return lines


def _parsed(rows: "Iterator[list[str]]") -> tuple[list[Line], list[str]]:
    """The lines that are rates, and what is wrong with the others. Blank ones are left out."""
    lines, wrong = [], []
    reader = enumerate(rows, start=1)
    try:
        for number, row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or (number == 1 and cells == [*_COLUMNS]):
                continue
            if rules := list(_rules(cells)):
                wrong.append(f"line {number}: {', '.join(rules)}")
            else:
                lines.append(Line(number, pb.Rate(**dict(zip(_COLUMNS, cells, strict=True)))))
            if number > MAX_LINES:
                raise Refused(f"nothing is written; at most {MAX_LINES:,} lines are read")
    except (csv.Error, UnicodeDecodeError):
        raise Refused("nothing is written; the file is no CSV in UTF-8") from None
    return lines, wrong


def _rules(cells: Sequence[str]) -> Iterator[str]:
    """What a line breaks of what can be told without the service."""
    if len(cells) != len(_COLUMNS):
        yield f"{len(_COLUMNS)} columns are needed: {', '.join(_COLUMNS)}"
        return
    date, currency, rate = cells
    try:
        read_date(date)
    except ValueError:
        yield f"date: {DATE_RULE}"
    if currency not in CURRENCIES:
        yield "currency: one that Stripe knows, lower-case, such as eur"
    if not is_rate(rate):
        yield f"rate: {RATE_RULE}"


async def _import(
    connect: Connect, account: str, base: str, lines: Sequence[Line]
) -> pb.ImportRatesResponse:
    """Check all lines, then write them, in as many calls as they need."""
    total = pb.ImportRatesResponse()
    async with _stub(connect, "analytics.write") as stub:
        for validate_only in (True, False):
            for start in range(0, len(lines), MAX_RATES):
                batch = lines[start : start + MAX_RATES]
                request = pb.ImportRatesRequest(
                    account=account,
                    rows=[line.rate for line in batch],
                    base_currency=base,
                    validate_only=validate_only,
                )
                try:
                    reply = await stub.ImportRates(request)
                except grpc.aio.AioRpcError as error:
                    raise _by_line(error, batch) from None
                if not validate_only:
                    total.base_currency = reply.base_currency
                    total.written_count += reply.written_count
                    total.known_count += reply.known_count
    return total


def _by_line(error: grpc.aio.AioRpcError, lines: Sequence[Line]) -> Exception:
    """The refusal of rows, told by the numbers of their lines; any other as it is."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # typed for other channels
    request = BadRequest()
    if status is None or not any(packed.Unpack(request) for packed in status.details):
        return error
    refusals = []
    for violation in request.field_violations:
        place, _, field = violation.field.partition("].")
        number = place.removeprefix("rows[")
        if number.isdecimal() and int(number) < len(lines):
            refusals.append(f"line {lines[int(number)].number}: {field}: {violation.description}")
        else:
            refusals.append(f"{violation.field}: {violation.description}")
    return Refused("; ".join(refusals[:_MOST_NAMED]))


async def _list(connect: Connect, account: str, currency: str, limit: int) -> pb.ListRatesResponse:
    async with _stub(connect, "analytics.read") as stub:
        request = pb.ListRatesRequest(account=account, currency=currency)
        return await read_list(stub.ListRates, request, "rates", limit)


@asynccontextmanager
async def _stub(
    connect: Connect, scope: str
) -> AsyncGenerator["pb_grpc.AnalyticsServiceAsyncStub", None]:
    async with connect((scope,)) as channel:
        yield pb_grpc.AnalyticsServiceStub(channel)
