"""The control API, `/_emulator/…`: JSON in and out, outside of Stripe's namespace, without keys."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from sandbox.emulator.core.call import Call, World
from sandbox.emulator.core.currencies import millionths
from sandbox.emulator.core.errors import ApiError
from sandbox.emulator.core.forms import decode
from sandbox.emulator.core.grants import CODE_SECONDS, Grant, asked_by, sent_back
from sandbox.emulator.core.messages import (
    DUNNING_ENDS,
    AccountMade,
    AccountSpec,
    Authorization,
    AuthorizationCode,
    ClockMove,
    ClockState,
    DeliveryChange,
    Disguise,
    Dunning,
    EventMade,
    EventSpec,
    FaultSpec,
    Flush,
    Flushed,
    Health,
    RateLimit,
    Refusal,
    Settlement,
    WebhookSecret,
)
from sandbox.emulator.core.params import read
from sandbox.emulator.core.routing import decoded
from sandbox.emulator.core.values import Origin, Scope

PREFIX: Final = "/_emulator/"
MAX_WAIT_SECONDS: Final = 300.0
MOST_ROUNDS: Final = 1_000
"""How often a move of the clock runs what is due, `schedule.MOST_DUE` jobs at a time."""

_M = TypeVar("_M")
_Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[object]]


class Control:
    """Serves the control API for a world.

    new_account makes an account; reset makes the world anew (both belong to the server, which
    knows how an account is declared and what a world consists of).
    """

    def __init__(
        self,
        world: World,
        new_account: Callable[[World, AccountSpec], object],
        reset: Callable[[], Awaitable[None]],
    ) -> None:
        self._world = world
        self._new_account = new_account
        self._reset = reset
        self._handlers: dict[tuple[str, str], _Handler] = {
            ("GET", "health"): self._health,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._move_clock,
            ("POST", "accounts"): self._make_account,
            ("POST", "authorizations"): self._authorize,
            ("POST", "deauthorizations"): self._deauthorize,
            ("GET", "delivery"): self._delivery,
            ("POST", "delivery"): self._change_delivery,
            ("POST", "flush"): self._flush,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "rate_limit"): self._limit_rate,
            ("POST", "settlement"): self._change_settlement,
            ("POST", "dunning"): self._change_dunning,
            ("GET", "snapshot"): self._snapshot,
            ("GET", "stats"): self._stats,
            ("POST", "events"): self._emit,
            ("POST", "happenings"): self._happen,
            ("POST", "webhook_secrets"): self._choose_secret,
            ("POST", "disguises"): self._disguise,
            ("POST", "reset"): self._start_anew,
        }

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; 400 and 404 carry a `Refusal`."""
        name = request.path.removeprefix(PREFIX).split("/")[0]
        handler = self._handlers.get((request.method, name))
        if handler is None:
            return _json(Refusal(f"no control at {request.method} {request.path}"), 404)
        try:
            return _json(await handler(request), 200)
        except (ValueError, msgspec.ValidationError, ApiError) as error:
            return _json(Refusal(str(error)), 400)
        except KeyError as error:
            return _json(Refusal(f"unknown: {error}"), 404)

    async def _health(self, _: web.BaseRequest) -> Health:
        world = self._world
        return Health(world.accounts.platform, len(world.accounts.all()), world.clock.now())

    async def _clock(self, _: web.BaseRequest) -> ClockState:
        return ClockState(self._world.clock.now())

    async def _move_clock(self, request: web.BaseRequest) -> ClockState:
        move = await _body(request, ClockMove)
        if move.set is not None:
            self._world.clock.set(move.set)
        if move.advance is not None:
            self._world.clock.advance(move.advance)
        for _ in range(MOST_ROUNDS):
            if not self._world.schedule.run_due():
                break
            # Other requests are answered between the rounds of a long move.
            await asyncio.sleep(0)
        else:
            raise ValueError("more fell due than one move can do: the rest is done by and by")
        self._world.delivery.wake()
        return ClockState(self._world.clock.now())

    async def _make_account(self, request: web.BaseRequest) -> AccountMade:
        spec = await _body(request, AccountSpec)
        if spec.id:
            if not spec.id.startswith("acct_"):
                raise ValueError("an account's id begins with acct_")
            if spec.id in {item["id"] for item in self._world.accounts.all()}:
                raise ValueError(f"{spec.id} exists")
        before = len(self._world.accounts.all())
        self._new_account(self._world, spec)
        return AccountMade(self._world.accounts.all()[before]["id"])

    async def _deauthorize(self, request: web.BaseRequest) -> AccountMade:
        """The account revokes the platform's access; both modes' Connect endpoints hear of it."""
        made = await _body(request, AccountMade)
        self._world.deauthorize(made.id)
        return made

    async def _authorize(self, request: web.BaseRequest) -> AuthorizationCode:
        """The owner of an account consents or declines; what his browser would bring back."""
        consent = await _body(request, Authorization)
        world, asked = self._world, asked_by(consent.page) if consent.page else None
        if consent.declined:
            if asked is None:
                raise ValueError("declined: the page is needed that the owner was sent to")
            return AuthorizationCode("", sent_back(asked))
        world.accounts.get(consent.account)
        code = world.ids.mint("ac", 32)
        expires = world.clock.now() + CODE_SECONDS
        world.grants.give(code, Grant(consent.account, consent.livemode, expires))
        return AuthorizationCode(code, "" if asked is None else sent_back(asked, code=code))

    async def _delivery(self, _: web.BaseRequest) -> object:
        return self._world.delivery.state()

    async def _change_delivery(self, request: web.BaseRequest) -> object:
        return self._world.delivery.change(await _body(request, DeliveryChange))

    async def _flush(self, request: web.BaseRequest) -> Flushed:
        flush = await _body(request, Flush)
        done = await self._world.delivery.settle(min(flush.timeout_seconds, MAX_WAIT_SECONDS))
        return Flushed(done, self._world.delivery.state())

    async def _faults(self, _: web.BaseRequest) -> object:
        return self._world.faults.all()

    async def _add_fault(self, request: web.BaseRequest) -> object:
        return self._world.faults.add(await _body(request, FaultSpec))

    async def _clear_faults(self, _: web.BaseRequest) -> object:
        self._world.faults.clear()
        return {}

    async def _limit_rate(self, request: web.BaseRequest) -> object:
        limit = await _body(request, RateLimit)
        self._world.rates.limit(limit.per_second)
        return limit

    async def _change_settlement(self, request: web.BaseRequest) -> object:
        settlement = await _body(request, Settlement)
        world = self._world
        rates = {code: millionths(rate) for code, rate in settlement.exchange_rates.items()}
        if settlement.after_seconds is not None:
            if settlement.after_seconds < 0:
                raise ValueError("after_seconds is not negative")
            world.settles_after_seconds = settlement.after_seconds
        if settlement.releases_by_refund is not None:
            world.releases_by_refund = settlement.releases_by_refund
        world.exchange_rates.update(rates)
        return settlement

    async def _change_dunning(self, request: web.BaseRequest) -> object:
        dunning = await _body(request, Dunning)
        if dunning.ends not in DUNNING_ENDS:
            raise ValueError(f"ends is one of {', '.join(DUNNING_ENDS)}")
        self._world.dunning_ends = dunning.ends
        return dunning

    async def _snapshot(self, _: web.BaseRequest) -> object:
        return self._world.snapshot()

    async def _stats(self, _: web.BaseRequest) -> object:
        return self._world.served.stats()

    async def _emit(self, request: web.BaseRequest) -> EventMade:
        spec = await _body(request, EventSpec)
        account = spec.account or self._world.accounts.platform
        self._world.accounts.get(account)
        scope = Scope(account, spec.livemode)
        event = self._world.events.emit(scope, spec.type, spec.object, None, Origin())
        return EventMade(event["id"])

    async def _happen(self, request: web.BaseRequest) -> object:
        """`happenings/<collection>/<id>/<name>?account=…&livemode=…`, the parameters as a form."""
        rest = request.rel_url.raw_path.removeprefix(PREFIX).split("/")[1:]
        if len(rest) != 3:
            raise ValueError("a happening is at happenings/<collection>/<id>/<name>")
        collection, identifier, name = map(decoded, rest)
        world, query = self._world, request.rel_url.query
        noun = world.nouns.collected(collection)
        if noun is None or name not in noun.happenings:
            raise KeyError(f"{collection} {name}")
        happening = noun.happenings[name]
        account = query.get("account") or world.accounts.platform
        scope = Scope(account, query.get("livemode") == "true")
        params = read(happening.parameters, decode((await request.read()).decode()))
        return happening.run(
            Call(world, scope, noun, params, identifier, path=request.rel_url.raw_path)
        )

    async def _choose_secret(self, request: web.BaseRequest) -> object:
        """For a receiver that has to know its secret before its endpoint is made."""
        chosen = await _body(request, WebhookSecret)
        if not chosen.secret.startswith("whsec_"):
            raise ValueError("a signing secret begins with whsec_")
        delivery = self._world.delivery
        delivery.register(replace(delivery.endpoint(chosen.endpoint), secret=chosen.secret))
        return {}

    async def _disguise(self, request: web.BaseRequest) -> object:
        """For what Stripe may show and no request can make, such as an amount that is a word."""
        asked = await _body(request, Disguise)
        self._world.disguises.set(asked.account, asked.id, asked.body)
        return {}

    async def _start_anew(self, _: web.BaseRequest) -> object:
        await self._reset()
        return {}


async def _body(request: web.BaseRequest, kind: type[_M]) -> _M:
    return msgspec.json.decode(await request.read() or b"{}", type=kind)


def _json(value: object, status: int) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json")
