"""Restatements: what has changed figures of the ledger after their time was closed."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from application.analytics.trust import Trust, TrustAnswers
from application.connections.use_cases import Connections
from application.mirror.nouns import BALANCE_TRANSACTIONS
from application.mirror.ports import Change, ChangePlace, Changes
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    Scalar,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.money import Money
from domain.periods import from_milliseconds


class Cause(StrEnum):
    """Why a figure of a closed time changed."""

    LATE = "late"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What a balance transaction counts as. Texts that Stripe does not tell are empty."""

    created: dt.datetime
    amount: Money
    fee: Money
    reporting_category: str
    balance_type: str

    @classmethod
    def of(cls, values: Mapping[str, Scalar | None]) -> "LedgerEntry":
        """The entry that a row's kept columns make."""
        currency = str(values["currency"])
        return cls(
            from_milliseconds(int(values["created"] or 0)),
            Money(int(values["amount"] or 0), currency),
            Money(int(values["fee"] or 0), currency),
            str(values["reporting_category"] or ""),
            str(values["balance_type"] or ""),
        )


@dataclass(frozen=True, slots=True)
class Restatement:
    """One change; `before` and `after` are None where the transaction counted (counts) nowhere."""

    balance_transaction: str
    cause: Cause
    known_at: dt.datetime
    first_known_at: dt.datetime
    before: LedgerEntry | None
    after: LedgerEntry | None


@dataclass(frozen=True, slots=True)
class ListRestatements:
    """Which page of restatements to list."""

    page_size: int = 0
    page_token: str = ""


class Restatements:
    """Lists what was restated for a connection."""

    def __init__(
        self,
        changes: Changes,
        connections: Connections,
        page_tokens: PageTokens,
        trust: TrustAnswers,
    ) -> None:
        self._changes = changes
        self._connections = connections
        self._page_tokens = page_tokens
        self._trust = trust

    async def list(
        self, caller: Caller, query: ListRestatements
    ) -> tuple[Page[Restatement], Trust]:
        """A page of restatements, the last known first."""
        refuse(page_size_violations(query.page_size))
        stripe_account = (await self._connections.of(caller)).stripe_account
        scope = digest("restatements", stripe_account)
        size = query.page_size or DEFAULT_PAGE_SIZE
        changes = await self._changes.list(
            BALANCE_TRANSACTIONS,
            stripe_account,
            after=_place(self._page_tokens.read(query.page_token, scope)),
            limit=size + 1,  # one more than asked for tells whether there is a next page
        )
        token = self._page_tokens.write(scope, _position(changes, size))
        page = Page([_restatement(change) for change in changes[:size]], token)
        return page, await self._trust.of(stripe_account, "")


def _place(position: Position | None) -> ChangePlace | None:
    """Where a page ended. The revision stands before the id, which may hold anything."""
    if position is None:
        return None
    revision, _, id_ = position.id.partition(" ")
    return int(position.value), id_, int(revision)


def _position(changes: Sequence[Change], size: int) -> Position | None:
    if len(changes) <= size:
        return None
    last = changes[size - 1]
    return Position(last.known_at, f"{last.revision} {last.id}")


def _restatement(change: Change) -> Restatement:
    cause = Cause.CHANGED
    if change.before is None:
        cause = Cause.LATE
    elif change.after is None:
        cause = Cause.REMOVED
    return Restatement(
        change.id,
        cause,
        from_milliseconds(change.known_at),
        from_milliseconds(change.first_known_at),
        None if change.before is None else LedgerEntry.of(change.before),
        None if change.after is None else LedgerEntry.of(change.after),
    )
