"""What goes over the wire, seen by a server that writes down each request."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from application.mirror.nouns import CUSTOMERS
from application.mirror.stripe import Priority
from application.mutations.stripe import Unanswered
from domain.errors import (
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    RateLimited,
    Unavailable,
)
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.client import PLATFORM, Request, StripeApi, StripeSettings
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.readers.objects import StripeObjectReader
from tests.wire.gateway.conftest import MakeApi, SystemClock

DATE = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
GET = Request("get", "/v1/customers/cus_1", Subject("customer", "cus_1"), "acct_1")
POST = Request("post", "/v1/customers", Subject("customer"), "acct_1", idempotency_key="key")


@dataclass
class Recorder:
    """Answers every request with `status`, `body` and `headers`, and keeps what came.

    `script` holds statuses and bodies for the first requests.
    """

    url: str = ""
    status: int = 200
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)
    script: list[tuple[int, str]] = field(default_factory=list)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append((f"{request.method} {request.path}", headers))
        status, body = self.script.pop(0) if self.script else (self.status, self.body)
        return web.Response(status=status, text=body, headers={**DATE, **self.headers})


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.answer)
    async with TestServer(app) as server:
        recorder.url = str(server.make_url("")).rstrip("/")
        yield recorder


@pytest.fixture
def recorded(recorder: Recorder, make_api: MakeApi) -> StripeApi:
    return make_api(api_base=recorder.url)


async def test_credentials_go_with_each_request(recorded: StripeApi, recorder: Recorder) -> None:
    await recorded.request(GET)
    await recorded.request(POST)
    ((_, read), (_, change)) = recorder.seen
    assert read["authorization"] == change["authorization"] == "Bearer sk_test_emulator"
    assert read["stripe-account"] == change["stripe-account"] == "acct_1"
    assert "idempotency-key" not in read
    assert change["idempotency-key"] == "key"
    assert read["stripe-version"] == "2026-10-28.endive"


async def test_the_platforms_own_account_needs_no_header(
    recorded: StripeApi, recorder: Recorder
) -> None:
    recorded.know_platform_account("acct_1")
    await recorded.request(GET)
    await recorded.request(Request("get", "/v1/account", Subject("account"), PLATFORM))
    assert [headers.get("stripe-account") for _, headers in recorder.seen] == [None, None]


async def test_all_tries_bear_the_same_key(recorded: StripeApi, recorder: Recorder) -> None:
    recorder.status = 503
    with pytest.raises(Unanswered):
        await recorded.request(POST)
    assert [headers["idempotency-key"] for _, headers in recorder.seen] == ["key"] * 3


async def test_a_change_without_a_key_is_sent_once(recorded: StripeApi, recorder: Recorder) -> None:
    recorder.status = 503
    with pytest.raises(Unanswered):
        await recorded.request(Request("post", "/v1/customers", Subject("customer"), "acct_1"))
    assert len(recorder.seen) == 1


@pytest.mark.parametrize(
    ("status", "advice", "tries"),
    [(503, "false", 1), (503, "true", 3), (409, "false", 1), (400, "true", 3), (400, "", 1)],
)
async def test_stripes_advice_on_another_try_is_followed(
    recorded: StripeApi, recorder: Recorder, status: int, advice: str, tries: int
) -> None:
    recorder.status = status
    recorder.body = '{"error": {"type": "invalid_request_error", "param": "email"}}'
    recorder.headers = {"Stripe-Should-Retry": advice}
    with pytest.raises((Unanswered, InvalidArgument)):
        await recorded.request(POST)
    assert len(recorder.seen) == tries


async def test_a_replayed_failure_is_not_asked_for_again(
    recorded: StripeApi, recorder: Recorder
) -> None:
    recorder.status = 500
    recorder.body = '{"error": {"type": "api_error"}}'
    recorder.headers = {"Idempotent-Replayed": "true"}
    with pytest.raises(Unanswered) as caught:
        await recorded.request(POST)
    assert caught.value.replayed
    assert len(recorder.seen) == 1


async def test_a_lost_answer_stays_open_when_the_connection_is_revoked_meanwhile(
    recorded: StripeApi, recorder: Recorder
) -> None:
    revoked = '{"error": {"type": "invalid_request_error", "code": "account_invalid"}}'
    recorder.script = [(503, "{}"), (403, revoked)]
    with pytest.raises(Unanswered):
        await recorded.request(POST)
    recorder.script = [(503, "{}"), (403, revoked)]
    with pytest.raises(FailedPrecondition):
        await recorded.request(GET)


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("resource_missing", "a similar object exists in live mode", FailedPrecondition),
        ("", "Unrecognized request URL", Unavailable),
    ],
    ids=["other mode", "unknown address"],
)
async def test_not_every_404_is_a_tombstone(
    recorded: StripeApi,
    recorder: Recorder,
    code: str,
    message: str,
    error: type[BillingError],
) -> None:
    body = {"error": {"type": "invalid_request_error", "code": code, "message": message}}
    recorder.script = [(404, json.dumps(body))]
    with pytest.raises(error):
        await StripeObjectReader(recorded).read(
            CUSTOMERS, "acct_1", "cus_1", not_before_ms=None, priority=Priority.REREAD
        )


async def test_no_redirect_is_followed(recorded: StripeApi, recorder: Recorder) -> None:
    recorder.status = 307
    recorder.headers = {"Location": f"{recorder.url}/elsewhere"}
    with pytest.raises(Unavailable):
        await recorded.request(GET)
    assert {path for path, _ in recorder.seen} == {"GET /v1/customers/cus_1"}


async def test_no_cookie_goes_from_one_account_to_another(
    make_api: MakeApi, recorder: Recorder
) -> None:
    # By name: a cookie jar does not keep what comes from a bare address.
    api = make_api(api_base=recorder.url.replace("127.0.0.1", "localhost"))
    recorder.headers = {"Set-Cookie": "session=acct_1; Path=/"}
    await api.request(GET)
    await api.request(GET)
    assert all("cookie" not in headers for _, headers in recorder.seen)


async def test_the_interval_covers_the_date_and_the_duration(
    recorded: StripeApi, recorder: Recorder
) -> None:
    recorder.body = '{"id": "cus_1", "object": "customer", "created": 1}'
    answer = await recorded.request(GET)
    noon = 1_795_348_800_000
    version = answer.version()
    assert answer.date_ms == noon
    assert version.high == noon + 2_000
    assert version.low == noon - 2_000 - answer.duration_ms
    assert 1 <= answer.duration_ms < 5_000


async def test_the_budget_is_asked_before_each_request(
    make_api: MakeApi, recorder: Recorder
) -> None:
    api = make_api(
        rate=1, api_base=recorder.url, patience_seconds=dict.fromkeys(Priority, 0.0), tries=1
    )
    await api.request(GET)
    with pytest.raises(RateLimited, match="budget"):
        await api.request(GET)
    assert len(recorder.seen) == 1


@pytest.mark.parametrize(
    "wrong", [{"api_base": "https://api.example.com/"}, {"tries": 0}, {"timeout_seconds": 0}]
)
def test_wrong_settings_stop_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"base addresses|positive"):
        StripeSettings(**{"secret_key": "sk_test_x", **wrong})  # type: ignore[arg-type]  # wrong on purpose


def test_the_key_shows_nowhere() -> None:
    settings = StripeSettings(secret_key="sk_test_hidden")
    api = StripeApi(settings, RateBudget(1), SystemClock())
    assert "hidden" not in f"{settings!r} {api!r}"
