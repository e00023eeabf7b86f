"""The control API's messages, shared by the server and `control.py`'s client."""

from typing import Final, Literal, TypeAlias

import msgspec

FaultKind: TypeAlias = Literal["fail", "stall", "cut", "drop_before", "drop_after"]


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON message; a field that is not declared is refused."""


class Health(Message):
    """The emulator runs."""

    platform_account: str
    accounts: int
    now: int


class ClockMove(Message):
    """Where to move the clock: `set` seconds since 1970, or `advance` by seconds."""

    set: int | None = None
    advance: int | None = None


class ClockState(Message):
    """The emulator's time, in seconds since 1970."""

    now: int


class AccountSpec(Message):
    """An account to make.

    id: empty for a minted one. secret: the tail of its own API keys (`sk_test_<secret>`).
    payouts: its schedule; automatic payouts are asked for, so that no history has them unawares.
    payout_day: of the week or the month, as its schedule has it: "monday", "31". Empty: the first.
    settlement_currencies: what it settles in besides its own; all else is converted into its own.
    monthly_fee: what Stripe takes from its balance at every month's begin, in minor units of its
    currency.
    connected: whether the platform may act for it from the start, else once OAuth says so.
    """

    id: str = ""
    country: str = "US"
    currency: str = "usd"
    timezone: str = "Etc/UTC"
    email: str | None = None
    name: str | None = None
    secret: str = ""
    payouts: Literal["daily", "manual", "monthly", "weekly"] = "manual"
    payout_day: str = ""
    settlement_currencies: list[str] = []
    monthly_fee: int = 0
    connected: bool = True


class AccountMade(Message):
    """The id of a new account."""

    id: str


class Authorization(Message):
    """An owner's consent that the platform may act for an account, in one mode.

    page: the address of the authorize page that the owner was sent to. declined: he does not
    consent; that takes a page and no account.
    """

    account: str = ""
    livemode: bool = False
    page: str = ""
    declined: bool = False


class AuthorizationCode(Message):
    """What the consent is exchanged by, `ac_…`: once, within five minutes; empty when declined.

    redirect: where Stripe sends the owner's browser from the page; empty where none was given.
    """

    code: str
    redirect: str = ""


class DeliverySwitches(Message):
    """How events are delivered.

    duplicate_fraction: share of deliveries that are sent a second time, 0 to 1.
    reorder_window: each delivery is drawn from so many at the head of the queue; 1 keeps order
    (with a concurrency of 1).
    max_attempts: tries of one delivery in all. first_retry_seconds: wait before the second try,
    doubled each time, at most max_retry_seconds. timeout_seconds: of one try. All wall time.
    retry_on_clock: the waits before tries are of the emulator's clock, so that retries spread
    over its days.
    drop_fraction: share of deliveries that get lost: never tried, and undelivered for good.
    delay_fraction: share of deliveries that wait for delay_seconds of the emulator's clock.
    older_fraction: share of deliveries that bear older_version as their `api_version`; one of
    before 2025-03-31 has the objects' older shapes, too.
    both_modes: Connect endpoints of test mode receive live events, too (those of live mode
    always receive test events).
    """

    paused: bool = False
    duplicate_fraction: float = 0.0
    reorder_window: int = 1
    concurrency: int = 16
    max_attempts: int = 8
    first_retry_seconds: float = 0.5
    max_retry_seconds: float = 30.0
    timeout_seconds: float = 10.0
    retry_on_clock: bool = False
    drop_fraction: float = 0.0
    delay_fraction: float = 0.0
    delay_seconds: int = 0
    older_fraction: float = 0.0
    older_version: str = "2020-08-27"
    both_modes: bool = False


class DeliveryChange(Message):
    """Delivery switches to change; None leaves one as it is. seed: restart random choices there."""

    paused: bool | None = None
    duplicate_fraction: float | None = None
    reorder_window: int | None = None
    concurrency: int | None = None
    max_attempts: int | None = None
    first_retry_seconds: float | None = None
    max_retry_seconds: float | None = None
    timeout_seconds: float | None = None
    retry_on_clock: bool | None = None
    drop_fraction: float | None = None
    delay_fraction: float | None = None
    delay_seconds: int | None = None
    older_fraction: float | None = None
    older_version: str | None = None
    both_modes: bool | None = None
    seed: int | None = None


class DeliveryState(Message):
    """Delivery's switches and counters.

    queued: waiting now. retrying: waiting for their time. delayed: waiting for the emulator's
    clock, which no flush waits for. The others are counted since the last reset; dropped: the
    queue was full, or drop_fraction took them, so only a list of events shows them.
    """

    switches: DeliverySwitches
    queued: int
    retrying: int
    in_flight: int
    succeeded: int
    duplicates: int
    failed_attempts: int
    gave_up: int
    dropped: int
    delayed: int = 0


class RateLimit(Message):
    """Requests a second that an account may make in one mode; None is any number."""

    per_second: int | None = None


class Settlement(Message):
    """How payments reach the balance; None leaves a switch as it is.

    after_seconds: how long after a payment with asynchronous capture its balance transaction is
    made, in seconds of the emulator's clock; `charge.updated` tells of it. 0 is as soon as it was
    answered.
    releases_by_refund: whether what a partial capture or a cancellation lets go is a refund object
    with a balance transaction of its own, as in API versions before 2025-03-31.
    exchange_rates: units of a currency for one dollar, as decimal text, for payments from now on.
    """

    after_seconds: int | None = None
    releases_by_refund: bool | None = None
    exchange_rates: dict[str, str] = {}


DUNNING_ENDS: Final = ("cancel", "past_due", "unpaid")


class Dunning(Message):
    """What the last failed attempt does to a subscription (docs, "Smart Retries").

    ends: it is canceled, stays past_due, or is unpaid from then on.
    """

    ends: str = "cancel"


class Flush(Message):
    """Resume delivery and wait, at most so long, until nothing is queued or in flight."""

    timeout_seconds: float = 30.0


class Flushed(Message):
    """Whether everything went out (or was given up) in time, and the state then."""

    done: bool
    state: DeliveryState


class FaultSpec(Message):
    """A fault, and the requests that it befalls; an empty criterion matches all.

    kind: `fail` answers `status`; `stall` waits `seconds` before the work; `cut` does the work and
    closes in the middle of the body; `drop_before` closes the connection without the work,
    `drop_after` once it is done (a lost answer).
    method: `POST`. route: `/v1/charges/{id}`. noun: `charge`. account: the account worked on.
    count: how many requests it befalls; None is all. probability: 0 to 1.
    retry_after: seconds, as a header of `fail`. after_work: `fail` once the work is done.
    remember: keep a failure under the idempotency key; None keeps 500 only, as at Stripe.
    """

    kind: FaultKind
    status: int = 500
    seconds: float = 0.0
    retry_after: int | None = None
    after_work: bool = False
    remember: bool | None = None
    method: str = ""
    route: str = ""
    noun: str = ""
    account: str = ""
    count: int | None = 1
    probability: float = 1.0


class Fault(Message):
    """A fault that waits: `left` requests to befall (None: all), `hits` so far."""

    id: int
    spec: FaultSpec
    left: int | None
    hits: int


class SnapshotRow(Message):
    """What an account holds of one noun in one mode.

    sums: amounts in minor units by field, then currency. statuses: objects by `status`.
    """

    account: str
    livemode: bool
    object: str
    count: int
    sums: dict[str, dict[str, int]]
    statuses: dict[str, int]


class Stats(Message):
    """Requests served: by route (`POST /v1/charges`), by answered status, and in all."""

    requests: int
    routes: dict[str, int]
    statuses: dict[str, int]


class EventSpec(Message):
    """An event to emit as it is, for types that no noun emits."""

    type: str
    object: dict[str, object]
    account: str = ""
    livemode: bool = False


class EventMade(Message):
    """The id of an emitted event."""

    id: str


class WebhookSecret(Message):
    """The secret that a webhook endpoint signs with from now on, instead of a minted one."""

    endpoint: str
    secret: str


class Disguise(Message):
    """An object of an account that is shown as `body`, raw JSON, in its place; empty: as it is."""

    account: str
    id: str
    body: str = ""


class Refusal(Message):
    """Why the control API refused."""

    error: str
