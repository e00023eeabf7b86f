"""What a live deployment does not start with."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from bootstrap.caller_keys import CALLERS, listed
from bootstrap.names import SettingsError
from bootstrap.settings import Settings, environment_name, load
from bootstrap.signing import read_registered
from bootstrap.tokens import list_scopes
from domain.connections import Mode
from infrastructure.security.registered_callers import HS256

MIN_CHARACTERS: Final = 10
"""A secret of fewer different characters was not drawn at random."""

_WORDS: Final = ("sandbox", "example", "changeme", "change-me", "change_me", "secret", "password")


def load_to_serve(env_file: Path | None = None) -> Settings:
    """The settings, as `load`, with which a service may start. SettingsError, a line a problem."""
    settings = load(env_file)
    lines = live_problems(settings)
    if lines:
        raise SettingsError("\n".join(lines))
    return settings


def live_problems(settings: Settings) -> list[str]:
    """A line for each setting that is too weak for real money; none in test mode.

    Values are in no line.
    """
    if settings.mode is not Mode.LIVE:
        return []
    rules = (_callers, _grpc, _links, _stores, _odds, _secrets)
    return [f"{environment_name(name)}: {rule}" for find in rules for name, rule in find(settings)]


_Found = Iterator[tuple[str, str]]


def _callers(settings: Settings) -> _Found:
    if settings.callers_path is None:
        yield "caller_keys", f"live mode needs {CALLERS}: each of these keys may do anything"
        return
    for caller in read_registered(settings.callers_path, list_scopes()).all:
        for key in caller.keys.values():
            if key.algorithm == HS256 and is_weak(key.value.decode(errors="replace")):
                where = f"line {caller.line}: caller {caller.name}: key {key.id}"
                yield "callers_path", f"{where}: live mode needs a secret that was drawn at random"


def _grpc(settings: Settings) -> _Found:
    plain = settings.tls_cert is None and not settings.tls_is_terminated
    if plain and not is_loopback(settings.grpc_address.rpartition(":")[0]):
        yield (
            "grpc_address",
            "live mode needs BILLING_TLS_CERT off this machine, or BILLING_TLS=terminated",
        )


def _links(settings: Settings) -> _Found:
    for name in ("api_base_url", "short_links_url"):
        url = urlsplit(getattr(settings, name))
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield name, "live mode needs https:// off this machine"


def _stores(settings: Settings) -> _Found:
    if settings.queue == "nats":
        urls = [urlsplit(url) for url in listed(settings.nats_url.get_secret_value())]
        if any(url.scheme == "nats" and not is_loopback(url.hostname or "") for url in urls):
            yield "nats_url", "live mode needs tls:// off this machine"
    if settings.store == "mongo" and not _mongo_is_safe(settings.mongo_url.get_secret_value()):
        yield "mongo_url", "live mode needs tls=true off this machine"


def _mongo_is_safe(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    hosts, _, tail = rest.partition("/")
    options = {name.lower(): value.lower() for name, value in parse_qsl(tail.partition("?")[2])}
    tls = options.get("tls", options.get("ssl", "true" if scheme.endswith("+srv") else "false"))
    unchecked = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")
    if tls == "true":
        return not any(options.get(name) == "true" for name in unchecked)
    names = hosts.rpartition("@")[2].split(",")
    return all(is_loopback(_without_port(name)) for name in names)


def _without_port(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdecimal() else address


def _odds(settings: Settings) -> _Found:
    if settings.stripe_url:
        yield "stripe_url", "live mode asks Stripe itself"
    if settings.reflection:
        yield "reflection", "live mode does not show its interface to everybody"
    if settings.log_level == "debug":
        yield "log_level", "live mode does not log what is only for debugging"


def _secrets(settings: Settings) -> _Found:
    secrets = {
        "app_secret": [settings.app_secret.get_secret_value()],
        "webhook_secrets_platform": settings.platform_webhook_secrets,
        "webhook_secrets_connect": settings.connect_webhook_secrets,
    }
    for name, values in secrets.items():
        if any(value and is_weak(value.removeprefix("whsec_")) for value in values):
            yield name, "live mode needs a secret that was drawn at random"


def is_weak(secret: str) -> bool:
    """Whether a secret was hardly drawn at random."""
    lower = secret.lower()
    return len(set(secret)) < MIN_CHARACTERS or any(word in lower for word in _WORDS)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
