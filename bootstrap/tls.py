"""TLS at the two ports, with pairs that are renewed without a restart."""

import ssl
from pathlib import Path
from typing import Any, Final

import grpc

from application.background.loops import Loop
from bootstrap.names import SettingsError
from bootstrap.settings import Settings, environment_name
from infrastructure.security.tls_files import FollowedPair, Pair, TlsFiles, TlsInvalid

FOLLOW_SECONDS: Final = 5.0


def grpc_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Credentials for gRPC; None for plain HTTP/2. SettingsError where the pair is wrong.

    gRPC asks for the pair at each handshake, so a renewed one holds from the next connection on.
    """
    files = _files(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    if files is None:
        return None
    pair = _followed(files, "tls")

    def renewed() -> Any:  # None for "as before", which the types do not know
        fresh = pair.renewed()
        return None if fresh is None else _configuration(fresh)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(pair.first), renewed, require_client_authentication=bool(files.client_ca)
    )


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.cert)], pair.client_ca)


class WebhookTls:
    """TLS at the webhooks' port, and the loop that renews its pair."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises SettingsError where the pair is wrong."""
        self._pair = _followed(files, "http_tls")
        self.context: Final = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        files.load_into(self.context)
        self.loop: Final = Loop("the webhooks' certificate", self.follow, FOLLOW_SECONDS)

    async def follow(self) -> None:
        """Take a pair that was renewed."""
        if self._pair.renewed() is not None:
            self._pair.files.load_into(self.context)


def webhook_tls(settings: Settings) -> WebhookTls | None:
    """TLS for the webhooks' port; None for plain HTTP."""
    files = _files(settings.http_tls_cert, settings.http_tls_key, None)
    return None if files is None else WebhookTls(files)


def _files(cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    return None if cert is None or key is None else TlsFiles(cert, key, client_ca)


def _followed(files: TlsFiles, prefix: str) -> FollowedPair:
    try:
        return FollowedPair(files)
    except TlsInvalid as error:
        setting = environment_name(f"{prefix}_{error.which}")
        raise SettingsError(f"{setting}: {error}") from None
