"""Certificates and keys in files, which somebody else renews while the service runs."""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infrastructure.plain_files import read_plain

MAX_BYTES: Final = 1_048_576

_log = logging.getLogger(__name__)


class TlsInvalid(Exception):
    """A pair cannot be used. `which` is the name of the file's role: cert, key or client_ca."""

    def __init__(self, which: str, rule: str) -> None:
        super().__init__(rule)
        self.which = which


@dataclass(frozen=True, slots=True)
class Pair:
    """What is in the files: PEM. `client_ca` is None where clients need no certificate."""

    cert: bytes
    key: bytes
    client_ca: bytes | None


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a certificate chain, its key and, for clients' certificates, their CA stand."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def read(self) -> Pair:
        """What the files say, checked to belong together. Raises TlsInvalid."""
        pair = Pair(
            _content("cert", self.cert),
            _content("key", self.key),
            _content("client_ca", self.client_ca) if self.client_ca else None,
        )
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        return pair

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a context use the pair; handshakes from now on do. Raises TlsInvalid."""
        try:
            context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except OSError as error:  # that of ssl is one
            raise TlsInvalid(
                "cert", f"is no PEM with the key beside it ({_words(error)})"
            ) from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError as error:
                raise TlsInvalid("client_ca", f"is no PEM ({_words(error)})") from None

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file does. Raises OSError."""
        files = [self.cert, self.key, *([self.client_ca] if self.client_ca else [])]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in map(Path.stat, files))


class FollowedPair:
    """A pair that is read again when its files change; one that is wrong leaves the last one."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsInvalid."""
        self.files: Final = files
        try:
            self._stamp = files.stamp()
        except OSError:
            files.read()  # which tells what cannot be read
            raise
        self.first: Final = files.read()
        self._lock = threading.Lock()

    def renewed(self) -> Pair | None:
        """The pair, if it has changed since the last time. May be called by any thread."""
        with self._lock:
            try:
                stamp = self.files.stamp()
                if stamp == self._stamp:
                    return None
                # One that is half written is wrong now, and its stamp changes once more.
                self._stamp = stamp
                pair = self.files.read()
            except (OSError, TlsInvalid) as error:
                words = str(error) if isinstance(error, TlsInvalid) else _words(error)
                _log.error(
                    "a renewed certificate is wrong; the last one holds", extra={"why": words}
                )
                return None
            _log.info("a certificate was renewed")
            return pair


def _content(which: str, path: Path) -> bytes:
    try:
        return read_plain(path, MAX_BYTES)
    except OSError as error:
        raise TlsInvalid(which, f"cannot be read: {_words(error)}") from None


def _words(error: OSError) -> str:
    """What was wrong, without what stands in the file."""
    return getattr(error, "reason", None) or error.strerror or type(error).__name__
