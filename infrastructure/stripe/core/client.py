"""The one way to Stripe: budget, request, retry, measure, translate the errors."""

import asyncio
import io
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

import stripe

from application.background.clock import Clock
from application.background.outages import Outage
from application.mirror.lists import Place
from application.mirror.stripe import Priority
from application.mutations.stripe import Call, Unanswered
from domain.back_off import BackOff
from domain.errors import (
    BillingError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.ids import ID_RULE, is_object_id
from domain.mirror import MirroredObject, Version
from domain.periods import to_milliseconds
from infrastructure.stripe.core import errors
from infrastructure.stripe.core.budget import RateBudget
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.shapes import ShapeT, Translation, why_not
from infrastructure.stripe.core.transport import Transport

T = TypeVar("T", bound=MirroredObject)
R = TypeVar("R")

PLATFORM: Final = ""
"""Instead of a Stripe account: the platform's own, whose key is used as it is."""

PAGE_SIZE: Final = 100
"""How many elements a page of a list is asked for; Stripe gives no more ("Pagination")."""

MAX_PAGES: Final = 100
"""How many pages of one list are read: ten thousand elements."""

QUIET_SECONDS: Final = 5.0
"""An answer ends an outage of Stripe's, for the log, so long after the last failure."""

_log = logging.getLogger(__name__)

# The SDK logs addresses, parameters and messages at lower levels: personal data, all of them.
logging.getLogger("stripe").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How Stripe is reached.

    The base addresses have no trailing slash. `timeout_seconds` bounds one try,
    `connect_timeout_seconds` its connection. `tries` bounds how often a request is sent,
    `patience_seconds` by priority how long after the first moment a try may still begin.
    """

    secret_key: str = field(repr=False)
    api_base: str = stripe.DEFAULT_API_BASE
    connect_base: str = stripe.DEFAULT_CONNECT_API_BASE
    files_base: str = stripe.DEFAULT_UPLOAD_API_BASE
    meter_events_base: str = stripe.DEFAULT_METER_EVENTS_API_BASE
    timeout_seconds: float = 30.0
    connect_timeout_seconds: float = 5.0
    tries: int = 3
    first_backoff_seconds: float = 0.5
    patience_seconds: Mapping[Priority, float] = field(
        default_factory=lambda: {
            Priority.CALLER: 10.0,
            Priority.REREAD: 30.0,
            Priority.CATCH_UP: 60.0,
            Priority.BACKFILL: 120.0,
        }
    )

    def __post_init__(self) -> None:
        bases = (self.api_base, self.connect_base, self.files_base, self.meter_events_base)
        if any(base.endswith("/") for base in bases):
            raise ValueError("base addresses: no trailing slash")
        if self.tries < 1 or min(self.timeout_seconds, self.connect_timeout_seconds) <= 0:
            raise ValueError("tries, timeouts: must be positive")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when that was true.

    `replayed`: Stripe repeated the first answer to the idempotency key, so the body is as old as
    that. `missing`: a 404 that says that the object is not there, where the request asked for it.
    """

    body: str
    date_ms: int
    duration_ms: int
    sent_at_ms: int
    replayed: bool = False
    missing: bool = False

    def version(self, *, not_before_ms: int | None = None) -> Version:
        """The interval of Stripe's time in which the body was true."""
        return Version.of_read(
            date_ms=self.date_ms,
            duration_ms=self.duration_ms,
            sent_at_ms=self.sent_at_ms,
            not_before_ms=not_before_ms,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `stripe_account` and `idempotency_key` go with it and are kept nowhere.

    `base` is which of Stripe's hosts is asked, unless a file decides. `keep_missing`: answer a 404
    with `missing` instead of NotFound. `file` is sent along as the parameter of that name, to
    Stripe's host for files.
    """

    method: Literal["get", "post", "delete"]
    path: str
    subject: Subject
    stripe_account: str
    params: Mapping[str, object] = field(default_factory=dict)
    priority: Priority = Priority.CALLER
    idempotency_key: str = ""
    keep_missing: bool = False
    file: bytes = b""
    base: Literal["api", "connect"] = "api"

    @classmethod
    def change(
        cls, call: Call, path: str, subject: Subject, params: Mapping[str, object] | None = None
    ) -> "Request":
        """A POST of a mutation: the same key and parameters twice are one change at Stripe."""
        return cls(
            "post",
            path,
            subject,
            call.stripe_account,
            params=params or {},
            idempotency_key=call.idempotency_key,
        )

    @classmethod
    def deletion(
        cls, call: Call, path: str, subject: Subject, params: Mapping[str, object] | None = None
    ) -> "Request":
        """A DELETE of a mutation. Stripe takes no idempotency key: a repeated one is a 404."""
        return cls("delete", path, subject, call.stripe_account, params=params or {})

    @property
    def mutating(self) -> bool:
        """Whether it changes something at Stripe."""
        return self.method != "get"


class TooManyPages(Unavailable):
    """A list has more pages than are read: nobody can say what is not on it."""

    def __init__(self) -> None:
        super().__init__(Reason.STRIPE_UNAVAILABLE, "the list is too long to look at all of it")


class StripeApi:
    """Sends requests with the platform's key, on behalf of the Stripe account of each.

    The SDK's own retries are off: they would hide whether an earlier try was sent, and measure the
    answer from before it. Tries are counted here, all with the same idempotency key.
    """

    def __init__(
        self,
        settings: StripeSettings,
        budget: RateBudget,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Connect nothing yet. `monotonic` gives seconds, `jitter` numbers of [0, 1)."""
        self._settings = settings
        self._budget = budget
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._transport = Transport(
            timeout_seconds=settings.timeout_seconds,
            connect_timeout_seconds=settings.connect_timeout_seconds,
        )
        self._client = stripe.StripeClient(
            settings.secret_key,
            http_client=self._transport,
            base_addresses={
                "api": settings.api_base,
                "connect": settings.connect_base,
                "files": settings.files_base,
                "meter_events": settings.meter_events_base,
            },
            max_network_retries=0,
        )
        self._platform_account = PLATFORM
        self._outage = Outage(
            _log,
            "Stripe does not answer",
            "Stripe answers again",
            quiet_seconds=QUIET_SECONDS,
            monotonic=monotonic,
        )

    def know_platform_account(self, stripe_account: str) -> None:
        """Tell the id of the platform's own account, so that it too can be named in requests."""
        self._platform_account = stripe_account

    def is_platform(self, stripe_account: str) -> bool:
        """Whether that is the platform's own account, as far as its id is known."""
        return stripe_account in (PLATFORM, self._platform_account)

    def authorize_url(self, params: stripe.OAuth.OAuthAuthorizeUrlParams) -> str:
        """Where an owner is asked for access; see `OauthGateway`. Nothing is sent."""
        return self._client.oauth.authorize_url(params)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close_async()

    async def request(self, request: Request) -> Answer:
        """Send a request, again where that is safe and has a chance, and give the answer.

        Raises what `application/mirror/stripe.py` promises.
        """
        account = self._account_of(request)
        deadline = self._monotonic() + self._settings.patience_seconds[request.priority]
        open_end = False  # whether an earlier try may have been executed
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._budget.take(
                    account,
                    request.priority,
                    patience_seconds=max(0.0, deadline - self._monotonic()),
                )
                answer = await self._send(request)
            except stripe.StripeError as error:
                open_end = open_end or errors.leaves_open(error)
                wait = self._wait_before_next(error, request, attempt)
                if wait is None or self._monotonic() + wait > deadline:
                    translated = errors.translate(error, request.subject, mutating=request.mutating)
                    self._tell(translated)
                    raise _settle(translated, open_end=open_end and request.mutating) from None
            except RateLimited as error:
                raise _settle(error, open_end=open_end and request.mutating) from None
            else:
                self._outage.answered()
                return answer
            await asyncio.sleep(wait)

    async def pages(
        self, request: Request, decode: Callable[[str], tuple[R, Place | None]]
    ) -> AsyncGenerator[tuple[R, Answer], None]:
        """The pages of a list, the first as `request` asks for it, each with its answer.

        `decode` gives what stands on a page, and where the list goes on: None at its end. Raises
        what `request` and `understand` raise, and TooManyPages behind MAX_PAGES. It holds nothing
        open, so it may be left early.
        """
        page = replace(request, params={**request.params, "limit": PAGE_SIZE})
        for _ in range(MAX_PAGES):
            answer = await self.request(page)
            elements, following = self.understand(answer, page, decode)
            yield elements, answer
            if following is None:
                return
            page = replace(page, params={**page.params, "starting_after": following.after})
        raise TooManyPages

    def understand(self, answer: Answer, request: Request, decode: Callable[[str], R]) -> R:
        """What `decode` makes of the body. Nonsense (its ValueError) is NotUnderstood.

        To a request that changes something it counts as no answer: what it did is not known.
        """
        try:
            return decode(answer.body)
        except (ValueError, RecursionError) as error:
            if request.mutating:
                message = "Stripe's answer is not understood"
                raise Unanswered(message, replayed=answer.replayed) from None
            raise NotUnderstood(request.subject.noun, request.subject.id, why_not(error)) from None

    def _tell(self, error: BillingError) -> None:
        """Tell an outage of Stripe's; any definite answer is none, a refusal too."""
        if isinstance(error, Unanswered) or error.reason is Reason.STRIPE_UNAVAILABLE:
            self._outage.failed(error.message)
        else:
            self._outage.answered()

    async def _send(self, request: Request) -> Answer:
        sent_at_ms = to_milliseconds(self._clock.now())
        started = self._monotonic()
        options: dict[str, Any] = {"max_network_retries": 0}
        if account := self._account_of(request):
            options["stripe_account"] = account
        if request.idempotency_key:
            options["idempotency_key"] = request.idempotency_key
        if request.base != "api":
            options["base"] = request.base
        params = dict(request.params)
        if request.file:
            # A stream of each try's own, since it can be read once.
            params["file"] = io.BytesIO(request.file)
            options |= {"base": "files", "content_type": "multipart/form-data"}
        missing = False
        try:
            response = await self._client.raw_request_async(
                request.method, request.path, **params, **options
            )
            body, headers = response.body, response.headers
        except stripe.InvalidRequestError as error:
            if not (request.keep_missing and errors.is_missing(error)):
                raise
            missing, body, headers = True, "", error.headers or {}
        except (AttributeError, ValueError) as error:
            # The SDK stumbles over bodies that are no text, or whose `error` is no object.
            raise stripe.APIError(f"the SDK fails: {type(error).__name__}") from None
        return Answer(
            body=body,
            date_ms=_date_ms(headers),
            duration_ms=int((self._monotonic() - started) * 1000) + 1,
            sent_at_ms=sent_at_ms,
            replayed=headers.get("Idempotent-Replayed") == "true",
            missing=missing,
        )

    def _account_of(self, request: Request) -> str:
        """The account whose budget it takes and whose header it bears; PLATFORM for our own."""
        ours = request.stripe_account == self._platform_account
        return PLATFORM if ours else request.stripe_account

    def _wait_before_next(
        self, error: stripe.StripeError, request: Request, attempt: int
    ) -> float | None:
        """How long to wait before another try; None where there shall be none."""
        seconds = errors.retry_after_seconds(error)
        if isinstance(error, stripe.RateLimitError) and seconds is not None:
            self._budget.pause(self._account_of(request), seconds * (1 + 0.1 * self._jitter()))
        if attempt >= self._settings.tries or not _may_repeat(error, request):
            return None
        if seconds is not None:
            return 0.0 if isinstance(error, stripe.RateLimitError) else float(seconds)
        back_off = BackOff(self._settings.first_backoff_seconds, math.inf)  # `tries` is its bound
        return back_off.pause(attempt - 1, self._jitter())


def object_path(translation: Translation[T, ShapeT], object_id: str) -> str:
    """Where an object is. Raises as `segment` does."""
    return f"{translation.path}/{segment(translation.noun.name, object_id)}"


def segment(noun: str, object_id: str) -> str:
    """An id as one segment of a path, percent-encoded: `tier/2` as `tier%2F2`.

    NotFound for an id of dots alone, which no path can hold: HTTP clients and servers take `.` and
    `..` for steps in it, encoded or not. InvalidArgument for what can be no id.
    """
    if not is_object_id(object_id):
        raise InvalidArgument([FieldViolation("id", f"an id at Stripe is needed: {ID_RULE}")])
    if not object_id.strip("."):
        raise NotFound(noun, object_id)
    return quote(object_id, safe="")


def _may_repeat(error: stripe.StripeError, request: Request) -> bool:
    """Whether sending it again is safe and may end better."""
    if request.method == "post" and not request.idempotency_key:
        return False
    advice = errors.header_of(error, "Stripe-Should-Retry")
    if advice in ("true", "false"):
        return advice == "true"
    if errors.is_replayed(error):
        return False
    return isinstance(error, stripe.APIError | stripe.APIConnectionError | stripe.RateLimitError)


def _settle(error: BillingError, *, open_end: bool) -> BillingError:
    """The error of the last try, unless an earlier one may have been executed after all.

    A definite refusal under the same idempotency key stands for all tries; being turned away at
    the door does not.
    """
    turned_away = isinstance(error, RateLimited | Unavailable) or (
        isinstance(error, FailedPrecondition) and error.reason is Reason.STRIPE_CONNECTION_REVOKED
    )
    if open_end and turned_away and not isinstance(error, Unanswered):
        return Unanswered(f"Stripe gave no definite answer; then: {error.message}")
    return error


def _date_ms(headers: Mapping[str, str]) -> int:
    """Stripe's time of the answer."""
    try:
        return to_milliseconds(parsedate_to_datetime(headers["Date"]))
    except (KeyError, ValueError):
        raise stripe.APIError("the answer has no Date") from None
