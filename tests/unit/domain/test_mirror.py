"""The rule that says which of two observations stands: every branch, named."""

from dataclasses import replace
from itertools import permutations

import pytest

from domain.customers import Customer
from domain.mirror import FOREVER_MS, Decision, Snapshot, Version, decide, fill, resolve
from domain.periods import from_milliseconds

KEEP, REPLACE, REREAD = Decision.KEEP, Decision.REPLACE, Decision.REREAD
CREATED = 1_000
OURS = 3_000_000
"""The millisecond of our clock from which `known` and `sent` count: no second here is after it."""

HOUR = 3_600


def event(
    at: int,
    name: str | None = "a",
    *,
    known: int | None = None,
    before: str | None = "",
) -> Snapshot[Customer]:
    """An event of a second; without a name it tells the deletion.

    `before` is the name that it says it followed (None: it is an update that does not say).
    """
    known_at_ms = None if known is None else OURS + known
    told = seen(Version.of_event(at * 1_000, known_at_ms=known_at_ms), name)
    return told if before == "" else replace(told, befores=(before and named(before),))


def named(name: str) -> Customer:
    return Customer("cus_1", from_milliseconds(CREATED * 1_000), name=name)


def read(date: int, name: str | None = "a", *, sent: int, took: int = 10) -> Snapshot[Customer]:
    """An answer whose `Date` is a second, sent at a millisecond of our clock."""
    version = Version.of_read(date_ms=date * 1_000, duration_ms=took, sent_at_ms=OURS + sent)
    return seen(version, name)


def seen(version: Version, name: str | None, created: int = CREATED) -> Snapshot[Customer]:
    found = Customer("cus_1", from_milliseconds(created * 1_000), name=name) if name else None
    return Snapshot("acct_1", "cus_1", version, found)


def born(snapshot: Snapshot[Customer], created: int) -> Snapshot[Customer]:
    """The same, of an object created at another second."""
    assert snapshot.object is not None
    at = from_milliseconds(created * 1_000)
    return replace(snapshot, object=replace(snapshot.object, created=at))


LIVE_CASES = {
    "what is first seen stands": (None, event(2_000), REPLACE, "first seen"),
    "an event of an earlier second is too old": (
        event(2_000, "a"), event(1_999, "b"), KEEP, "older than what we have"),
    "an event of a later second is newer": (
        event(2_000, "a"), event(2_001, "b"), REPLACE, "newer than what we have"),
    "two events of one second with one content agree": (
        event(2_000, "a"), event(2_000, "a"), KEEP, "same content"),
    "two events of one second with other contents are read": (
        event(2_000, "a"), event(2_000, "b"), REREAD, "same time, other content"),
    "an event below a read's interval is too old": (
        read(2_000, "a", sent=5), event(1_997, "b"), KEEP, "older than what we have"),
    "an event above a read's interval is newer": (
        read(2_000, "a", sent=5), event(2_003, "b"), REPLACE, "newer than what we have"),
    "an event at the lower end of a read's interval overlaps": (
        seen(Version(1_998_000, 2_002_000, OURS + 5, OURS + 9), "a"), event(1_998, "b"), REREAD,
        "same time, other content"),
    "an event at the upper end of a read's interval overlaps": (
        read(2_000, "a", sent=5), event(2_002, "b"), REREAD, "same time, other content"),
    "a read above an event is newer": (
        event(2_000, "a"), read(2_004, "b", sent=5), REPLACE, "newer than what we have"),
    "a read below an event is too old": (
        event(2_004, "a"), read(2_000, "b", sent=5), KEEP, "older than what we have"),
    "a read sent once the event was known is later": (
        event(2_000, "a", known=70), read(2_000, "b", sent=71), REPLACE,
        "read later than what we have"),
    "a read sent in the very millisecond is not proven later": (
        event(2_000, "a", known=70), read(2_000, "b", sent=70), REREAD,
        "same time, other content"),
    "a read proves nothing about an event known at no known time": (
        event(2_000, "a"), read(2_000, "b", sent=70), REREAD, "same time, other content"),
    "an event received before what we have was read is in it": (
        read(2_000, "a", sent=71), event(2_000, "b", known=70), KEEP,
        "received before what we have was read"),
    "an event that came while the row was read may be later": (
        read(2_000, "a", sent=71), event(2_000, "b", known=71), REREAD,
        "same time, other content"),
    "of two reads one after the other the later stands": (
        read(2_000, "a", sent=50, took=10), read(2_000, "b", sent=61), REPLACE,
        "read later than what we have"),
    "of two reads one after the other the earlier goes": (
        read(2_000, "a", sent=61), read(2_000, "b", sent=50, took=10), KEEP,
        "received before what we have was read"),
    "two reads under way at once prove nothing": (
        read(2_000, "a", sent=50, took=10), read(2_000, "b", sent=60), REREAD,
        "same time, other content"),
}  # fmt: skip

DELETION_CASES = {
    "a deletion is final however late it is told": (
        event(3_000), event(2_000, None), REPLACE, "deleted"),
    "a deletion before the object's creation was another's": (
        born(event(3_000), 2_500), event(2_000, None), KEEP, "created after that deletion"),
    "a deletion in the second of the creation is read": (
        born(event(2_000), 2_000), event(2_000, None), REREAD, "created and deleted at once"),
    "a read that finds nothing, sent once the object was known, stands": (
        born(event(2_000, known=70), 2_000), read(2_000, None, sent=71), REPLACE,
        "read later than what we have"),
    "a second deletion changes nothing": (
        event(2_000, None), event(2_000, None), KEEP, "deleted already"),
    "a late update does not revive": (
        event(2_000, None), event(3_000), KEEP, "the object is deleted"),
    "a creation after the deletion revives": (
        event(2_000, None), born(event(2_001), 2_001), REPLACE, "created anew after the deletion"),
    "a creation in the second of the deletion is read": (
        event(2_000, None), born(event(2_000), 2_000), REREAD, "created and deleted at once"),
    "a read that finds the object, sent once the deletion was known, stands": (
        event(2_000, None, known=70), born(read(2_000, "a", sent=71), 2_000), REPLACE,
        "read later than what we have"),
}  # fmt: skip

OVERLAPS = "same time, other content"
AHEAD = 3_000 + HOUR

AHEAD_CASES = {
    "an event ahead of our clock is read": (
        event(2_000, known=1), event(AHEAD, "b", known=5), REREAD, OVERLAPS),
    "a read sent once it was known mends a row that is ahead": (
        event(AHEAD, known=5), read(3_000, "b", sent=6), REPLACE, "read later than what we have"),
    "a read sent earlier does not": (
        event(AHEAD, known=5), read(3_000, "b", sent=5), REREAD, OVERLAPS),
    "an event is no older than a row that is ahead": (
        event(AHEAD, known=5), event(2_000, "b", known=6), REREAD, OVERLAPS),
    "of two events ahead neither is the later": (
        event(AHEAD, known=5), event(AHEAD + HOUR, "b", known=6), REREAD, OVERLAPS),
    "what an event ahead followed may have come back since": (
        event(AHEAD, known=5), event(AHEAD, "b", known=6, before="a"), REREAD, OVERLAPS),
    "a row from an answer whose Date is days ahead is mended by the next answer": (
        read(AHEAD + 48 * HOUR, sent=5), read(3_000, "b", sent=16), REPLACE,
        "read later than what we have"),
    "an answer whose Date is days ahead is no newer by it": (
        event(2_000, known=70), read(AHEAD + 48 * HOUR, "b", sent=70), REREAD, OVERLAPS),
    "five minutes ahead are believed": (
        event(3_300, known=0), read(3_200, "b", sent=1), KEEP, "older than what we have"),
    "what was in our hands at no known time is believed": (
        event(AHEAD), read(3_000, "b", sent=1), KEEP, "older than what we have"),
    "a deletion ahead of our clock is read": (
        event(2_000, known=1), event(AHEAD, None, known=5), REREAD, "created and deleted at once"),
    "a read that finds nothing mends a row whose object was made ahead of our clock": (
        born(event(AHEAD, known=5), AHEAD), read(3_000, None, sent=6), REPLACE,
        "read later than what we have"),
    "a late update of what was made ahead of our clock does not revive by that": (
        read(3_000, None, sent=6), born(event(AHEAD, known=7), AHEAD), REREAD,
        "created and deleted at once"),
    "a tombstone ahead of our clock is mended by a read that finds the object": (
        event(AHEAD, None, known=5), born(read(3_000, sent=6), 2_999), REPLACE,
        "read later than what we have"),
}  # fmt: skip

SUCCESSION_CASES = {
    "one that tells that it followed the row is later": (
        event(2_000), event(2_000, "b", before="a"), REPLACE, "directly after what we have"),
    "one that the row has followed is earlier": (
        event(2_000, "b", before="a"), event(2_000), KEEP, "directly before what we have"),
    "an update that does not say what it followed may be the last one": (
        event(2_000, "b", before="a"), event(2_000, before=None), REREAD, OVERLAPS),
    "a row from such an update may be the last one": (
        event(2_000, before=None), event(2_000, "b", before="a"), REREAD, OVERLAPS),
}  # fmt: skip

CASES = LIVE_CASES | DELETION_CASES | AHEAD_CASES | SUCCESSION_CASES


@pytest.mark.parametrize("name", CASES)
def test_rule(name: str) -> None:
    stored, incoming, decision, why = CASES[name]
    verdict = decide(stored, incoming)
    assert (verdict.decision, verdict.why) == (decision, why)


def test_a_kept_row_is_not_written_again() -> None:
    for stored, incoming in (
        (event(2_000), event(1_000, "b")),
        (event(2_000), event(2_000)),
        (event(2_000, None), event(1_000)),
    ):
        assert resolve(stored, incoming)[1] is None


def test_a_confirmed_row_is_as_late_as_the_later_observation() -> None:
    stored = read(2_000, "a", sent=50, took=10)
    confirming = event(2_001, "a", known=90)
    _, row = resolve(stored, confirming)
    assert row is not None
    assert row.version == Version(2_001_000, 2_002_000, OURS + 50, OURS + 90)
    # An answer to a request from before the confirmation shows what has come and gone since.
    overtaken = read(2_001, "b", sent=70)
    assert decide(stored, overtaken).decision is REPLACE
    assert decide(row, overtaken).decision is REREAD


def test_a_confirmation_at_no_known_time_makes_that_of_the_row_unknown() -> None:
    _, row = resolve(read(2_000, "a", sent=50), event(2_001, "a"))
    assert row is not None
    assert row.version.known_at is None


def test_a_later_deletion_moves_the_tombstone() -> None:
    _, row = resolve(event(2_000, None), event(3_000, None))
    assert row is not None
    late_creation = born(event(2_500), 2_500)
    assert decide(row, late_creation).decision is KEEP


@pytest.mark.parametrize(
    ("stored", "incoming", "changes"),
    [
        (None, event(2_000, "a"), True),
        (event(2_000, "a"), event(2_001, "b"), True),
        (event(2_000, "a"), event(2_001, "a"), False),
        (event(2_000, "a"), event(1_999, "b"), False),
        (event(2_000, "a"), event(2_001, None), True),
        (event(2_000, None), event(2_001, None), False),
    ],
)
def test_content_tells_whether_a_row_changes_and_not_its_time(
    stored: Snapshot[Customer] | None, incoming: Snapshot[Customer], changes: bool
) -> None:
    assert resolve(stored, incoming)[0].changes is changes


def test_a_row_that_learns_a_field_changes_though_it_stays() -> None:
    stored = replace(event(2_001, "b"), unknown=frozenset({"email"}))
    verdict, _ = resolve(stored, with_email(event(2_000, "a"), "a@example.com"))
    assert (verdict.decision, verdict.changes) == (KEEP, True)


def test_an_unknown_field_keeps_the_stored_value() -> None:
    stored = with_email(event(2_000, "a"), "a@example.com")
    untold = replace(event(2_001, "b"), unknown=frozenset({"email"}))
    verdict, row = resolve(stored, untold)
    assert verdict.decision is REPLACE
    assert row == replace(with_email(untold, "a@example.com"), unknown=frozenset())


def test_an_older_observation_tells_what_the_row_does_not_know() -> None:
    stored = replace(event(2_001, "b"), unknown=frozenset({"email"}))
    older = with_email(event(2_000, "a"), "a@example.com")
    verdict, row = resolve(stored, older)
    assert verdict.decision is KEEP
    assert row == replace(with_email(stored, "a@example.com"), unknown=frozenset())


def test_unknown_fields_are_no_difference() -> None:
    stored = with_email(event(2_000), "a@example.com")
    assert decide(stored, replace(event(2_000), unknown=frozenset({"email"}))).decision is KEEP


def test_a_tombstone_is_filled_with_nothing() -> None:
    tombstone, told = event(2_000, None), event(1_999)
    assert fill(tombstone, told) is tombstone
    assert fill(replace(told, unknown=frozenset({"email"})), tombstone).unknown == {"email"}


def with_email(snapshot: Snapshot[Customer], email: str) -> Snapshot[Customer]:
    assert snapshot.object is not None
    return replace(snapshot, object=replace(snapshot.object, email=email))


def test_observations_apart_end_equal_in_every_order() -> None:
    life = [event(2_000, "a"), event(2_001, "b"), read(2_010, "c", sent=9_000), event(2_020, None)]
    ends = set()
    for order in permutations(life):
        row: Snapshot[Customer] | None = None
        for one in order:
            verdict, change = resolve(row, one)
            assert verdict.decision is not REREAD
            row = change or row
        assert row is not None
        ends.add((row.object, row.version))
    assert ends == {(None, life[-1].version)}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_update_that_does_not_tell_its_before_is_read_in_every_order(
    order: tuple[int, ...],
) -> None:
    """N, there, and N again, which Stripe has left already: the events do not say which is last."""
    life = [
        event(3_000, "N", known=1), event(3_000, "there", known=1, before="N"),
        event(3_000, "N", known=1, before=None),
    ]  # fmt: skip
    row: Snapshot[Customer] | None = None
    for turn, number in enumerate(order):
        verdict, change = resolve(row, life[number])
        if verdict.decision is REREAD:
            change = resolve(row, read(3_000, "there", sent=100 * (turn + 1)))[1]
        row = change or row
    assert row is not None
    assert row.object == named("there")


def test_what_is_ahead_stays_so_once_it_is_known_later() -> None:
    """At the later `known_at` its time would be believed, though nothing has proven it."""
    day = 24 * HOUR * 1_000
    _, confirmed = resolve(event(AHEAD, known=5), event(2_000, known=day))
    assert confirmed is not None
    assert confirmed.version == Version(2_000_000, FOREVER_MS, None, OURS + day)
    assert decide(confirmed, event(2_001, "b", known=day)).decision is REREAD
    assert decide(confirmed, event(1_999, "b", known=day)).decision is KEEP
    ranks = {"a": 1, "b": 2}
    _, further = resolve(
        event(AHEAD, "b", known=5), event(2_000, known=day), lambda one: ranks[one.name or ""]
    )
    assert further is not None
    assert decide(further, event(2_001, "c", known=day)).decision is REREAD


def test_where_a_version_ahead_of_our_clock_stands() -> None:
    assert event(2_000, known=5).version.place() == (2_000_000, 2_000_000)
    assert event(AHEAD, known=5).version.place() == (OURS + 5, OURS + 5)
    assert event(AHEAD).version.place() == (AHEAD * 1_000, AHEAD * 1_000)
    assert Version(7, OURS * 2, 8, 9).place() == (9, 7)


def test_what_a_version_is() -> None:
    assert Version.of_event(5, known_at_ms=9) == Version(5, 5, None, 9)
    told = Version.of_read(date_ms=10_000, duration_ms=300, sent_at_ms=7)
    assert told == Version(7_700, 12_000, 7, 307)
    later = Version.of_read(date_ms=10_000, duration_ms=300, sent_at_ms=7, not_before_ms=9_000)
    assert later == Version(9_000, 12_000, 7, 307)
    ahead = Version.of_read(date_ms=10_000, duration_ms=300, sent_at_ms=7, not_before_ms=13_000)
    assert (ahead.low, ahead.high) == (13_000, 13_000)
    lying = Version.of_read(date_ms=10_000, duration_ms=300, sent_at_ms=7, not_before_ms=300_308)
    assert lying == told
    with pytest.raises(ValueError, match="low"):
        Version(2, 1)


@pytest.mark.parametrize(
    ("row", "surely"),
    [
        (event(2_001), True),
        (event(2_000), False),
        (event(1_999), False),
        (read(2_003, sent=5), True),
        (read(2_002, sent=5), False),
        (read(2_000, sent=101), True),
        (read(2_000, sent=100), False),
        (read(1_990, sent=101), False),
        (event(AHEAD, known=101), False),
        (read(AHEAD, sent=100), False),
        (read(AHEAD, sent=101), True),
    ],
    ids=str,
)
def test_what_a_row_surely_shows_the_effect_of(row: Snapshot[Customer], surely: bool) -> None:
    happened = event(2_000, "other", known=100)
    assert row.version.surely_after(happened.version) is surely
    by_clocks = ("older than what we have", "received before what we have was read")
    assert (decide(row, happened).why in by_clocks) is surely


@pytest.mark.parametrize(("account", "id_"), [("", "cus_1"), ("acct_1", ""), ("acct_1", "cus_2")])
def test_a_snapshot_names_its_object(account: str, id_: str) -> None:
    with pytest.raises(ValueError, match="id"):
        replace(event(2_000), stripe_account=account, id=id_)
