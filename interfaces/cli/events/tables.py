"""Events and explanations as an operator reads them: tables, lines, words."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from billing_client.v1 import event_service_pb2 as pb
from rich.table import Table
from rich.text import Text

from domain.money import Money
from interfaces.cli.output import counted, facts_table, table_of
from interfaces.cli.times import shown

_FACETS: Final[Mapping[str, str]] = {
    "settlement": "fees", "reversal": "fees of the reversal", "invoice": "paid for",
}  # fmt: skip
"""What other objects tell about one, in words."""

_TELLINGS: Final[Mapping[pb.ExplainedEvent.Telling.ValueType, str]] = {
    pb.ExplainedEvent.TELLING_DELETION: "(deleted)",
    pb.ExplainedEvent.TELLING_HINT: "(unknown: the object was read from Stripe)",
    pb.ExplainedEvent.TELLING_NOTHING: "(nothing: the event is ignored)",
    pb.ExplainedEvent.TELLING_UNREADABLE: "(unreadable)",
}
_DECISIONS: Final[Mapping[str, str]] = {
    "kept the row: older than the row": "ignored: older than what we have",
    "kept the row: same content": "ignored: nothing new",
    "kept the row: ": "ignored: ",
    "applied: newer than the row": "applied: newer than what we had",
}  # fmt: skip
"""Decisions as they are stored, and in plain words; the others are shown as they are."""

_ROW_STATES: Final[Mapping[pb.MirroredRow.State.ValueType, str]] = {
    pb.MirroredRow.STATE_FACETS_ONLY: "not seen yet, only what other objects tell about it",
}


def line(event: pb.BillingEvent) -> str:
    """A billing event in one line."""
    words = [shown(event.occur_time), event.fact, event.object_id]
    if event.HasField("amount"):
        words.append(Money(event.amount.amount, event.amount.currency).formatted())
    if event.customer:
        words.append(event.customer)
    return "  ".join(words)


def events_table(events: Sequence[pb.Event]) -> Table:
    """A list of events, two lines each: ids are whole in 80 columns, to be copied."""
    table = Table(box=None, pad_edge=False)
    for column in ("type\nevent", "Stripe account\nobject", "state\nreceived"):
        table.add_column(column, no_wrap=True)
    table.add_row()
    for event in events:
        failed = f", failed {counted(event.attempts, 'time')}" if event.attempts else ""
        table.add_row(
            Text(f"{event.type}\n{event.id}"),
            Text(f"{_owner(event)}\n{event.object_id}"),
            Text(f"{_state(event)}{failed}\n{shown(event.receive_time)}"),
        )
        table.add_row()
    return table


def event_table(event: pb.Event) -> Table:
    """One event and what became of it."""
    waits = event.HasField("next_attempt_time")
    return facts_table((
        ("event", event.id),
        ("type", event.type),
        ("Stripe account", _owner(event)),
        ("API version", event.api_version),
        ("object", f"{event.object_type} {event.object_id}".strip()),
        ("created", shown(event.create_time)),
        ("received", shown(event.receive_time)),
        ("payload", f"{event.payload_size:,} bytes"),
        ("state", _state(event)),
        ("decision", _decision(event) if event.decision else ""),
        ("effects", "; ".join(event.effects)),
        ("failed attempts", str(event.attempts)),
        ("last error", event.error),
        ("next attempt", shown(event.next_attempt_time) if waits else ""),
    ))  # fmt: skip


def row_table(row: pb.MirroredRow) -> Table:
    """A mirrored row, without its values."""
    facts = [
        ("object", _row_state(row)),
        ("revision", str(row.revision)),
    ]
    if row.HasField("version"):
        facts.append(("valid", _interval(row.version)))
    if row.unknown_fields:
        facts.append(("not known yet", ", ".join(row.unknown_fields)))
    for facet in row.facets:
        words = f"from {facet.source_type} {facet.source_id}, {_interval(facet.version)}"
        name = _FACETS.get(facet.name, facet.name)
        facts.append((name, f"{words}: {', '.join(facet.fields)}"))
    return facts_table(facts)


def timeline(events: Sequence[pb.ExplainedEvent]) -> Table:
    """Events about an object, in order."""
    table = table_of("event", "what became of it", ids=("event",), lines=True)
    for explained in events:
        event = explained.event
        facts = [
            f"{_state(event)}: {_decision(event)}".removesuffix(": "),
            f"changed: {_changed(explained)}",
        ]
        if event.effects:
            facts.append(f"effects: {', '.join(event.effects)}")
        table.add_row(
            Text(f"{event.type}\n{event.id}\n{shown(event.create_time)}"), Text("\n".join(facts))
        )
    return table


def _changed(explained: pb.ExplainedEvent) -> str:
    """Which fields an event changed, or why that is not known."""
    if explained.telling != pb.ExplainedEvent.TELLING_STATE:
        return _TELLINGS.get(explained.telling, "(unknown)")
    if explained.basis == pb.ExplainedEvent.BASIS_UNSPECIFIED:
        return "(nothing to compare with)"
    return ", ".join(explained.changed_fields) or "(nothing mirrored)"


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


def _row_state(row: pb.MirroredRow) -> str:
    return _ROW_STATES.get(row.state) or _word(pb.MirroredRow.State.Name(row.state), "STATE_")


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower().replace("_", " ")


def _decision(event: pb.Event) -> str:
    """What was decided and why, or what is in the way."""
    words = event.decision or event.error
    for stored, plain in _DECISIONS.items():
        words = words.replace(stored, plain)
    return words


def _interval(version: pb.RowVersion) -> str:
    first, last = shown(version.earliest_time), shown(version.latest_time)
    when = first if first == last else f"{first} to {last}"
    return f"{when} (read from Stripe)" if version.HasField("read_time") else when
