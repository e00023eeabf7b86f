"""The way to the running service, from a command's flags and from the environment."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import grpc

from application.requests.callers import OPERATOR
from bootstrap.caller_keys import CALLERS, NAME
from bootstrap.environment import Given, read_environment
from bootstrap.names import OF_COMMANDS, SettingsError, unknown_names
from bootstrap.signing import signing_of
from bootstrap.tokens import list_scopes
from interfaces.cli.client import Connect, authorised
from interfaces.cli.exits import ExitCode, Refused
from interfaces.cli.target import ADDRESS, TLS, TLS_CA, TOKEN, Target

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
LISTENS: Final = "BILLING_GRPC_ADDRESS"
"""Where the service of the same environment listens, if there is one."""

_TOKEN_LIFETIME: Final = dt.timedelta(minutes=5)
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to call, not to listen
"""Where to call a service of this machine that listens at all of its addresses."""


def reach(target: Target) -> Connect:
    """The way to the service. Raises SettingsError and Refused for what is missing or wrong.

    A flag goes before the environment, and that before an env file. Without a token one is made
    for an operator as BILLING_CALLERS or BILLING_CALLER_KEYS allow, for each call, with its
    scopes alone.
    """
    given = read_environment((TOKEN, NAME), target.env_file)
    _check_names(given)
    address = target.address or given.values.get(ADDRESS) or _local(given.values)
    credentials = _credentials(target, given.values)
    mint, doubt = _minting(target, given)

    def connect(scopes: Sequence[str]) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        return authorised(address, lambda: mint(scopes), credentials=credentials, doubt=doubt)

    return connect


def _minting(target: Target, given: Given) -> tuple[Callable[[Sequence[str]], str], str]:
    """What makes a token for scopes, and what to look at where the service does not take it."""
    token = target.token or given.values.get(TOKEN, "")
    if token:
        return lambda _: token, f"is it expired? billing token - makes one, for --token or {TOKEN}"
    problems = [line for line in given.problems if line.startswith((TOKEN, NAME))]
    setting = CALLERS if CALLERS in given.values else NAME
    if not problems and setting not in given.values:
        words = f"a token is needed: give --token, or set {TOKEN}, or {NAME} to make one with"
        raise Refused(words, ExitCode.USAGE)
    if problems:
        raise SettingsError("\n".join(problems))
    signing = signing_of(given, list_scopes())
    doubt = f"{setting} here must begin with a key that the service has in its own {setting}"
    return lambda scopes: signing.sign("operator", OPERATOR, scopes, _TOKEN_LIFETIME), doubt


def _local(values: Mapping[str, str]) -> str:
    """The service of this environment, or the one at the default port."""
    host, _, port = values.get(LISTENS, DEFAULT_ADDRESS).rpartition(":")
    if port == "0":
        raise Refused(f"--address is needed: {LISTENS} takes any free port", ExitCode.USAGE)
    return f"{_LOOPBACK.get(host, host)}:{port}"


def _credentials(target: Target, values: Mapping[str, str]) -> grpc.ChannelCredentials | None:
    ca = target.tls_ca or (Path(values[TLS_CA]) if TLS_CA in values else None)
    if ca is not None:
        try:
            return grpc.ssl_channel_credentials(ca.read_bytes())
        except OSError as error:
            words = f"--tls-ca: {ca} cannot be read: {error.strerror}"
            raise Refused(words, ExitCode.USAGE) from None
    if target.tls or values.get(TLS, "").lower() in ("1", "true", "yes", "on"):
        return grpc.ssl_channel_credentials()
    return None


def _check_names(given: Given) -> None:
    """Refuse a name that is nearly one of those that commands read."""
    known = OF_COMMANDS | {NAME, f"{NAME}_FILE", CALLERS}
    unknown = unknown_names({*given.names}, known)
    lines = [f"{one.name}: is no setting; is {one.meant} meant?" for one in unknown if one.meant]
    if lines:
        raise SettingsError("\n".join(lines))
