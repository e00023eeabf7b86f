"""Quotes, signed with HMAC-SHA-256: what was quoted in 68 bytes, behind 16 of the signature."""

import base64
import binascii
import datetime as dt
import hmac
import struct
from typing import Final

from typing_extensions import override

from application.checkouts.quoting import QuoteSigner
from domain.quotes import Seal

_MAC_BYTES: Final = 16
_CONTENT: Final = struct.Struct(">I16s16s16s16s")
"""Seconds since 1970, id, buyer, item, content."""

_CHARACTERS: Final = 112


class HmacQuotes(QuoteSigner):
    """`application.checkouts.quoting.QuoteSigner` under one key, the same in every process."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @override
    def write(self, seal: Seal) -> str:
        content = _CONTENT.pack(
            int(seal.expires_at.timestamp()),
            *(bytes.fromhex(part) for part in (seal.id, seal.buyer, seal.item, seal.content)),
        )
        return base64.urlsafe_b64encode(self._mac(content) + content).decode().rstrip("=")

    @override
    def read(self, text: str) -> Seal | None:
        if len(text) != _CHARACTERS:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(content)):
            return None
        expires, *parts = _CONTENT.unpack(content)
        id_, buyer, item, of = (part.hex() for part in parts)
        return Seal(id_, buyer, item, of, dt.datetime.fromtimestamp(expires, dt.UTC))

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:_MAC_BYTES]
