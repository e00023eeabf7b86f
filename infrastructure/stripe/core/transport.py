"""How bytes get to Stripe and back: the SDK's aiohttp client, with bounds and honest errors."""

import ssl
from collections.abc import Mapping
from typing import Final

import aiohttp
import stripe
from typing_extensions import override

from infrastructure.stripe.core.errors import connection_error

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""A page of 100 large objects with expanded fields is below 2 MB."""

MAX_CONNECTIONS: Final = 100

_CHUNK_BYTES: Final = 64 * 1024


class Transport(stripe.AIOHTTPClient):
    """Sends one request, bounded in time and size.

    The SDK's own leaks aiohttp's errors where a body is cut short or late, and does not tell a
    request that was never sent from one whose answer was lost; all are `APIConnectionError` here,
    the former a `NotSentError`. Nothing is shared between accounts but connections: no cookies.
    """

    def __init__(self, *, timeout_seconds: float, connect_timeout_seconds: float) -> None:
        """Bound a whole request, and within it the wait for a connection."""
        super().__init__()
        self._limits = aiohttp.ClientTimeout(total=timeout_seconds, connect=connect_timeout_seconds)
        # The SDK's own bundle: a slim container may have no other.
        self._tls = ssl.create_default_context(cafile=stripe.ca_bundle_path)
        self._open_session: aiohttp.ClientSession | None = None

    @override
    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: str | bytes | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """The answer's body, status and headers. Raises APIConnectionError or NotSentError."""
        try:
            async with self._opened().request(
                method, url, headers=headers, data=post_data, allow_redirects=False
            ) as response:
                return await _read(response), response.status, response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # Only the kind of the error is told: its text holds the address with its parameters.
            raise connection_error(type(error).__name__, sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise connection_error(type(error).__name__, sent=True) from None

    @override
    async def close_async(self) -> None:
        """Close the connections; another request would open new ones."""
        if self._open_session is not None:
            await self._open_session.close()
            self._open_session = None

    def _opened(self) -> aiohttp.ClientSession:
        """The session, made within the event loop that uses it."""
        if self._open_session is None:
            self._open_session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._limits,
            )
        return self._open_session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(body)
