"""Events and explanations as an operator reads them: tables, lines, words."""

import datetime as dt
import json
from collections.abc import Sequence

from billing_client.v1 import event_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.table import Table
from rich.text import Text

from domain.money import Money


def line(event: pb.BillingEvent) -> str:
    """A billing event in one line."""
    words = [_time(event.occur_time), event.fact, event.object_id]
    if event.HasField("amount"):
        words.append(Money(event.amount.amount, event.amount.currency).formatted())
    if event.customer:
        words.append(event.customer)
    return "  ".join(words)


def events_table(events: Sequence[pb.Event]) -> Table:
    """A list of events, two lines each: ids are whole in 80 columns, to be copied."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("type\nevent", "Stripe account\nobject", "state\nreceived"):
        table.add_column(column, overflow="fold")
    for event in events:
        failed = f", failed {event.attempts} times" if event.attempts else ""
        table.add_row(
            Text(f"{event.type}\n{event.id}"),
            Text(f"{_owner(event)}\n{event.object_id}"),
            Text(f"{_state(event)}{failed}\n{_time(event.receive_time)}"),
        )
        table.add_row()
    return table


def event_table(event: pb.Event) -> Table:
    """One event and what became of it."""
    waits = event.HasField("next_attempt_time")
    return _facts(
        ("event", event.id),
        ("type", event.type),
        ("Stripe account", _owner(event)),
        ("API version", event.api_version),
        ("object", f"{event.object_type} {event.object_id}".strip()),
        ("created", _time(event.create_time)),
        ("received", _time(event.receive_time)),
        ("payload", f"{event.payload_size:,} bytes"),
        ("state", _state(event)),
        ("decision", event.decision),
        ("effects", "; ".join(event.effects)),
        ("failed attempts", str(event.attempts)),
        ("last error", event.error),
        ("next attempt", _time(event.next_attempt_time) if waits else ""),
    )


def row_table(row: pb.MirroredRow) -> Table:
    """A mirrored row, without its values."""
    facts = [
        ("row", _word(pb.MirroredRow.State.Name(row.state), "STATE_")),
        ("revision", str(row.revision)),
    ]
    if row.HasField("version"):
        facts.append(("true", _interval(row.version)))
    if row.unknown_fields:
        facts.append(("not told yet", ", ".join(row.unknown_fields)))
    for facet in row.facets:
        words = f"from {facet.source_type} {facet.source_id}, {_interval(facet.version)}"
        facts.append((f"facet {facet.name}", f"{words}: {', '.join(facet.fields)}"))
    return _facts(*facts)


def timeline(events: Sequence[pb.ExplainedEvent]) -> Table:
    """Events about an object, in order."""
    table = Table(show_lines=True)
    table.add_column("event", no_wrap=True)
    table.add_column("what became of it", overflow="fold")
    for one in events:
        event = one.event
        facts = [
            f"{_state(event)}: {event.decision or event.error}".removesuffix(": "),
            f"changed: {_changed(one)}",
        ]
        if event.effects:
            facts.append(f"effects: {', '.join(event.effects)}")
        table.add_row(
            Text(f"{event.type}\n{event.id}\n{_time(event.create_time)}"), Text("\n".join(facts))
        )
    return table


def _changed(one: pb.ExplainedEvent) -> str:
    """Which fields an event changed, or why that is not known."""
    if one.telling != pb.ExplainedEvent.TELLING_STATE:
        return f"({_word(pb.ExplainedEvent.Telling.Name(one.telling), 'TELLING_')})"
    if one.basis == pb.ExplainedEvent.BASIS_UNSPECIFIED:
        return "(nothing to compare with)"
    return ", ".join(one.changed_fields) or "(nothing mirrored)"


def _facts(*facts: tuple[str, str]) -> Table:
    """Names and values below each other; what is empty is left out."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value:
            table.add_row(name, Text(value))
    return table


def readable(payload: bytes) -> str:
    """A payload as indented JSON; as it is where it is none."""
    text = payload.decode(errors="replace")
    try:
        return json.dumps(json.loads(text), indent=2)
    except ValueError:
        return text


def _owner(event: pb.Event) -> str:
    return event.stripe_account or "platform"


def _state(event: pb.Event) -> str:
    return _word(pb.Event.State.Name(event.state), "STATE_")


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _interval(version: pb.RowVersion) -> str:
    first, last = _time(version.earliest_time), _time(version.latest_time)
    when = first if first == last else f"{first} to {last}"
    return f"{when} (read from Stripe)" if version.HasField("read_time") else when


def _time(timestamp: Timestamp) -> str:
    return timestamp.ToDatetime(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
