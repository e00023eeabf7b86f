"""The pipeline of a request: from bytes to an action of a noun and back, with Stripe's headers."""

import asyncio
import base64
import binascii
import logging
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import BodyPartReader, web

from sandbox.emulator.core import forms
from sandbox.emulator.core.call import Call, World
from sandbox.emulator.core.errors import ApiError, invalid
from sandbox.emulator.core.expansion import check, expand
from sandbox.emulator.core.grants import CLIENT_ID
from sandbox.emulator.core.idempotency import Answer
from sandbox.emulator.core.messages import FaultKind, FaultSpec
from sandbox.emulator.core.params import ListOf, Text, read
from sandbox.emulator.core.routing import Route, Router
from sandbox.emulator.core.values import API_VERSION, Form, Origin, Scope, Upload

_LOG: Final = logging.getLogger("sandbox.emulator")
MAX_UPLOAD_BYTES: Final = 17 << 20
"""More than the largest file of any purpose."""

_EXPAND: Final = ListOf(kind=Text())
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Work:
    """What a request asks for, once route and key are known to be good."""

    route: Route
    identifiers: tuple[str, str]
    scope: Scope
    fault: FaultSpec | None

    def suffers(self, kind: FaultKind) -> bool:
        """Whether a fault of this kind befalls the request."""
        return self.fault is not None and self.fault.kind == kind


@dataclass(slots=True)
class Exchange:
    """One request as far as it is understood, and what its answer will carry."""

    request: web.BaseRequest
    id: str
    key: str | None
    route: Route | None = None
    work: Work | None = None
    replayed: str | None = None


class Api:
    """Serves Stripe's namespace for a world."""

    def __init__(self, world: World, router: Router) -> None:
        self._world = world
        self._router = router

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever goes wrong becomes an answer, too."""
        world = self._world
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        exchange = Exchange(request, world.ids.mint("req", 14), key or None)
        try:
            work = self._recognized(exchange)
            answer = await self._answer(exchange, work)
        except ApiError as error:
            answer = self._refusal(exchange, error)
        except Exception:  # noqa: BLE001 - logged; the client must see Stripe's envelope
            _LOG.exception("the emulator failed at %s %s", request.method, request.path)
            answer = self._refusal(exchange, ApiError(500, "Bug in the emulator", kind="api_error"))
        world.served.routes[exchange.route.name if exchange.route else "unknown"] += 1
        world.served.statuses[str(answer.status)] += 1
        return await self._send(exchange, answer)

    def _recognized(self, exchange: Exchange) -> Work:
        """Find the route, the scope and the fault of a request; ApiError 401, 403 or 404."""
        request = exchange.request
        match = self._router.match(request.method, request.rel_url.raw_path)
        if match is None:
            raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        route, identifiers = match
        exchange.route = route
        scope = self._scope(request, route, identifiers[0])
        self._world.rates.check(scope)
        fault = self._world.faults.take(
            request.method, route.template, route.noun.object, scope.account
        )
        exchange.work = Work(route, identifiers, scope, fault)
        return exchange.work

    def _scope(self, request: web.BaseRequest, route: Route, identifier: str) -> Scope:
        """Whose objects a request works on: by its key, or by its path where it needs none."""
        keyless = route.action.keyless
        if keyless is None:
            on_behalf = request.headers.get("Stripe-Account")
            return self._world.accounts.scope(_api_key(request), on_behalf)
        scope = keyless(identifier)
        if scope is None:
            raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        return scope

    def _application(self, request: web.BaseRequest, scope: Scope) -> str | None:
        """The platform, where it acts for a connected account."""
        named = request.headers.get("Stripe-Account")
        acts_for_another = named == scope.account != self._world.accounts.platform
        if acts_for_another and self._world.accounts.scope(_api_key(request), None) != scope:
            return CLIENT_ID
        return None

    async def _answer(self, exchange: Exchange, work: Work) -> Answer:
        """Do the work, once for an idempotency key: a repeat has the first answer."""
        if work.suffers("drop_before"):
            return Answer(0, b"", exchange.id)
        form = await _form(exchange.request)
        if exchange.key is None:
            return await self._first(exchange, work, form)
        if work.fault is not None and _refused_unkept(work.fault):
            raise _ordered(work.fault)
        keys, key, now = self._world.keys, exchange.key, self._world.clock.now()
        route = f"{exchange.request.method} {exchange.request.rel_url.raw_path}"
        replay = keys.begin(work.scope, key, route, form, now)
        if replay is not None:
            exchange.replayed = replay.request_id
            return replay
        try:
            answer = await self._first(exchange, work, form)
        except BaseException:
            # Stripe keeps no result of a request that it refused before executing it.
            keys.release(work.scope, key)
            raise
        keys.finish(work.scope, key, answer)
        return answer

    async def _first(self, exchange: Exchange, work: Work, form: dict[str, Form]) -> Answer:
        """Understand and execute a request; ApiError when it is refused before its execution."""
        fault = work.fault
        if fault is not None and fault.kind == "fail" and not fault.after_work:
            return self._refusal(exchange, _ordered(fault))
        if fault is not None and fault.kind == "stall":
            await asyncio.sleep(fault.seconds)
        expansions = _EXPAND.read(form["expand"], "expand") if "expand" in form else []
        given = {name: value for name, value in form.items() if name != "expand"}
        call = Call(
            world=self._world,
            scope=work.scope,
            noun=work.route.noun,
            params=read(work.route.action.parameters, given),
            id=work.identifiers[0],
            child=work.identifiers[1],
            origin=Origin(
                exchange.id, exchange.key, self._application(exchange.request, work.scope)
            ),
            path=exchange.request.rel_url.raw_path,
            address=f"http://{exchange.request.host}",
        )
        if work.route.method != "GET":
            check(call, expansions)
        return self._executed(exchange, work, call, expansions)

    def _executed(
        self, exchange: Exchange, work: Work, call: Call, expansions: list[str]
    ) -> Answer:
        """Run the action; its errors are answers, kept under an idempotency key like others."""
        action = work.route.action
        schedule = self._world.schedule
        schedule.run_due()
        try:
            call.check_references(action.parameters)
            result = action.run(call)
            if action.sends is not None:
                sent = action.sends(call, result)
                return Answer(200, sent.content, exchange.id, {"Content-Type": sent.content_type})
            if expansions:
                result = expand(call, result, expansions)
            body = _ENCODER.encode(self._world.disguises.worn(work.scope.account, result))
            schedule.run_due()
        except ApiError as error:
            return self._refusal(exchange, error)
        if work.fault is not None and work.fault.kind == "fail":
            return self._refusal(exchange, _ordered(work.fault))
        return Answer(200, body, exchange.id)

    def _refusal(self, exchange: Exchange, error: ApiError) -> Answer:
        scope = exchange.work.scope if exchange.work is not None else None
        account = scope.account if scope is not None else self._world.accounts.platform
        mode = "/test" if scope is None or not scope.livemode else ""
        url = f"https://dashboard.stripe.com/{account}{mode}/workbench/logs?object={exchange.id}"
        body = _ENCODER.encode(error.envelope(url))
        return Answer(error.status, body, exchange.id, error.headers)

    async def _send(self, exchange: Exchange, answer: Answer) -> web.StreamResponse:
        request, work = exchange.request, exchange.work
        if work is not None and (work.suffers("drop_before") or work.suffers("drop_after")):
            return _dropped(request)
        headers = {
            "Request-Id": exchange.id,
            "Date": self._world.clock.http_date(),
            "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
            "Content-Type": "application/json",
            **answer.headers,
        }
        if exchange.key is not None:
            headers["Idempotency-Key"] = exchange.key
            headers["Original-Request"] = exchange.replayed or exchange.id
        if exchange.replayed is not None:
            headers["Idempotent-Replayed"] = "true"
        if work is not None and "Stripe-Account" in request.headers:
            headers["Stripe-Account"] = work.scope.account
        if work is not None and work.suffers("cut"):
            return await _cut(request, answer, headers)
        return web.Response(status=answer.status, body=answer.body, headers=headers)


def _api_key(request: web.BaseRequest) -> str:
    """The key from a bearer or basic `Authorization`; empty when there is none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return value.strip()
    if scheme == "Basic":
        try:
            return base64.b64decode(value).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


async def _form(request: web.BaseRequest) -> dict[str, Form]:
    """The parameters of a request: of its body, or of its query for GET and DELETE."""
    encoded = request.rel_url.raw_query_string
    if request.content_type == "multipart/form-data":
        return await _parts(request)
    if request.method == "POST":
        try:
            body = (await request.read()).decode()
        except web.HTTPRequestEntityTooLarge as error:
            raise ApiError(413, "The request body is larger than 1 MiB") from error
        except UnicodeDecodeError as error:
            raise invalid("The request body is not UTF-8") from error
        encoded = "&".join(part for part in (encoded, body) if part)
    return forms.decode(encoded)


async def _parts(request: web.BaseRequest) -> dict[str, Form]:
    """The parameters of a multipart form, which may carry files."""
    fields: list[tuple[str, str]] = []
    uploads: dict[str, Form] = {}
    try:
        reader = await request.multipart()
        async for part in reader:
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise invalid("A part of the form has no name")
            content = await _content(part)
            if part.filename is None:
                fields.append((part.name, content.decode()))
            else:
                uploads[part.name] = Upload(part.filename, content)
    except (ValueError, RuntimeError) as error:
        raise invalid(f"The request could not be read: {error}") from error
    return {**forms.decode(urlencode(fields)), **uploads}


async def _content(part: BodyPartReader) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk():
        content += chunk
        if len(content) > MAX_UPLOAD_BYTES:
            raise ApiError(413, "The file is larger than any that can be uploaded")
    return bytes(content)


def _refused_unkept(fault: FaultSpec) -> bool:
    """Whether a fault refuses the work without an answer that its idempotency key would keep."""
    if fault.kind != "fail" or fault.after_work:
        return False
    return fault.status != 500 if fault.remember is None else not fault.remember


def _ordered(fault: FaultSpec) -> ApiError:
    """The error that a fault asks for."""
    kind, code = "api_error", None
    if fault.status == 429:
        kind, code = "invalid_request_error", "rate_limit"
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return ApiError(fault.status, "A fault on order", kind=kind, code=code, headers=headers)


def _dropped(request: web.BaseRequest) -> web.Response:
    """Close the connection without a byte of an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(
    request: web.BaseRequest, answer: Answer, headers: dict[str, str]
) -> web.StreamResponse:
    """Send half of the body, then close the connection."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
