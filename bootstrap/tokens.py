"""Tokens of callers, made from the callers and the contract alone."""

import datetime as dt
import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import billing_client.v1
from google.protobuf.descriptor import ServiceDescriptor

from application.events.use_cases import PAYLOAD_SCOPE
from application.notes.use_cases import ADMIN_SCOPE
from bootstrap.caller_keys import NAME
from bootstrap.environment import read_environment
from bootstrap.signing import signing_of
from interfaces.cli.exits import ExitCode, Refused
from interfaces.grpc.core.methods import methods_of

_SERVICE_FILE = "_service_pb2"


def services_of_the_contract() -> Iterator[ServiceDescriptor]:
    """Every service of the contract, in the order of its files."""
    names = (module.name for module in pkgutil.iter_modules(billing_client.v1.__path__))
    for name in names:
        if name.endswith(_SERVICE_FILE):
            file = importlib.import_module(f"{billing_client.v1.__name__}.{name}")
            yield from file.DESCRIPTOR.services_by_name.values()


@cache
def list_scopes() -> Sequence[str]:
    """Every scope, in order: those of the contract's methods, and those of what is beside them."""
    of_methods = {method.scope for method in methods_of(services_of_the_contract()).values()}
    return tuple(sorted({*of_methods, PAYLOAD_SCOPE, ADMIN_SCOPE}))


def issue(
    subject: str,
    account: str,
    scopes: Sequence[str],
    lifetime: dt.timedelta | None,
    env_file: Path | None = None,
    caller: str = "",
) -> str:
    """A token, signed by a caller of BILLING_CALLERS or with the first of BILLING_CALLER_KEYS.

    Without scopes it is for all that are allowed. Raises SettingsError, ValueError where nobody
    would take it, and Refused for scopes that no method has.
    """
    check_scopes(scopes)
    given = read_environment((NAME,), env_file)
    return signing_of(given, list_scopes(), caller).sign(subject, account, scopes, lifetime)


def check_scopes(scopes: Sequence[str]) -> None:
    """Refuse scopes that no method has, and name those that are near."""
    known = list_scopes()
    lines = []
    for scope in scopes:
        if scope not in known:
            near = difflib.get_close_matches(scope, known, n=3)
            hint = f"is {' or '.join(near)} meant?" if near else f"there are {', '.join(known)}"
            lines.append(f"--scope: no method has the scope {scope!r}; {hint}")
    if lines:
        raise Refused("; ".join(lines), ExitCode.USAGE)
