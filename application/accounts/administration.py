"""Keeping accounts where no platform does: for operators, in the embedded setting."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.accounts.ports import Accounts
from application.background.clock import Clock
from application.connections.ports import ConnectionRepository, FirstBackfill
from application.connections.stripe import StripeAccounts
from domain.accounts import Account
from domain.connections import Connection, ConnectionKind, ConnectionState, Mode
from domain.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    NotUnderstood,
    Reason,
)

PAGE = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """What the platform says of an account: whose it is, its plan, and what it may do."""

    owner: str
    tier: str
    flags: tuple[str, ...]


class AccountAdministration:
    """Adds, lists and shows accounts, and links their Stripe accounts by hand."""

    def __init__(
        self,
        accounts: Accounts,
        connections: ConnectionRepository,
        stripe: StripeAccounts,
        backfill: FirstBackfill,
        clock: Clock,
        mode: Mode,
    ) -> None:
        self._accounts = accounts
        self._connections = connections
        self._stripe = stripe
        self._backfill = backfill
        self._clock = clock
        self._mode = mode

    async def add(
        self, account_id: str, name: str, currency: str, parent: str, stripe_account: str,
        *, owner: str = "", tier: str = "", flags: Sequence[str] = (),
    ) -> tuple[Account, Connection | None]:  # fmt: skip
        """Add an account; with a Stripe account id, connect it too. Empty text stands for none.

        Stripe is asked whether the Stripe account is there, before anything is kept; its backfill
        begins by itself. An account that is there with the same facts is left as it is, and so is
        an active connection to the same Stripe account, so that a call that failed half-way can be
        repeated. Raises InvalidArgument, NotFound (the parent; the Stripe account, or Stripe gives
        no access to it), AlreadyExists (the id with other facts; STRIPE_ACCOUNT_TAKEN), and what
        `StripeAccounts` promises.
        """
        standing = Standing(owner, tier, tuple(flags))
        account, connection = self._checked(
            account_id, name, currency, parent, stripe_account, standing
        )
        if parent:
            await self._check_parent(parent)
        if connection is not None:
            await self._check_stripe_account(connection.stripe_account)
        if await self._accounts.get(account.id) != account:
            await self._accounts.add(account)
        return account, await self._connected(account, connection)

    async def list(self, *, after: str = "") -> Sequence[tuple[Account, Connection | None]]:
        """A hundred accounts from after an id, each with its connection."""
        accounts = await self._accounts.list_all(after=after, limit=PAGE)
        return [
            (account, await self._connections.get(account.id, self._mode)) for account in accounts
        ]

    async def show(self, account_id: str) -> tuple[Account, Connection | None]:
        """One account with its connection. NotFound where there is none."""
        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound("account", account_id)
        return account, await self._connections.get(account_id, self._mode)

    async def _check_parent(self, parent: str) -> None:
        account = await self._accounts.get(parent)
        if account is None:
            raise NotFound("account", parent)
        if account.parent is not None:
            raise InvalidArgument([FieldViolation("parent", "a main account is needed")])

    async def _check_stripe_account(self, stripe_account: str) -> None:
        try:
            await self._stripe.get(stripe_account)
        except NotUnderstood:
            pass  # Stripe shows it, however oddly
        except FailedPrecondition as error:
            if error.reason is not Reason.STRIPE_CONNECTION_REVOKED:
                raise
            raise NotFound("stripe_account", stripe_account) from None

    async def _connected(self, account: Account, wanted: Connection | None) -> Connection | None:
        """The account's connection, once it is as wanted; None wants nothing changed."""
        present = await self._connections.get(account.id, self._mode)
        if wanted is None:
            return present
        if (
            present is None
            or present.state is not ConnectionState.ACTIVE
            or present.stripe_account != wanted.stripe_account
        ):
            await self._connections.put(wanted)
            present = wanted
        await self._backfill.request(wanted.stripe_account)
        return present

    def _checked(
        self, account_id: str, name: str, currency: str, parent: str, stripe_account: str,
        standing: Standing,
    ) -> tuple[Account, Connection | None]:  # fmt: skip
        violations = []
        account = connection = None
        if not 1 <= len(name) <= 256:
            violations.append(FieldViolation("name", "1 to 256 characters"))
        try:
            account = Account(
                account_id, name, currency, parent or None, standing.owner, standing.tier,
                standing.flags,
            )  # fmt: skip
        except ValueError as error:
            violations.append(_violation(error))
        if stripe_account:
            try:
                connection = Connection(
                    account_id, stripe_account, self._mode, ConnectionKind.MANUAL,
                    self._clock.now(),
                )  # fmt: skip
            except ValueError as error:
                violations.append(_violation(error))
        if violations or account is None:
            raise InvalidArgument(violations)
        return account, connection


def _violation(error: ValueError) -> FieldViolation:
    """A guard of the domain says `field: rule`."""
    field, _, rule = str(error).partition(": ")
    return FieldViolation(field, rule)
