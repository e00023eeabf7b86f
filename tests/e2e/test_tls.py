"""TLS at both ports of the real service, and pairs that are renewed while it runs."""

import ssl
from pathlib import Path
from typing import Final

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bootstrap.names import SettingsError
from bootstrap.process import running
from bootstrap.settings import Settings, load
from bootstrap.tls import grpc_credentials
from infrastructure.security.tls_files import FollowedPair, TlsFiles, TlsInvalid
from tests.support.servers.callers import write_callers
from tests.support.servers.certificates import Made, make_certificate
from tests.support.servers.service import until

FIRST: Final = make_certificate()
SECOND: Final = make_certificate()
CLIENT: Final = make_certificate("client")


def settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch, made: Made = FIRST, **more: str
) -> Settings:
    cert, key = made.write(folder)
    every = {
        "STRIPE_SECRET_KEY": "sk_test_51Abc",
        "BILLING_CALLERS": str(write_callers(folder)),
        "BILLING_WEBHOOK_SECRETS_CONNECT": "whsec_12345678",
        "BILLING_STRIPE_URL": "http://127.0.0.1:1",
        "BILLING_SQLITE_PATH": str(folder / "billing.db"),
        "BILLING_GRPC_ADDRESS": "127.0.0.1:0",
        "BILLING_HTTP_ADDRESS": "127.0.0.1:0",
        "BILLING_TLS_CERT": str(cert),
        "BILLING_TLS_KEY": str(key),
        "BILLING_HTTP_TLS_CERT": str(cert),
        "BILLING_HTTP_TLS_KEY": str(key),
        **more,
    }
    for name, value in every.items():
        monkeypatch.setenv(name, value)
    return load()


async def health(port: int, root: Made, client: Made | None = None) -> str:
    """How a client fares that trusts a certificate."""
    pair = (client.key, client.cert) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(root.cert, *pair)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)


async def webhook(port: int, root: Made) -> int:
    """What the webhooks' port answers a client that trusts a certificate; 0 where TLS fails."""
    context = ssl.create_default_context(cadata=root.cert.decode())
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(f"https://localhost:{port}/healthz", ssl=context) as reply:
                return reply.status
        except aiohttp.ClientError:
            return 0


async def test_both_ports_speak_tls_and_renewed_pairs_hold_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.tls.FOLLOW_SECONDS", 0.02)
    async with running(settings(tmp_path, monkeypatch)) as ports:
        assert await health(ports.grpc, FIRST) == "SERVING"
        assert await health(ports.grpc, SECOND) == "UNAVAILABLE"
        assert (await webhook(ports.http, FIRST), await webhook(ports.http, SECOND)) == (200, 0)
        SECOND.write(tmp_path)
        assert await health(ports.grpc, SECOND) == "SERVING"
        assert await health(ports.grpc, FIRST) == "UNAVAILABLE"

        async def renewed() -> bool:
            return await webhook(ports.http, SECOND) == 200

        assert await until(renewed)


async def test_who_must_have_a_certificate_is_not_let_in_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, _ = CLIENT.write(tmp_path, "client")
    chosen = settings(tmp_path, monkeypatch, BILLING_TLS_CLIENT_CA=str(ca))
    async with running(chosen) as ports:
        assert await health(ports.grpc, FIRST) == "UNAVAILABLE"
        assert await health(ports.grpc, FIRST, FIRST) == "UNAVAILABLE"
        assert await health(ports.grpc, FIRST, CLIENT) == "SERVING"


def test_a_pair_that_does_not_belong_together_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tmp_path, monkeypatch)
    (tmp_path / "server.key").write_bytes(SECOND.key)
    with pytest.raises(SettingsError, match="BILLING_TLS_CERT: is no PEM with the key beside it"):
        grpc_credentials(chosen)
    (tmp_path / "server.key").unlink()
    with pytest.raises(SettingsError, match="BILLING_TLS_KEY: cannot be read: No such file"):
        grpc_credentials(chosen)


def test_a_pair_that_is_half_renewed_leaves_the_last_one(tmp_path: Path) -> None:
    cert, key = FIRST.write(tmp_path)
    followed = FollowedPair(TlsFiles(cert, key))
    assert followed.renewed() is None
    cert.write_bytes(SECOND.cert)
    assert followed.renewed() is None
    key.write_bytes(SECOND.key)
    renewed = followed.renewed()
    assert renewed is not None
    assert renewed.cert == SECOND.cert
    assert followed.renewed() is None
    with pytest.raises(TlsInvalid):
        TlsFiles(key, key).read()
