"""Log lines: their shape, and what is never in them."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from typing_extensions import override

from domain.errors import Reason, Unavailable
from infrastructure.telemetry import lines as lines_module
from infrastructure.telemetry import logs
from infrastructure.telemetry.lines import Lines


class Log:
    """What was logged since `configure`."""

    def __init__(self, **options: Any) -> None:
        self.output = io.StringIO()
        self.lines = logs.configure(stream=self.output, **options)

    def text(self) -> str:
        self.lines.close()
        return self.output.getvalue()

    def one(self) -> dict[str, Any]:
        (line,) = self.text().splitlines()
        event: dict[str, Any] = json.loads(line)
        return event


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.lines.close()


def test_both_ways_to_log_give_the_same_shape(log: Log) -> None:
    logging.getLogger("a.b").warning("it waits", extra={"reason": "OVERLOADED", "tries": 2})
    structlog.get_logger().bind(logger="a.b").warning("it waits", reason="OVERLOADED", tries=2)
    first, second = (json.loads(line) for line in log.text().splitlines())
    assert {**first, "time": ""} == {**second, "time": ""}
    assert first.pop("time").endswith("Z")
    assert first == {
        "event": "it waits", "level": "warning", "logger": "a.b", "reason": "OVERLOADED",
        "tries": 2,
    }  # fmt: skip


def test_levels_below_are_left_out() -> None:
    log = Log(level="warning")
    logging.getLogger("a").info("no")
    structlog.get_logger().info("no")
    structlog.get_logger().error("yes")
    assert log.one()["event"] == "yes"


def test_an_unknown_level_stops_the_start() -> None:
    with pytest.raises(ValueError, match="level"):
        logs.configure(level="LOUD", stream=io.StringIO())


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(console=True)
    logging.getLogger("a").info("ready", extra={"port": 50_051})
    text = log.text()
    assert "ready" in text
    assert "50051" in text
    assert not text.startswith("{")
    assert capsys.readouterr() == ("", "")


SECRETS = [
    "sk_live_51Habcdef", "rk_test_51Habcdef", "whsec_Ab+/cd=", "pi_123_secret_456abc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjcm0ifQ.c2lnbmF0dXJl", "Bearer abc.def.ghi",
    "bearer abc", "jenny.rosen+tag@example.co.uk", "mongodb://billing:hunter2@db/x",
    "ac_123456789FkdGW", "4242424242424242", "4242 4242 4242 4242", "3782-822463-10005",
    "6304000000000000", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "+1 555-555-0100",
    "+493012345678", "+1 (415) 555-2671",
    "rt_9SFl8GdZ0NnX",
    "code=9SFl8GdZ0NnX",
    "state=QkJ0-xY7uPq3",
    "https://platform.example/back?scope=read_write&access_token=9SFl8GdZ0NnX",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "shape",
    [
        lambda text: text,
        lambda text: f"said\n{text}\nand '{text}' more",
        lambda text: {"deep": [{"er": (text,)}]},
        lambda text: {text: 1},
        lambda text: ValueError(text),
        lambda text: [[[[[[[[text]]]]]]]],
        lambda text: "x" * 20_000 + text,
    ],
)  # fmt: skip
def test_what_looks_secret_is_taken_out(log: Log, secret: str, shape: Any) -> None:
    logging.getLogger("a").info("it is %s", shape(secret), extra={"what": shape(secret)})
    structlog.get_logger().info("it", what=shape(secret))
    text = log.text()
    hidden = secret.removeprefix("mongodb://").removesuffix("db/x")
    assert hidden not in text
    assert len(text.splitlines()) == 2
    for line in text.splitlines():
        json.loads(line)


@pytest.mark.parametrize("key", ["code", "state"])
def test_codes_and_states_of_oauth_are_told_from_words(log: Log, key: str) -> None:
    secret = "Qk-J0xY7uPq3nZs8_Lw2VbT5rMdEfGhA1c9oKiUyXjN"
    words = "payment_intent_authentication_failure"
    structlog.get_logger().info("it", **{key: secret}, facts=[{key: secret}, {key: words}])
    event = log.one()
    assert event[key] == logs.REDACTED
    assert event["facts"] == [{key: logs.REDACTED}, {key: words}]
    structlog.get_logger().info("it", **{key: words})
    assert words in log.text()


@pytest.mark.parametrize(
    "key",
    """
    authorization access_token authorize_url refresh_token token email phone payload body name
    address
    """.split(),
)
@pytest.mark.parametrize("value", ["jenny", 32470, ["jenny"], {"a": "jenny"}, b"jenny"])
def test_what_is_called_private_is_not_shown(log: Log, key: str, value: Any) -> None:
    structlog.get_logger().info("it", **{key: value}, facts={key: value})
    event = log.one()
    assert (event[key], event["facts"]) == (logs.REDACTED, {key: logs.REDACTED})


def test_what_is_not_secret_stays(log: Log) -> None:
    facts = {"customer": "cus_1", "stripe_account": "acct_1", "code": "NOT_FOUND", "at": "a @ b"}
    structlog.get_logger().info("it", **facts, ok=True, none=None, ms=1.5)
    assert facts.items() <= log.one().items()


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242 12/29",
        "29 4242 4242 4242 4242",
        "card:4242424242424242.",
        "x 2223003122003222",
    ],
)
def test_a_card_is_found_beside_other_digits(log: Log, text: str) -> None:
    structlog.get_logger().info("it", what=text)
    assert "4242" not in log.text()
    assert "2223" not in log.text()


@pytest.mark.parametrize(
    "value",
    [
        "4242424242424241", "1793491200000", 1_793_491_200_000, 4_200_000_000, "12345678",
        "2026-11-29T08:00:00.123456+00:00", "evt_4242424242424242x", "DE89370400440532013001",
        "127.0.0.1:50051", "0.4242424242424242", "4f9c4242424242424242",
    ],
)  # fmt: skip
def test_numbers_that_are_neither_card_nor_bank_nor_phone_stay(log: Log, value: Any) -> None:
    structlog.get_logger().info("it", what=value)
    assert log.one()["what"] == value


def test_a_card_is_taken_out_that_is_a_number(log: Log) -> None:
    structlog.get_logger().info("it", what=4_242_424_242_424_242, facts={"a": [378282246310005]})
    event = log.one()
    assert (event["what"], event["facts"]) == (logs.REDACTED, {"a": [logs.REDACTED]})


def test_an_exception_is_told_by_kind_and_place(log: Log) -> None:
    def fail() -> None:
        try:
            raise KeyError("Jenny Rosen")
        except KeyError as error:
            raise ValueError("of Jenny Rosen") from error

    try:
        fail()
    except ValueError:
        logging.getLogger("a").exception("it failed")
    event = log.one()
    assert event["exception"] == "ValueError <- KeyError"
    assert "test_logs.py" in event["traceback"]
    assert "in fail" in event["traceback"]
    assert "Jenny" not in json.dumps(event)


def test_an_error_of_our_own_keeps_its_message(log: Log) -> None:
    error = Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer")
    structlog.get_logger().error("it failed", exc_info=error)
    assert log.one()["exception"] == "domain.errors.Unavailable: the store does not answer"


def test_a_record_that_cannot_be_rendered_prints_nothing(
    log: Log, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("a").info("%d", "sk_live_123")
    logging.getLogger("a").info("lone \ud800 surrogate")
    # What pytest has captured goes into a report, which a process of many could not hand on.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, type(caplog.handler)):
            handler.reset()
    assert json.loads(log.text().splitlines()[-1])["event"] == "lone \ud800 surrogate"
    assert "sk_live" not in "".join(capsys.readouterr())


class Stuck(io.StringIO):
    """An output that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = threading.Event()
        self.go = threading.Event()

    @override
    def write(self, text: str) -> int:
        self.writing.set()
        assert self.go.wait(10)
        return super().write(text)


def test_nobody_waits_for_an_output_that_is_stuck() -> None:
    output = Stuck()
    lines = Lines(output, max_waiting=5)
    lines.write("first\n")
    assert output.writing.wait(10)
    for n in range(8):
        lines.write(f"{n}\n")
    output.go.set()
    lines.close()
    assert output.getvalue().splitlines() == [
        "first", "0", "1", "2", "3", "4", '{"event": "log lines dropped", "count": 3}',
    ]  # fmt: skip


def test_an_output_that_stays_stuck_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "_CLOSE_SECONDS", 0.05)
    output = Stuck()
    lines = Lines(output)
    lines.write("first\n")
    assert output.writing.wait(10)
    lines.close()
    output.go.set()


def test_an_output_that_is_gone_is_no_error() -> None:
    output = io.StringIO()
    lines = Lines(output)
    output.close()
    lines.write("first\n")
    lines.close()


def test_lines_written_while_it_closes_are_there() -> None:
    output = io.StringIO()
    lines = Lines(output)
    lines.write("first\n")
    lines.close()
    lines.write("late\n")
    lines.close()
    assert output.getvalue() == "first\nlate\n"
