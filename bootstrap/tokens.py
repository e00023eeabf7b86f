"""Tokens of callers, made from the callers' keys and the contract alone."""

import datetime as dt
import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

import billing_client.v1

from application.events.use_cases import PAYLOAD_SCOPE
from application.notes.use_cases import ADMIN_SCOPE
from bootstrap.caller_keys import read_caller_keys
from infrastructure.clock import SystemClock
from infrastructure.security.tokens import CallerTokens
from interfaces.grpc.core.methods import methods_of

_SERVICE_FILE = "_service_pb2"


@cache
def list_scopes() -> Sequence[str]:
    """Every scope, in order: those of the contract's methods, and those of what is beside them."""
    names = (module.name for module in pkgutil.iter_modules(billing_client.v1.__path__))
    files = [
        importlib.import_module(f"{billing_client.v1.__name__}.{name}")
        for name in names
        if name.endswith(_SERVICE_FILE)
    ]
    services = (service for file in files for service in file.DESCRIPTOR.services_by_name.values())
    of_methods = {method.scope for method in methods_of(services).values()}
    return tuple(sorted({*of_methods, PAYLOAD_SCOPE, ADMIN_SCOPE}))


def issue(subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta) -> str:
    """A token, signed with the first of the callers' keys; without scopes, for all of them.

    Raises SettingsError, and ValueError where nobody would take it.
    """
    tokens = CallerTokens(read_caller_keys(), SystemClock())
    return tokens.issue(subject, account, scopes or list_scopes(), lifetime)
