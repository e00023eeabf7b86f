"""The typed client of the control API, for tests and the demo."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from sandbox.emulator.core.messages import (
    AccountMade,
    AccountSpec,
    Authorization,
    AuthorizationCode,
    ClockMove,
    ClockState,
    DeliveryChange,
    DeliveryState,
    Disguise,
    Dunning,
    EventMade,
    EventSpec,
    Fault,
    FaultSpec,
    Flush,
    Flushed,
    Health,
    Message,
    RateLimit,
    Settlement,
    SnapshotRow,
    Stats,
    WebhookSecret,
)

_T = TypeVar("_T")


class ControlError(Exception):
    """The control API refused, or the emulator is not there."""


class ControlClient:
    """Moves the clock, orders faults, holds deliveries back, counts what an account holds.

    Use as an async context manager. Every method raises ControlError.
    """

    def __init__(self, url: str) -> None:
        """url: the emulator's, as it printed it."""
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def health(self) -> Health:
        """Who the platform is, and that the emulator answers."""
        return await self._call("GET", "health", Health)

    async def now(self) -> int:
        """The emulator's time in seconds since 1970."""
        return (await self._call("GET", "clock", ClockState)).now

    async def set_clock(self, instant: int) -> int:
        """Move the clock to an instant, seconds since 1970; it ticks on from there."""
        return (await self._call("POST", "clock", ClockState, ClockMove(set=instant))).now

    async def advance_clock(self, seconds: int) -> int:
        """Move the clock by seconds; negative goes back."""
        return (await self._call("POST", "clock", ClockState, ClockMove(advance=seconds))).now

    async def create_account(self, spec: AccountSpec | None = None) -> str:
        """Make an account that the platform may act for; its id."""
        return (await self._call("POST", "accounts", AccountMade, spec or AccountSpec())).id

    async def authorize(self, account: str, *, livemode: bool = False) -> str:
        """Let an account's owner consent to the platform's access; the OAuth code for it."""
        asked = Authorization(account, livemode)
        return (await self._call("POST", "authorizations", AuthorizationCode, asked)).code

    async def consent(self, page: str, account: str, *, livemode: bool = False) -> str:
        """Let the owner of an account consent on an authorize page; where he is sent then."""
        asked = Authorization(account, livemode, page)
        return (await self._call("POST", "authorizations", AuthorizationCode, asked)).redirect

    async def decline(self, page: str) -> str:
        """Let an owner decline on an authorize page; where he is sent then."""
        asked = Authorization(page=page, declined=True)
        return (await self._call("POST", "authorizations", AuthorizationCode, asked)).redirect

    async def deauthorize(self, account: str) -> None:
        """Let an account revoke the platform's access."""
        await self._call("POST", "deauthorizations", AccountMade, AccountMade(account))

    async def delivery(self) -> DeliveryState:
        """Switches and counters of the delivery."""
        return await self._call("GET", "delivery", DeliveryState)

    async def change_delivery(self, change: DeliveryChange) -> DeliveryState:
        """Turn switches of the delivery."""
        return await self._call("POST", "delivery", DeliveryState, change)

    async def pause(self) -> DeliveryState:
        """Hold events back, so that a backlog builds up."""
        return await self.change_delivery(DeliveryChange(paused=True))

    async def resume(self) -> DeliveryState:
        """Deliver again."""
        return await self.change_delivery(DeliveryChange(paused=False))

    async def flush(self, timeout_seconds: float = 30.0) -> Flushed:
        """Resume and wait until all is delivered or given up, at most so long."""
        return await self._call("POST", "flush", Flushed, Flush(timeout_seconds))

    async def add_fault(self, spec: FaultSpec) -> Fault:
        """Order a fault."""
        return await self._call("POST", "faults", Fault, spec)

    async def faults(self) -> list[Fault]:
        """The faults that still wait."""
        return await self._call("GET", "faults", list[Fault])

    async def clear_faults(self) -> None:
        """Forget the faults that wait."""
        await self._call("DELETE", "faults", dict[str, str])

    async def limit_rate(self, per_second: int | None) -> None:
        """Refuse an account's requests of one mode above so many a second; None lets all pass."""
        await self._call("POST", "rate_limit", RateLimit, RateLimit(per_second))

    async def settle_after(self, seconds: int) -> None:
        """Let balance transactions of asynchronous captures follow so long after the payment."""
        await self._call("POST", "settlement", Settlement, Settlement(after_seconds=seconds))

    async def release_by_refund(self, older: bool = True) -> None:
        """Let partial captures and cancellations show as in API versions before 2025-03-31."""
        await self._call("POST", "settlement", Settlement, Settlement(releases_by_refund=older))

    async def set_rate(self, currency: str, per_dollar: str) -> None:
        """Let a currency cost so many units for one dollar, as decimal text, from now on."""
        rates = {currency: per_dollar}
        await self._call("POST", "settlement", Settlement, Settlement(exchange_rates=rates))

    async def end_dunning_with(self, ends: str) -> None:
        """Let the last failed attempt `cancel` a subscription, or leave it past_due or unpaid."""
        await self._call("POST", "dunning", Dunning, Dunning(ends))

    async def give_discount(self, customer: str, coupon: str, *, account: str = "") -> None:
        """Give a customer a discount, as the Dashboard does; it takes the place of another."""
        await self.happen("customers", customer, "discount", {"coupon": coupon}, account=account)

    async def fail_payout(self, payout: str, code: str = "", *, account: str = "") -> None:
        """Let a bank refuse a payout, in transit or days after it was paid."""
        params = {"failure_code": code} if code else {}
        await self.happen("payouts", payout, "fail", params, account=account)

    async def reconcile_payout(self, payout: str, *, account: str = "") -> None:
        """Let Stripe say, maybe once more, that it knows what an automatic payout holds."""
        await self.happen("payouts", payout, "reconcile", account=account)

    async def fail_refund(
        self, refund: str, *, as_adjustment: bool = False, account: str = ""
    ) -> None:
        """Let a refund come back; its transaction is a `refund_failure`, or an `adjustment`."""
        params = {"as_adjustment": "true"} if as_adjustment else {}
        await self.happen("refunds", refund, "fail", params, account=account)

    async def fail_debit(self, charge: str, code: str = "", *, account: str = "") -> None:
        """Let a bank refuse a debit, before it was paid or after."""
        params = {"failure_code": code} if code else {}
        await self.happen("charges", charge, "fail", params, account=account)

    async def pay_debit(self, payment_intent: str, *, account: str = "") -> None:
        """Let a bank pay a debit before its days are over."""
        await self.happen("payment_intents", payment_intent, "bank_pays", account=account)

    async def open_dispute(
        self, charge: str, status: str = "needs_response", *, account: str = ""
    ) -> str:
        """Dispute a charge; the dispute's id. `warning_needs_response` and `prevented` move
        nothing."""
        made = await self.happen("charges", charge, "dispute", {"status": status}, account=account)
        return str(made["id"])

    async def close_dispute(
        self, dispute: str, status: str, *, returns_fee: bool = False, account: str = ""
    ) -> None:
        """Decide a dispute: `won`, `lost` or `warning_closed`; won ones may return their fee."""
        params = {"status": status, "returns_fee": "true" if returns_fee else "false"}
        await self.happen("disputes", dispute, "close", params, account=account)

    async def book(self, transaction: Mapping[str, str], *, account: str = "") -> str:
        """Put a balance transaction of any kind into a balance; its id.

        transaction: `type`, `amount` and `currency` at least; also `available_on`,
        `balance_type`, `description`, `reporting_category`, `source`, `source_type`, and
        `fees[0][amount]`, `fees[0][type]`, `fees[0][description]`.
        """
        made = await self.happen("balance", "own", "book", transaction, account=account)
        return str(made["id"])

    async def snapshot(self) -> list[SnapshotRow]:
        """Counts and sums of all that is held, an account, mode and noun a row."""
        return await self._call("GET", "snapshot", list[SnapshotRow])

    async def stats(self) -> Stats:
        """The Stripe requests served so far."""
        return await self._call("GET", "stats", Stats)

    async def emit(self, spec: EventSpec) -> str:
        """Emit an event as it is, of a type that no noun emits; its id."""
        return (await self._call("POST", "events", EventMade, spec)).id

    async def happen(
        self,
        collection: str,
        identifier: str,
        name: str,
        params: Mapping[str, str] | None = None,
        *,
        account: str = "",
        livemode: bool = False,
    ) -> dict[str, object]:
        """Let something befall an object without an API call: `authenticate` a payment intent."""
        query = urlencode({"account": account, "livemode": "true" if livemode else "false"})
        path = f"happenings/{collection}/{quote(identifier, safe='')}/{name}?{query}"
        body = urlencode(dict(params or {})).encode()
        return await self._send("POST", path, dict[str, object], body)

    async def choose_webhook_secret(self, endpoint: str, secret: str) -> None:
        """Let an endpoint that the API made sign with this secret (`whsec_…`) from now on."""
        await self._call("POST", "webhook_secrets", dict[str, str], WebhookSecret(endpoint, secret))

    async def disguise(self, account: str, identifier: str, body: str) -> None:
        """Show an object (an event too) as this raw JSON, in lists and by itself; empty: as it is.

        Cursors go on naming it by its own id.
        """
        told = Disguise(account, identifier, body)
        await self._call("POST", "disguises", dict[str, str], told)

    async def reset(self) -> None:
        """Forget everything but the platform's account."""
        await self._call("POST", "reset", dict[str, str])

    async def _call(
        self, method: str, path: str, answer: type[_T], message: Message | None = None
    ) -> _T:
        body = b"" if message is None else msgspec.json.encode(message)
        return await self._send(method, path, answer, body)

    async def _send(self, method: str, path: str, answer: type[_T], body: bytes) -> _T:
        if self._session is None:
            raise ControlError("use the client as an async context manager")
        try:
            async with self._session.request(
                method, f"{self._url}/_emulator/{path}", data=body
            ) as response:
                raw = await response.read()
                if response.status != 200:
                    raise ControlError(f"{method} {path}: {response.status} {raw.decode()}")
        except aiohttp.ClientError as error:
            raise ControlError(f"{method} {path}: {error}") from error
        return msgspec.json.decode(raw, type=answer)
