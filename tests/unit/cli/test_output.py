"""What commands print: whole ids, counted words, messages as JSON."""

import json

import pytest
from billing_client.v1 import mirror_service_pb2 as pb
from rich.text import Text

from interfaces.cli.output import counted, print_json, print_table, table_of

LONG: str = "evt_1MqqbKLt4dXK03v5qaIbiNCC_and_more"


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1_000, "1,000 events")]
)
def test_what_is_counted_has_its_plural(count: int, words: str) -> None:
    assert counted(count, "event") == words
    assert counted(count, "entry", "entries").endswith("entry" if count == 1 else "entries")


@pytest.mark.parametrize("columns", ["40", "80", None])
def test_ids_are_whole_however_narrow_it_is(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    table = table_of("id", "other id", "why", ids=("id",))
    why = "a long story that is told in words, " * 5
    table.add_row(Text(LONG), Text(f"[b] {LONG}"), Text(why))
    print_table(table)
    out = capsys.readouterr().out
    assert out.count(LONG) == 2
    assert "[b]" in out
    lines = out.splitlines()
    assert (why.strip() in out) == (columns is None), "piped, a row is a line"
    if columns == "80":
        assert len(lines) > 5, "words are folded"


def test_a_table_that_fits_is_no_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = table_of("id", "why", ids=("id",))
    table.add_row(Text(LONG), Text("a long story that is told in words, " * 5))
    print_table(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_message_is_json_by_the_names_of_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rows": [pb.RowCount(noun="größe", count=0)], "none": None})
    out = capsys.readouterr().out
    assert json.loads(out) == {"rows": [{"noun": "größe", "count": "0"}], "none": None}
    assert "größe" in out
