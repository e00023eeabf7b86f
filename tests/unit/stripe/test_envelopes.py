"""Envelopes: whatever is Stripe's is kept, and only what is understood is projected."""

import datetime as dt
import hashlib
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from application.events.inbox import EventState, ReceivedEvent
from application.events.readings import Hint
from application.mirror.nouns import CHARGES
from domain.periods import to_milliseconds
from infrastructure.stripe.readers.envelopes import read_envelope, received
from infrastructure.stripe.readers.events import StripeEventReader
from tests.unit.stripe import samples

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
EVENT = samples.event(samples.charge(), "charge.succeeded")
CREATED_MS = EVENT["created"] * 1000
NO_OBJECT = ("", "")

ODD = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "acct_1", "event", "v2.core.event", "a\u0000b", [],
    [7], {}, {"object": None}, {"object": {}}, {"object": {"id": 7}},
    {"object": {"object": "card"}},
)  # fmt: skip


def taken(payload: Any, **asked: Any) -> ReceivedEvent:
    """The event in a payload; it holds its bytes."""
    body = json.dumps(payload).encode()
    event = received(body, now=NOW, livemode=False, **asked)
    assert (event.payload, event.received_at) == (body, NOW)
    return event


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"livemode": None}, "livemode"),
        ({"livemode": "false"}, "livemode"),
        ({"account": "cus_1"}, "account"),
        ({"account": 7}, "account"),
        ({"account": None, "user_id": "me"}, "account"),
        ({"object": "charge"}, "object"),
        ({"object": 7}, "object"),
        ({"data": []}, "data"),
        ({"data": {"object": "ch_1"}}, "data.object"),
        ({"data": {"object": {"id": 7, "object": "charge"}}}, "data.object.id"),
        ({"data": {"object": {"id": "ch_\u0001", "object": "charge"}}}, "data.object.id"),
        ({"data": {"object": {"id": "ch_1", "object": {}}}}, "data.object.object"),
    ],
)
def test_an_event_that_is_not_understood_is_a_dead_letter_that_names_the_field(
    changes: dict[str, Any], field: str
) -> None:
    event = taken({**EVENT, **changes})
    assert event.state is EventState.DEAD
    assert event.decision == "not understood"
    assert event.error == f"{field}: is missing or not of its type"
    assert (event.id, event.type, event.created) == ("evt_1", EVENT["type"], CREATED_MS)
    assert (event.object_type, event.object_id) == NO_OBJECT, "nothing is read for it"


@pytest.mark.parametrize("field", ["livemode", "object", "data"])
def test_a_missing_field_is_no_obstacle_where_nothing_hangs_on_it(field: str) -> None:
    event = taken(samples.without(EVENT, field))
    about = NO_OBJECT if field in ("livemode", "data") else ("charge", "ch_1")
    state = EventState.DEAD if field == "livemode" else EventState.PENDING
    assert (event.state, (event.object_type, event.object_id)) == (state, about)


@pytest.mark.parametrize(
    ("changes", "created_ms"),
    [
        ({"created": "2026-11-22T11:00:00Z"}, to_milliseconds(NOW) - 3_600_000),
        ({"created": "2026-11-22T13:00:00.5+02:00"}, to_milliseconds(NOW) - 3_599_500),
        ({"created": None}, to_milliseconds(NOW)),
        ({"created": 1.5}, to_milliseconds(NOW)),
        ({"created": 10**15}, to_milliseconds(NOW)),
        ({"created": "yesterday"}, to_milliseconds(NOW)),
        ({"created": "0001-01-01T00:00:00+14:00"}, to_milliseconds(NOW)),
        ({"created": "9999-12-31T23:59:59-10:00"}, to_milliseconds(NOW)),
        ({"type": None}, CREATED_MS),
        ({"type": "a" * 300}, CREATED_MS),
        ({"api_version": 7}, CREATED_MS),
    ],
)
def test_an_event_that_still_names_its_object_is_a_hint(
    changes: dict[str, Any], created_ms: int
) -> None:
    event = taken({**EVENT, **changes})
    assert (event.state, event.created) == (EventState.PENDING, created_ms)
    assert StripeEventReader().read(event, "acct_1") == Hint(CHARGES, "ch_1", created_ms)


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({"user_id": "acct_2"}, "acct_1"),
        ({"account": None, "user_id": "acct_2"}, "acct_2"),
        ({"account": "", "user_id": None}, ""),
    ],
)
def test_an_account_is_named_by_account_or_before_2017_05_25_by_user_id(
    changes: dict[str, Any], account: str
) -> None:
    event = taken({**EVENT, **changes})
    assert (event.state, event.stripe_account) == (EventState.PENDING, account)


@pytest.mark.parametrize("account", ["acct_1", "acct_2", "me", 7, None])
def test_the_account_that_was_asked_for_stands(account: Any) -> None:
    event = taken({**EVENT, "account": account, "user_id": 7}, stripe_account="acct_9")
    assert (event.state, event.stripe_account) == (EventState.PENDING, "acct_9")


def test_a_thin_event_is_kept_as_ignored() -> None:
    event = taken(samples.thin_event())
    assert (event.id, event.type, event.api_version) == ("evt_thin", "v1.customer.updated", "")
    assert (event.state, event.decision.partition(":")[0]) == (EventState.IGNORED, "a thin event")
    assert event.created == to_milliseconds(dt.datetime(2026, 11, 28, 19, tzinfo=dt.UTC)) + 123
    about = (event.stripe_account, event.object_type, event.object_id)
    assert about == ("acct_1", "customer", "cus_1")


@pytest.mark.parametrize(
    ("changes", "account"),
    [
        ({"context": None}, ""),
        ({"context": "org_1/acct_2"}, "acct_2"),
        ({"context": "org_1"}, ""),
        ({"context": 7, "created": None, "type": 7, "livemode": None}, ""),
        ({"related_object": {"type": "balance", "url": "/v1/balance"}}, "acct_1"),
        ({"related_object": None, "data": {"title": "x"}}, "acct_1"),
        ({"related_object": "cus_1"}, "acct_1"),
    ],
)
def test_so_is_any_other_thin_event(changes: dict[str, Any], account: str) -> None:
    event = taken(samples.thin_event(**changes))
    assert (event.state, event.stripe_account) == (EventState.IGNORED, account)


@pytest.mark.parametrize(
    "payload", [samples.thin_event(), EVENT, {**EVENT, "data": 7}, {**EVENT, "account": "me"}]
)
def test_the_other_mode_is_ignored_whatever_else_there_is(payload: dict[str, Any]) -> None:
    event = taken({**payload, "livemode": True})
    assert (event.state, event.decision) == (EventState.IGNORED, "other mode")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "body: must be JSON"),
        (b"{", "body: must be JSON"),
        (b"pay me", "body: must be JSON"),
        (b"[]", "body: must be a JSON object"),
        (b"null", "body: must be a JSON object"),
        (b'{"x":' + b"[" * 100_000, "body: is nested too deeply"),
        (b'{"id":"\xff"}', "id: is missing or not of its type"),
        (b'{"id":"\\ud800"}', "body: must be JSON"),
        (json.dumps(samples.without(EVENT, "id")).encode(), "id: is missing or not of its type"),
        (json.dumps({**EVENT, "id": ""}).encode(), "id: is missing or not of its type"),
        (json.dumps({**EVENT, "id": "e" * 300}).encode(), "id: is missing or not of its type"),
    ],
)
def test_a_body_without_id_is_a_dead_letter_named_by_its_digest(body: bytes, why: str) -> None:
    event = received(body, now=NOW, livemode=False)
    assert event.id == f"body_{hashlib.sha256(body).hexdigest()}"
    assert (event.state, event.decision, event.error) == (EventState.DEAD, "not understood", why)
    assert (event.payload, event.stripe_account) == (body, "")
    with pytest.raises(ValueError, match=re.escape(why)):
        StripeEventReader().read(event, "acct_platform")


@example({"account": True, "user_id": "acct_1"})
@given(
    st.dictionaries(
        st.sampled_from([*EVENT, "user_id", "context", "related_object"]), st.sampled_from(ODD)
    )
)
def test_no_field_keeps_an_event_from_being_stored(changes: dict[str, Any]) -> None:
    event = taken({**EVENT, **changes})
    assert event.state is EventState.PENDING or event.decision
    if event.state is EventState.DEAD:
        with pytest.raises(ValueError, match=re.escape(event.error)):
            StripeEventReader().read(event, "acct_1")


@given(st.binary(max_size=100))
def test_no_body_is_refused(body: bytes) -> None:
    assert received(body, now=NOW, livemode=False).payload == body


def test_a_field_more_changes_nothing() -> None:
    """The envelope that is read at once and the one that is read field by field are the same."""
    plain, apart = (
        read_envelope(json.dumps({**EVENT, **more}).encode()) for more in ({}, {"user_id": 7})
    )
    assert plain == apart


def test_a_body_without_id_on_a_list_is_of_the_account_that_was_asked() -> None:
    event = received(b'{"created":5}', now=NOW, livemode=False, stripe_account="acct_1")
    assert (event.stripe_account, event.state) == ("acct_1", EventState.DEAD)
