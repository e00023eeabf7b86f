"""The webhook's door: genuine deliveries in, everything else out."""

import datetime as dt
import json
from typing import Any

import pytest
import stripe
from hypothesis import assume, given
from hypothesis import strategies as st

from application.events.inbox import EventState, ReceivedEvent
from domain.connections import Mode
from domain.errors import Reason, Unauthenticated
from infrastructure.stripe.readers.webhooks import TOLERANCE, StripeWebhookReader
from tests.unit.stripe import samples

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
PLATFORM, PLATFORM_OLD = "whsec_platform", "whsec_platform_old"
CONNECT, CONNECT_OLD = "whsec_connect", "whsec_connect_old"
BODY = samples.encoded(samples.event(samples.charge(), "charge.succeeded"))
PLATFORM_BODY = samples.encoded(
    samples.without(samples.event(samples.charge(), "charge.succeeded"), "account")
)


def reader(mode: Mode = Mode.TEST, **changes: Any) -> StripeWebhookReader:
    return StripeWebhookReader(
        platform_secrets=[PLATFORM, PLATFORM_OLD],
        connect_secrets=[CONNECT, CONNECT_OLD],
        mode=mode,
        **changes,
    )


def signed(body: bytes, secret: str = CONNECT, at: dt.datetime = NOW) -> str:
    header = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(at.timestamp())
    )
    assert isinstance(header, str)
    return header


def refused(body: bytes, header: str, now: dt.datetime = NOW) -> None:
    with pytest.raises(Unauthenticated) as caught:
        reader().read(body, header, now)
    assert caught.value.reason is Reason.SIGNATURE_INVALID


def test_a_genuine_event_comes_in_as_it_is() -> None:
    assert reader().read(BODY, signed(BODY), NOW) == ReceivedEvent(
        id="evt_1",
        stripe_account="acct_1",
        type="charge.succeeded",
        api_version=samples.API_VERSION,
        created=(samples.CREATED + 5) * 1000,
        object_type="charge",
        object_id="ch_1",
        payload=BODY,
        received_at=NOW,
        state=EventState.PENDING,
        decision="",
    )


def test_an_event_of_the_platform_has_no_account() -> None:
    event = reader().read(PLATFORM_BODY, signed(PLATFORM_BODY, PLATFORM), NOW)
    assert event.stripe_account == ""


@pytest.mark.parametrize("secret", [CONNECT, CONNECT_OLD])
def test_every_secret_of_the_scope_verifies_during_a_rotation(secret: str) -> None:
    assert reader().read(BODY, signed(BODY, secret), NOW).id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    wrong = "v1=" + "0" * 64
    time, right = signed(BODY).split(",")
    assert reader().read(BODY, f"{time},{wrong},{right},v0=abc", NOW).id == "evt_1"


@pytest.mark.parametrize(
    ("body", "secret"),
    [(BODY, PLATFORM), (BODY, PLATFORM_OLD), (PLATFORM_BODY, CONNECT), (BODY, "whsec_other")],
)
def test_a_secret_of_another_scope_or_of_nobody_is_refused(body: bytes, secret: str) -> None:
    refused(body, signed(body, secret))


@pytest.mark.parametrize(("body", "secret"), [(BODY, PLATFORM), (PLATFORM_BODY, CONNECT)])
def test_swapped_secrets_are_told_by_the_names_of_their_settings(body: bytes, secret: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        reader().read(body, signed(body, secret), NOW)
    for words in (
        "BILLING_WEBHOOK_SECRETS_PLATFORM",
        "BILLING_WEBHOOK_SECRETS_CONNECT",
        "swapped?",
    ):
        assert words in caught.value.message


def test_a_connected_account_may_be_named_as_it_was_before_2017_05_25() -> None:
    payload = samples.without(json.loads(BODY), "account")
    body = samples.encoded({**payload, "user_id": "acct_1", "api_version": "2016-07-06"})
    event = reader().read(body, signed(body), NOW)
    assert (event.state, event.stripe_account) == (EventState.PENDING, "acct_1")
    refused(body, signed(body, PLATFORM))


@pytest.mark.parametrize("secret", [PLATFORM, CONNECT])
@pytest.mark.parametrize(
    "body",
    [samples.encoded(samples.thin_event()), b"{", b"[]", b'{"id": "evt_1", "object": "receipt"}'],
    ids=["thin", "no JSON", "no object", "no event"],
)
def test_what_belongs_to_no_scope_is_kept_whichever_secret_signed_it(
    body: bytes, secret: str
) -> None:
    event = reader().read(body, signed(body, secret), NOW)
    assert event.payload == body
    assert event.state in (EventState.IGNORED, EventState.DEAD)
    assert event.decision
    refused(body, signed(body, "whsec_other"))


@pytest.mark.parametrize("sign", [-1, 1], ids=["past", "future"])
def test_the_time_is_bounded_both_ways(sign: int) -> None:
    header = signed(BODY)
    assert reader().read(BODY, header, NOW - sign * TOLERANCE).id == "evt_1"
    refused(BODY, header, NOW - sign * (TOLERANCE + dt.timedelta(seconds=1)))


def test_the_time_is_part_of_what_is_signed() -> None:
    header = signed(BODY).replace(str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 1))
    refused(BODY, header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "v1=" + "0" * 64,
        f"t={int(NOW.timestamp())}",
        f"t={int(NOW.timestamp())},v1=",
        f"t={int(NOW.timestamp())},v1={'é' * 64}",
        f"t=-5,v1={'0' * 64}",
        f"t=١٢٣,v1={'0' * 64}",
        f"t={'9' * 400},v1={'0' * 64}",
        "t=1," * 2 + "v1=" + "0" * 64,
        f"t={int(NOW.timestamp())}" + f",v1={'0' * 64}" * 9,
        "x" * 5_000,
        "\x00",
    ],
)
def test_a_malformed_header_is_refused(header: str) -> None:
    refused(BODY, header)


@pytest.mark.parametrize(
    "excess", [",x=" + "0" * 1_024, f",v1={'0' * 64}" * 8], ids=["characters", "signatures"]
)
def test_a_genuine_header_with_too_much_beside_is_refused(excess: str) -> None:
    refused(BODY, signed(BODY) + excess)


@given(st.data())
def test_no_mutation_of_a_genuine_header_gets_in(data: st.DataObject) -> None:
    genuine = signed(BODY)
    at = data.draw(st.integers(0, len(genuine) - 1))
    other = data.draw(st.characters())
    mutated = genuine[:at] + other + genuine[at + data.draw(st.integers(0, 1)) :]
    # An item more, such as another signature, does no harm where the genuine ones are whole.
    assume(not set(genuine.split(",")) <= set(mutated.split(",")))
    refused(BODY, mutated)


@given(st.data())
def test_no_mutation_of_a_genuine_body_gets_in(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BODY) - 1))
    mutated = BODY[:at] + data.draw(st.binary(max_size=2)) + BODY[at + 1 :]
    assume(mutated != BODY)
    refused(mutated, signed(BODY))


@given(st.binary(max_size=200), st.text(max_size=200))
def test_noise_is_refused_and_nothing_else(body: bytes, header: str) -> None:
    refused(body, header)


def test_the_body_is_not_read_before_its_signature_verifies() -> None:
    refused(b"{not json", signed(b"{not json", "whsec_other"))


@pytest.mark.parametrize(
    ("mode", "livemode", "ours"),
    [
        (Mode.TEST, False, True),
        (Mode.TEST, True, False),
        (Mode.LIVE, True, True),
        (Mode.LIVE, False, False),
    ],
)
def test_an_event_of_the_other_mode_is_kept_and_ignored(
    mode: Mode, livemode: bool, ours: bool
) -> None:
    body = samples.encoded(samples.event(samples.charge(), "charge.succeeded", livemode=livemode))
    event = reader(mode).read(body, signed(body), NOW)
    expected = (EventState.PENDING, "") if ours else (EventState.IGNORED, "other mode")
    assert (event.state, event.decision) == expected
    assert event.payload == body


def test_an_object_without_id_is_no_obstacle() -> None:
    body = samples.encoded(samples.event({"object": "balance"}, "balance.available"))
    event = reader().read(body, signed(body), NOW)
    assert (event.object_type, event.object_id) == ("balance", "")


@pytest.mark.parametrize(
    ("platform", "connect"), [([], []), ([""], []), (["a"], [""]), (["a", "b"], ["b"])]
)
def test_missing_empty_or_shared_secrets_stop_the_start(
    platform: list[str], connect: list[str]
) -> None:
    with pytest.raises(ValueError, match="webhook secrets"):
        StripeWebhookReader(platform_secrets=platform, connect_secrets=connect, mode=Mode.TEST)


def test_no_error_tells_a_secret_or_the_body() -> None:
    with pytest.raises(Unauthenticated) as caught:
        reader().read(BODY, signed(BODY, PLATFORM), NOW)
    told = f"{caught.value!r} {caught.value.metadata}"
    assert "whsec" not in told
    assert "payer@example.com" not in told
