"""Stripe's side of the wire: it shows single objects, and lists nothing.

What a webhook brought is so found nowhere else: an event that the service loses stays lost.
"""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from email.utils import format_datetime
from typing import Final

from aiohttp import web

from tests.crash.business import PLATFORM, Business

_LISTS: Final = 2
"""How many segments the path of a list has; an object's has one more."""


@contextlib.asynccontextmanager
async def stripe_server(business: Business, now: Callable[[], dt.datetime]) -> AsyncIterator[str]:
    """Serve what a business shows; gives the address."""

    async def answer(request: web.Request) -> web.Response:
        headers = {"Date": format_datetime(now(), usegmt=True)}
        account = request.headers.get("Stripe-Account", PLATFORM)
        segments = request.path.strip("/").split("/")
        if segments == ["v1", "account"]:
            shown = {"id": PLATFORM, "object": "account"}
            return web.json_response(shown, headers=headers)
        if segments[-1] in business.left:
            error = {"error": {"type": "invalid_request_error", "code": "account_invalid"}}
            return web.json_response(error, status=403, headers=headers)
        if len(segments) == _LISTS:
            empty = {"object": "list", "data": [], "has_more": False, "url": request.path}
            return web.json_response(empty, headers=headers)
        found = business.objects.get((account, segments[-1]))
        if found is None:
            error = {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
            return web.json_response(error, status=404, headers=headers)
        return web.json_response(found, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
