"""What commands print: tables in which ids are whole, JSON, and counted words."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeAlias

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of a table.", show_default=False)
]

_WIDE: Final = 100_000
_WORD: Final = 64
"""A text is broken within a word only where the word is longer than this: ids are shorter."""


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, wider where an id would be cut; piped, in full."""
    for column in table.columns:
        column.min_width = _least(column)
    terminal = console()
    bounded = terminal.is_terminal or bool(os.environ.get("COLUMNS"))
    wide = Console(width=_WIDE)
    natural = Measurement.get(wide, wide.options, table).maximum
    width = max(terminal.width, least_width(table)) if bounded else natural
    console(min(width, max(natural, terminal.width))).print(table, crop=False)


def say(words: str) -> None:
    """A line, as it is: in ids and messages nothing is markup, or stands for an emoji."""
    typer.echo(words)


def print_json(value: Any) -> None:
    """A document of JSON: a message by the names of its fields, or plain values."""
    typer.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_json_line(message: Message) -> None:
    """A message as one line of JSON, for a stream of them."""
    typer.echo(json.dumps(plain(message), ensure_ascii=False))


def plain(value: Any) -> Any:
    """A message as plain values (ProtoJSON, with the fields' own names); others as they are."""
    if isinstance(value, Message):
        return MessageToDict(
            value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def console(width: int | None = None) -> Console:
    """Where a command prints."""
    return Console(highlight=False, markup=False, emoji=False, width=width)


def error_console() -> Console:
    """Where a command tells how it gets on while its standard output is to be JSON."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def table_of(
    *columns: str,
    ids: Iterable[str] = (),
    numbers: Iterable[str] = (),
    header: bool = True,
    footer: bool = False,
    lines: bool = False,
) -> Table:
    """An empty table: `ids` are those of the columns that are never broken."""
    table, whole = Table(show_header=header, show_footer=footer, show_lines=lines), {*ids}
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    """Names and values below each other; what is empty is left out."""
    table = table_of("name", "value", ids=("name",), header=False)
    for name, value in facts:
        if value:
            table.add_row(name, Text(value))
    return table


def least_width(table: Table) -> int:
    """How wide a table must be for its unbroken columns to be whole, and its words readable."""
    return sum(map(_least, table.columns)) + 3 * len(table.columns) + bool(table.show_edge)


def _least(column: Column) -> int:
    texts = [str(part) for part in (column.header, column.footer, *column.cells)]
    if column.no_wrap:
        return max((cell_len(line) for text in texts for line in text.splitlines()), default=1)
    words = max((cell_len(word) for text in texts for word in text.split()), default=1)
    return min(words, _WORD)


def counted(count: int, noun: str, nouns: str = "") -> str:
    """A count and what is counted: `1 event`, `2 events`, `1,000 events`."""
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def are(count: int) -> str:
    """The verb for so many."""
    return "is" if count == 1 else "are"
