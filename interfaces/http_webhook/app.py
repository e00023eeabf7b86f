"""The small HTTP application that Stripe calls.

It answers 200 once an event is durable, and never waits for what is done with it. To Stripe, a 2xx
ends a delivery and everything else makes it deliver again for days. So only what Stripe has not
signed, or not for the scope that the settings name, is refused with a 4xx, and everything on our
side is a 503.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from application.events.receiver import Receiver
from domain.errors import (
    BillingError,
    RateLimited,
    Reason,
    Unauthenticated,
    Unavailable,
)

PATH: Final = "/webhooks/stripe"
MAX_BODY_BYTES: Final = 1024 * 1024
BODY_SECONDS: Final = 10.0
"""How long a body may take to arrive."""

_RETRY_AFTER_SECONDS: Final = "5"
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
_TAKEN: Final = b'{"received": true, "duplicate": false}'
_TAKEN_BEFORE: Final = b'{"received": true, "duplicate": true}'

_log = logging.getLogger(__name__)


def create_app(receiver: Receiver, ready: Callable[[], bool] = lambda: True) -> web.Application:
    """The application: `POST /webhooks/stripe`, and for whoever watches over the process.

    `GET /healthz` (liveness): it runs; to start it anew would mend nothing else. `GET /readyz`: a
    delivery has a chance, as `ready` says. Deliveries are taken, or refused one by one, all the
    same.
    """
    logging.getLogger("aiohttp.server").addFilter(_NO_BROKEN_HTTP)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    webhook = _Webhook(receiver)
    app.router.add_post(PATH, webhook.handle)
    app.router.add_get("/healthz", _health)

    async def readiness(_: web.Request) -> web.Response:
        if ready():
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready"}, status=503)

    app.router.add_get("/readyz", readiness)
    return app


class _NoBrokenHttp(logging.Filter):
    """Drops the traceback for each request that is no HTTP: whoever reaches the port sends them."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_NO_BROKEN_HTTP: Final = _NoBrokenHttp()


class _Webhook:
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def handle(self, request: web.Request) -> web.Response:
        """Take one delivery."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return _too_large()
        try:
            body = await _body(request)
        except web.HTTPRequestEntityTooLarge:
            return _too_large()
        except TimeoutError:
            return _cut(408, "the body took too long to arrive")
        except (web.RequestPayloadError, ConnectionError):
            return _cut(400, "the body did not arrive as its headers say")
        try:
            fresh = await self._receiver.receive(body, request.headers.get("Stripe-Signature", ""))
        except Unauthenticated as error:
            return _answer(400, error.reason, error.message)
        except (Unavailable, RateLimited) as error:
            return _unavailable(error)
        except Exception:  # noqa: BLE001 - our defect must not make Stripe's event a wrong one
            _log.exception("a delivery could not be taken")
            return _unavailable(Unavailable(Reason.INTERNAL, "try again later"))
        return web.Response(body=_TAKEN if fresh else _TAKEN_BEFORE, headers=_JSON)


async def _body(request: web.Request) -> bytes:
    """The body, of MAX_BODY_BYTES at most. Raises TimeoutError where it takes BODY_SECONDS to come.

    Nearly all have come with their headers: these are spared a timer, and a copy.
    """
    content = request.content
    if content.is_eof() and content.total_bytes <= MAX_BODY_BYTES:
        return content.read_nowait()
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "serving"})


def _too_large() -> web.Response:
    return _cut(413, f"at most {MAX_BODY_BYTES} bytes are taken")


def _cut(status: int, message: str) -> web.Response:
    """Refuse a body that is not read to its end; the connection cannot be used again."""
    response = _answer(status, Reason.INVALID_FIELDS, message)
    response.force_close()
    return response


def _unavailable(error: BillingError) -> web.Response:
    response = _answer(503, error.reason, error.message)
    response.headers["Retry-After"] = _RETRY_AFTER_SECONDS
    return response


def _answer(status: int, reason: Reason, message: str) -> web.Response:
    return web.json_response({"reason": reason, "message": message}, status=status)
