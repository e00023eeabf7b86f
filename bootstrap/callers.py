"""The callers' file of the environment, for the commands that read and cut it."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from typing_extensions import override

from bootstrap.caller_keys import CALLERS
from bootstrap.environment import read_environment
from bootstrap.names import SettingsError
from bootstrap.signing import as_settings_error, registered
from bootstrap.tokens import list_scopes
from infrastructure.clock import SystemClock
from infrastructure.security.callers_document import CallersInvalid
from infrastructure.security.callers_file import CallersFile
from infrastructure.security.registered_callers import RegisteredCaller
from interfaces.cli.callers import CallerRow, CallersAdministration


def find_callers(env_file: Path | None = None) -> CallersAdministration:
    """The file that BILLING_CALLERS names. SettingsError where it names none."""
    path = read_environment((), env_file).values.get(CALLERS)
    if not path:
        raise SettingsError(f"{CALLERS}: is required")
    return _CallersOfFile(CallersFile(Path(path), list_scopes()))


class _CallersOfFile(CallersAdministration):
    def __init__(self, file: CallersFile) -> None:
        self._file = file

    @override
    def rows(self) -> Sequence[CallerRow]:
        return [_row(caller) for caller in registered(self._file)[0].all]

    @override
    def cut(self, name: str) -> dt.datetime:
        try:
            return self._file.cut(name, SystemClock().now())
        except CallersInvalid as error:
            raise as_settings_error(error) from None
        except KeyError:
            raise ValueError(f"{CALLERS} has no caller of this name: {name:.64}") from None


def _row(caller: RegisteredCaller) -> CallerRow:
    return CallerRow(
        caller.name,
        caller.issuer,
        _listed(caller.scopes),
        _listed(caller.accounts),
        caller.operator,
        int(caller.longest.total_seconds() // 60),
        caller.not_before.isoformat() if caller.not_before else "",
        [f"{key.id} ({key.algorithm})" for key in caller.keys.values()],
    )


def _listed(values: frozenset[str] | None) -> str:
    if values is None:
        return "all"
    return ", ".join(sorted(values)) or "none"
