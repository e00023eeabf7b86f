"""Who signs tokens here: a registered caller that shares a secret, or a test deployment's key."""

import datetime as dt
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Protocol

from typing_extensions import override

from application.requests.callers import OPERATOR
from bootstrap.caller_keys import CALLERS, NAME, caller_keys_of, either_of_callers
from bootstrap.environment import Given
from bootstrap.names import SettingsError
from infrastructure.clock import SystemClock
from infrastructure.security.callers_document import CallersInvalid
from infrastructure.security.callers_file import CallersFile
from infrastructure.security.registered_callers import Callers, RegisteredCaller
from infrastructure.security.registered_tokens import issue
from infrastructure.security.tokens import CallerTokens

DEFAULT_LIFETIME: Final = dt.timedelta(hours=1)


class Signing(Protocol):
    """Signs tokens."""

    def sign(
        self, subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta | None
    ) -> str:
        """A token; without scopes for all that are allowed, without a lifetime for an hour or less.

        Raises ValueError for one that would be refused.
        """
        ...


class _WithKeys(Signing):
    """A test deployment's first key signs for whatever is asked."""

    def __init__(self, tokens: CallerTokens, scopes: Sequence[str]) -> None:
        self._tokens = tokens
        self._scopes = scopes

    @override
    def sign(
        self, subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta | None
    ) -> str:
        return self._tokens.issue(
            subject, account, scopes or self._scopes, lifetime or DEFAULT_LIFETIME
        )


class _AsCaller(Signing):
    """A registered caller signs within its bounds: the named one, else the first that may."""

    def __init__(self, callers: Callers, name: str, scopes: Sequence[str]) -> None:
        self._callers = callers
        self._name = name
        self._scopes = scopes

    @override
    def sign(
        self, subject: str, account: str, scopes: Sequence[str], lifetime: dt.timedelta | None
    ) -> str:
        caller = self._caller(account)
        granted = scopes or sorted(caller.granted(frozenset(self._scopes)))
        holds = lifetime or min(DEFAULT_LIFETIME, caller.longest_of(account))
        return issue(caller, subject, account, granted, holds, SystemClock())

    def _caller(self, account: str) -> RegisteredCaller:
        if self._name:
            try:
                return self._callers.named(self._name)
            except KeyError:
                names = ", ".join(caller.name for caller in self._callers.all[:20])
                raise ValueError(f"caller: {CALLERS} has none of this name; {names}") from None
        for caller in self._callers.all:
            if caller.signing_key is not None and caller.may_sign_for(account):
                return caller
        who = "operators" if account == OPERATOR else "this account"
        raise ValueError(f"account: no caller with a secret in {CALLERS} may sign for {who}")


def signing_of(given: Given, scopes: Sequence[str], caller: str = "") -> Signing:
    """Who signs, by what the environment gives. SettingsError with a line a problem.

    `scopes` are all that there are; `caller` is the name of a registered one.
    """
    path = given.values.get(CALLERS, "")
    if not path:
        keys = caller_keys_of(given)
        if caller:
            raise SettingsError(f"{CALLERS}: is required for --caller")
        return _WithKeys(CallerTokens(keys, SystemClock()), scopes)
    problem = either_of_callers(keys=NAME in given.values, path=True)
    if problem:
        raise SettingsError(f"{NAME}: {problem}")
    return _AsCaller(read_registered(Path(path), scopes), caller, scopes)


def read_registered(path: Path, scopes: Collection[str]) -> Callers:
    """The callers of a file. SettingsError with a line a problem."""
    return registered(CallersFile(path, scopes))[0]


def registered(file: CallersFile) -> tuple[Callers, bytes]:
    """The callers of a file, and the digest of what was read. SettingsError as above."""
    try:
        return file.read_with_digest()
    except CallersInvalid as error:
        raise as_settings_error(error) from None


def as_settings_error(error: CallersInvalid) -> SettingsError:
    """What is wrong with the file, a line a problem that names the setting."""
    return SettingsError("\n".join(f"{CALLERS}: {problem}" for problem in error.problems))
