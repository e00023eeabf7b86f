"""`billing rates`: the exchange rates that totals in the base currency are made by."""

import csv
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import grpc
import typer
from billing_client.v1 import analytics_service_pb2 as pb
from billing_client.v1 import analytics_service_pb2_grpc as pb_grpc
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from rich.console import Console
from rich.table import Table

from application.analytics.ports import MAX_RATES
from domain.money import CURRENCIES
from domain.rates import DATE_RULE, RATE_RULE, is_rate, read_date
from interfaces.cli.client import Connect, Refused, run

MAX_LINES: Final = 100_000
"""How long a file may be: twenty years of thirteen currencies."""

_TOLD: Final = 20
"""How many lines that are none are named."""

_PAGE: Final = 100
_COLUMNS: Final = ("date", "currency", "rate")

AccountOption: TypeAlias = Annotated[str, typer.Option("--account", help="Whose rates they are.")]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs to read.")
]


@dataclass(frozen=True, slots=True)
class Line:
    """A rate, and the number of the line that it stands on."""

    number: int
    rate: pb.Rate


def rates_app(connect: Connect) -> typer.Typer:
    """The commands, on the service that `connect` leads to."""
    app = typer.Typer(
        add_completion=False, no_args_is_help=True, help="Import and list exchange rates."
    )

    @app.command("import")
    def import_rates(
        file: Annotated[Path, typer.Argument(help="CSV: date,currency,rate; - reads stdin.")],
        account: AccountOption,
        base: Annotated[
            str, typer.Option(help="The currency that the rates are in; else the service's.")
        ] = "",
        as_json: JsonOption = False,
    ) -> None:
        """Import rates: how many units of the base currency one unit was worth on a UTC day.

        All lines are checked first: where one is wrong, none is written. The same file may be
        imported again.
        """
        lines = read_lines(file)
        total = run(_import(connect, account, base, lines))
        if as_json:
            typer.echo(json.dumps(MessageToDict(total, always_print_fields_with_no_presence=True)))
        else:
            typer.echo(
                f"{total.written_count:,} rates in {total.base_currency} are written,"
                f" {total.known_count:,} were known"
            )

    @app.command("list")
    def list_rates(
        account: AccountOption,
        currency: Annotated[str, typer.Option(help="Only this one.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=MAX_LINES, help="How many at most.")] = 1_000,
        as_json: JsonOption = False,
    ) -> None:
        """List rates, in order of currency and day."""
        found = run(_list(connect, account, currency, limit))
        if as_json:
            document = MessageToDict(found, always_print_fields_with_no_presence=True)
            document["more"] = bool(document.pop("nextPageToken"))
            typer.echo(json.dumps(document))
            return
        table = Table()
        for column in (*_COLUMNS[:2], f"rate in {found.base_currency}"):
            table.add_column(column)
        for rate in found.rates:
            table.add_row(rate.date, rate.currency, rate.rate)
        Console(markup=False, emoji=False).print(table)
        if found.next_page_token:
            typer.echo("there are more: narrow the list, or raise --limit", err=True)

    return app


def read_lines(file: Path) -> list[Line]:
    """The rates of a CSV file, whose first line may name the columns.

    Raises Refused, which names each line that is no rate.
    """
    name = "/dev/stdin" if str(file) == "-" else str(file)
    with Path(name).open(encoding="utf-8-sig", newline="") as source:
        lines, wrong = _parsed(csv.reader(source))
    if wrong:
        more = [f"and {len(wrong) - _TOLD:,} more"] if len(wrong) > _TOLD else []
        raise Refused("; ".join(["nothing is written", *wrong[:_TOLD], *more]))
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
    async with _stub(connect, account, "analytics.write") as stub:
        for validate_only in (True, False):
            for start in range(0, len(lines), MAX_RATES):
                batch = lines[start : start + MAX_RATES]
                request = pb.ImportRatesRequest(
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
    told = []
    for violation in request.field_violations:
        place, _, field = violation.field.partition("].")
        number = place.removeprefix("rows[")
        if number.isdecimal() and int(number) < len(lines):
            told.append(f"line {lines[int(number)].number}: {field}: {violation.description}")
        else:
            told.append(f"{violation.field}: {violation.description}")
    return Refused("; ".join(told[:_TOLD]))


async def _list(connect: Connect, account: str, currency: str, limit: int) -> pb.ListRatesResponse:
    """Up to `limit` rates, page by page; the token says whether there are more."""
    found = pb.ListRatesResponse()
    async with _stub(connect, account, "analytics.read") as stub:
        while len(found.rates) < limit:
            request = pb.ListRatesRequest(
                currency=currency,
                page_size=min(_PAGE, limit - len(found.rates)),
                page_token=found.next_page_token,
            )
            page = await stub.ListRates(request)
            found.base_currency, found.next_page_token = page.base_currency, page.next_page_token
            found.rates.extend(page.rates)
            if not page.next_page_token:
                break
    return found


@asynccontextmanager
async def _stub(
    connect: Connect, account: str, scope: str
) -> AsyncGenerator["pb_grpc.AnalyticsServiceAsyncStub", None]:
    async with connect(account, (scope,)) as channel:
        yield pb_grpc.AnalyticsServiceStub(channel)
