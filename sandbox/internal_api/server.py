"""The platform's internal API as the sandbox plays it: prices, and a sink of what is provisioned.

It believes nobody without a token that is signed with the secret that platform and Billing share.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from aiohttp import web

PRICES: Final = "/prices"
PHONE_NUMBERS: Final = "/phone-numbers/prices"
PROVISIONING: Final = "/provisioning"

MAX_BODY_BYTES: Final = 65_536
MAX_KEPT: Final = 10_000

_AUDIENCE: Final = "internal-api"

Tiers = Sequence[Mapping[str, object]]
"""As the wire has them: `{"up_to": 10, "price": "1.15"}`."""


@dataclass(slots=True)
class Platform:
    """What the platform asks and has been told.

    - `prices`: of a unit of usage, by service, in `currency`.
    - `numbers`: tiers by country, kind and currency.
    - `provisioned`: what was ordered, by the id of its job: a repeat changes nothing.
    """

    secret: str
    currency: str = "usd"
    prices: dict[str, str] = field(default_factory=dict)
    numbers: dict[tuple[str, str, str], Tiers] = field(default_factory=dict)
    provisioned: dict[str, Any] = field(default_factory=dict)

    def application(self) -> web.Application:
        """The routes, on an application of its own."""
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guarded])
        app.router.add_post(PRICES, self._price)
        app.router.add_post(PHONE_NUMBERS, self._number_price)
        app.router.add_post(PROVISIONING, self._provision)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            jwt.decode(token, self.secret, algorithms=["HS256"], audience=_AUDIENCE)
        except jwt.PyJWTError:
            raise web.HTTPUnauthorized from None
        if scheme != "Bearer":
            raise web.HTTPUnauthorized
        try:
            answer: web.StreamResponse = await handler(request)
        except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError):
            raise web.HTTPBadRequest from None
        return answer

    async def _price(self, request: web.Request) -> web.Response:
        asked = await request.json()
        known = self.prices.get(asked["service"]) if asked["currency"] == self.currency else None
        return web.json_response(
            {"service": asked["service"], "currency": asked["currency"], "price": known}
        )

    async def _number_price(self, request: web.Request) -> web.Response:
        asked = await request.json()
        place = (asked["country"], asked["kind"], asked["currency"])
        told = dict(zip(("country", "kind", "currency"), place, strict=True))
        return web.json_response({**told, "tiers": self.numbers.get(place)})

    async def _provision(self, request: web.Request) -> web.Response:
        order = await request.json()
        if len(self.provisioned) >= MAX_KEPT:
            raise web.HTTPInsufficientStorage
        self.provisioned.setdefault(order["id"], order)
        return web.json_response({"id": order["id"]})


@asynccontextmanager
async def serving(platform: Platform, port: int = 0) -> AsyncIterator[str]:
    """Serve on a port of this machine, any free one where it is 0; the address."""
    runner = web.AppRunner(platform.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()
