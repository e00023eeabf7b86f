"""The one way to the platform's internal API: a session, a short-lived token, bounds on all of it.

Neither addresses nor bodies are ever logged: they hold what is secret to others.
"""

from collections.abc import Mapping
from typing import Final

import aiohttp
import jwt
import msgspec

from application.background.clock import Clock

ISSUER: Final = "billing"
AUDIENCE: Final = "internal-api"
TOKEN_SECONDS: Final = 60
MAX_BODY_BYTES: Final = 16_384

_ALGORITHM: Final = "HS256"
_CHUNK_BYTES: Final = 4_096
_MAX_CONNECTIONS: Final = 100


class InternalApiError(Exception):
    """The internal API gave no usable answer; says how, and nothing of what was sent or told."""


class InternalApi:
    """Posts JSON, with a token signed by the secret that the platform shares with its services.

    A request is sent once: whoever calls decides whether another try is worth the time.
    """

    def __init__(
        self,
        secret: str,
        clock: Clock,
        *,
        total_seconds: float = 2.0,
        connect_seconds: float = 1.0,
    ) -> None:
        """Connect nothing yet: the session opens with the first request."""
        self._secret = secret
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(
            total=total_seconds, connect=connect_seconds, sock_connect=connect_seconds
        )
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, document: Mapping[str, object]) -> bytes:
        """The body of a 2xx answer. InternalApiError for everything else, redirects included."""
        try:
            async with self._opened().post(
                url,
                data=msgspec.json.encode(document),
                headers={"Authorization": f"Bearer {self._token()}"},
                allow_redirects=False,  # the token is for this address alone
            ) as response:
                if not 200 <= response.status < 300:
                    raise InternalApiError(f"HTTP {response.status}")
                return await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise InternalApiError(type(error).__name__) from None

    async def close(self) -> None:
        """Close all connections. Repeatable."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,  # a bomb stays packed, and is then no JSON
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            )
        return self._session

    def _token(self) -> str:
        issued = int(self._clock.now().timestamp())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": issued, "exp": issued + TOKEN_SECONDS}
        return jwt.encode(claims, self._secret, _ALGORITHM)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise InternalApiError("the answer is too large")
    return bytes(body)
