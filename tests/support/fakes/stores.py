"""In-memory fakes of the ports, for unit tests only: they keep the ports' promises, not data.

Each method of a store fake is one atomic step between two pauses: the first stands for a request
under way, the second for its answer. A test's `Pause` decides what happens there: another task
runs, the process dies, the store fails before or after it has done its part.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from typing_extensions import override

from application.accounts.ports import Accounts
from application.background.clock import Clock
from application.connections.deployment import Deployment
from application.connections.ports import ConnectionRepository
from application.connections.stripe import StripeAccounts
from application.mirror.ports import Filter, Group, Holders, Live, Mirror, Noun, Order, RowPage
from application.requests.paging import Position, Scalar
from domain.accounts import Account
from domain.connections import Connection, ConnectionState, Mode
from domain.errors import AlreadyExists, Reason, Unavailable
from domain.mirror import Facet, MirroredObject, Row, Snapshot
from domain.search import terms_of
from domain.stripe_accounts import StripeAccount
from infrastructure.documents import (
    check_bounds,
    check_list,
    column_values,
    grouping_index,
    having_index,
    holders_index,
    many_values,
    row_page,
    search_readings,
    search_words,
    serving,
)

T = TypeVar("T", bound=MirroredObject)

NOON: Final = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)

Pause = Callable[[str], Awaitable[None]]
"""Called before and after each atomic step with its name, as `mirror.replace`."""


async def no_pause(where: str) -> None:
    """Go on at once."""


class FakeClock(Clock):
    """Stands still until it is moved."""

    def __init__(self, now: dt.datetime = NOON) -> None:
        self.instant = now

    @override
    def now(self) -> dt.datetime:
        return self.instant

    def advance(self, **parts: float) -> None:
        """Move on by the parts of a timedelta."""
        self.instant += dt.timedelta(**parts)


class Failing:
    """A pause that raises at chosen places, and remembers where it was called.

    `at` maps the number of a call (from 0) to what it raises.
    """

    def __init__(self, at: Mapping[int, BaseException] | None = None) -> None:
        self.at = dict(at or {})
        self.calls: list[str] = []

    async def __call__(self, where: str) -> None:
        self.calls.append(where)
        if error := self.at.get(len(self.calls) - 1):
            raise error


def store_down() -> Unavailable:
    """What a store raises that does not answer."""
    return Unavailable(Reason.STORE_UNAVAILABLE, "the store does not answer")


class Fake:
    """What all fakes of stores have in common."""

    def __init__(self, pause: Pause = no_pause) -> None:
        self.pause = pause

    @asynccontextmanager
    async def _step(self, where: str) -> AsyncIterator[None]:
        await self.pause(where)
        yield
        await self.pause(where)


class FakeMirror(Fake, Mirror):
    """Rows in a dictionary."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.rows: dict[tuple[str, str, str], Row[Any]] = {}
        self.writes = 0

    @override
    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        check_bounds(len(ids))
        async with self._step("mirror.fetch"):
            keys = {id_: (noun.name, stripe_account, id_) for id_ in ids}
            return {id_: self.rows[key] for id_, key in keys.items() if key in self.rows}

    @override
    async def replace(
        self,
        noun: Noun[T],
        snapshots: Sequence[tuple[Snapshot[T], int]],
        *,
        closed: Mapping[str, int] | None = None,
    ) -> Sequence[tuple[str, str]]:
        check_bounds(len(snapshots))
        keys = [(snapshot.stripe_account, snapshot.id) for snapshot, _ in snapshots]
        if len(set(keys)) < len(keys):
            raise ValueError("one snapshot a key")
        lost = []
        async with self._step("mirror.replace"):
            for (account, id_), (snapshot, revision) in zip(keys, snapshots, strict=True):
                row = self._row(noun, account, id_)
                if row.revision != revision:
                    lost.append((account, id_))
                    continue
                self.writes += 1
                self.rows[noun.name, account, id_] = replace(
                    row, revision=revision + 1, snapshot=snapshot
                )
        return lost

    @override
    async def derive(self, noun: Noun[T], facets: Sequence[Facet]) -> None:
        check_bounds(len(facets))
        async with self._step("mirror.derive"):
            for facet in facets:
                row = self._row(noun, facet.stripe_account, facet.id)
                stored = row.derived.get(facet.name)
                if stored is None or _age(stored) <= _age(facet):
                    derived = {**row.derived, facet.name: facet}
                    key = (noun.name, facet.stripe_account, facet.id)
                    self.rows[key] = replace(row, derived=derived)

    @override
    async def list(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        order: Order,
        after: Position | None,
        before: Position | None = None,
        limit: int,
    ) -> RowPage[T]:
        check_list(after, before, limit)
        serving(noun, where, order)
        async with self._step("mirror.list"):
            live = self._live(noun, stripe_account)
        ordered = sorted(
            (
                (Position(columns[order.column], row.id), row)
                for columns, row in live
                if _matches(columns, where)
            ),
            key=lambda entry: _key(entry[0]),
            reverse=order.descending != (before is not None),
        )
        start = after or before
        if start is not None:
            down = order.descending != (before is not None)
            past = _key(start)
            ordered = [
                entry
                for entry in ordered
                if (_key(entry[0]) < past if down else _key(entry[0]) > past)
            ]
        some = ordered[: limit + 1]
        return row_page(
            [row for _, row in some],
            [position for position, _ in some],
            limit,
            after=after,
            before=before,
            end=None,
        )

    @override
    async def having(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        values: Sequence[Scalar],
        *,
        limit: int,
    ) -> Sequence[Live[T]]:
        having_index(noun, column, values, limit)
        async with self._step("mirror.having"):
            live = self._live(noun, stripe_account)
        return [
            Live(row.snapshot.object, row.snapshot.unknown)
            for columns, row in live
            if columns[column] in values and row.snapshot and row.snapshot.object
        ][:limit]

    @override
    async def group(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        by: Sequence[str],
        sums: Sequence[str] = (),
    ) -> Sequence[Group]:
        index = grouping_index(noun, where, by, sums)
        async with self._step("mirror.group"):
            live = self._live(noun, stripe_account)
        grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for columns, _ in live:
            if _matches(columns, where) and (where.equals or columns[index[0]] is not None):
                grouped[tuple(columns[name] for name in by)].append(columns)
        return [
            Group(values, len(rows), tuple(sum(row[name] or 0 for row in rows) for name in sums))
            for values, rows in grouped.items()
        ]

    @override
    async def count_holders(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        groups: Mapping[str, Sequence[Scalar]],
        *,
        by: str,
        among: Sequence[Scalar],
        most: int,
    ) -> Sequence[Holders]:
        holders_index(noun, column, groups, by, among, most)
        async with self._step("mirror.count_holders"):
            live = self._live(noun, stripe_account)
        counts: dict[str, Counter[Scalar]] = defaultdict(Counter)
        for columns, _ in live:
            for group, values in groups.items():
                if columns[by] in among and {*columns[column]} & {*values}:
                    counts[group][columns[by]] += 1
        return [Holders(group, tuple(own[told] for told in among)) for group, own in counts.items()]

    @override
    async def search(
        self,
        noun: Noun[T],
        stripe_account: str,
        readings: Sequence[Sequence[str]],
        *,
        after: Position | None,
        limit: int,
        flags: Mapping[str, bool] | None = None,
    ) -> RowPage[T]:
        wanted = search_readings(noun, readings, limit, flags)
        async with self._step("mirror.search"):
            live = self._live(noun, stripe_account)
        found = [
            (columns["created"], row.id, row)
            for columns, row in live
            if row.snapshot
            and any(map(terms_of(search_words(noun, row.snapshot.object)).issuperset, wanted))
        ]
        past = None if after is None else (after.value, after.id)
        ordered = sorted(
            (entry for entry in found if past is None or entry[:2] < past),
            key=lambda entry: entry[:2],
            reverse=True,
        )
        page = ordered[:limit]
        more = Position(page[-1][0], page[-1][1]) if ordered[limit:] else None
        return RowPage([row for _, _, row in page], more)

    @override
    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        async with self._step("mirror.count"):
            live = self._live(noun, stripe_account)
        return len(live)

    def _row(self, noun: Noun[Any], account: str, id_: str) -> Row[Any]:
        return self.rows.get((noun.name, account, id_)) or Row(account, id_, 0, None)

    def _live(self, noun: Noun[Any], account: str) -> Sequence[tuple[dict[str, Any], Row[Any]]]:
        found = []
        for (name, owner, _), row in self.rows.items():
            if (name, owner) == (noun.name, account) and row.snapshot and row.snapshot.object:
                derived = {name: facet.values for name, facet in row.derived.items()}
                told = row.snapshot.object
                columns = {**column_values(noun, told, derived), **many_values(noun, told)}
                found.append((columns, row))
        return found


def _age(facet: Facet) -> tuple[int, int]:
    return facet.version.high, facet.version.low


def _key(position: Position) -> tuple[Any, str]:
    return position.value, position.id


def _matches(columns: Mapping[str, Any], where: Filter) -> bool:
    return (
        all(
            value in columns[name] if isinstance(columns[name], list) else columns[name] == value
            for name, value in where.equals.items()
        )
        and all(columns[name] in values for name, values in where.one_of.items())
        and all(
            columns[name] is not None
            and (low is None or columns[name] >= low)
            and (high is None or columns[name] < high)
            for name, (low, high) in where.ranges.items()
        )
    )


class FakeConnections(Fake, ConnectionRepository):
    """Connections in a dictionary."""

    def __init__(self, *connections: Connection, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept = {(one.account, one.mode): one for one in connections}
        self.gets = 0

    @override
    async def get(self, account: str, mode: Mode) -> Connection | None:
        self.gets += 1
        async with self._step("connections.get"):
            return self.kept.get((account, mode))

    @override
    async def find_by_stripe_account(self, stripe_account: str, mode: Mode) -> Connection | None:
        async with self._step("connections.find"):
            active = [
                one
                for one in self.kept.values()
                if (one.stripe_account, one.mode) == (stripe_account, mode)
                and one.state is ConnectionState.ACTIVE
            ]
        return active[0] if active else None

    @override
    async def list_active(self, mode: Mode, *, after: str, limit: int) -> Sequence[Connection]:
        async with self._step("connections.list_active"):
            found = [
                one
                for one in self.kept.values()
                if one.mode is mode and _active(one) and one.stripe_account > after
            ]
        return sorted(found, key=lambda one: one.stripe_account)[:limit]

    @override
    async def revoke(self, connection: Connection) -> bool:
        async with self._step("connections.revoke"):
            key = (connection.account, connection.mode)
            kept = self.kept.get(key)
            if kept is None or not _active(kept) or not kept.is_same_link(connection):
                return False
            self.kept[key] = replace(kept, state=ConnectionState.REVOKED)
            return True

    @override
    async def mark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        return await self._set_mark(connection, (None, ending_since), ending_since)

    @override
    async def unmark(self, connection: Connection, *, ending_since: dt.datetime) -> bool:
        return await self._set_mark(connection, (ending_since,), None)

    async def _set_mark(
        self, link: Connection, before: Sequence[dt.datetime | None], after: dt.datetime | None
    ) -> bool:
        async with self._step("connections.mark" if after else "connections.unmark"):
            kept = self.kept.get((link.account, link.mode))
            if kept is None or not _active(kept) or not kept.is_same_link(link):
                return False
            if kept.ending_since not in before:
                return False
            self.kept[link.account, link.mode] = replace(kept, ending_since=after)
            return True

    @override
    async def put(self, connection: Connection) -> None:
        async with self._step("connections.put"):
            for other in self.kept.values():
                same = (other.stripe_account, other.mode, other.state) == (
                    connection.stripe_account, connection.mode, connection.state,
                )  # fmt: skip
                if same and other.account != connection.account and _active(connection):
                    raise AlreadyExists(Reason.STRIPE_ACCOUNT_TAKEN, "linked to another account")
            self.kept[connection.account, connection.mode] = connection


def _active(connection: Connection) -> bool:
    return connection.state is ConnectionState.ACTIVE


class FakeAccounts(Fake, Accounts):
    """Accounts in a dictionary."""

    def __init__(self, *accounts: Account, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.kept = {account.id: account for account in accounts}

    @override
    async def get(self, account: str) -> Account | None:
        async with self._step("accounts.get"):
            return self.kept.get(account)

    @override
    async def add(self, account: Account) -> None:
        async with self._step("accounts.add"):
            if account.id in self.kept:
                raise AlreadyExists(Reason.ALREADY_EXISTS, "the id is taken")
            self.kept[account.id] = account

    @override
    async def list_all(self, *, after: str, limit: int) -> Sequence[Account]:
        async with self._step("accounts.list_all"):
            ids = sorted(id_ for id_ in self.kept if id_ > after)
        return [self.kept[id_] for id_ in ids[:limit]]


class FakeDeployment(Fake, Deployment):
    """The stamp of a store that nobody has used yet."""

    def __init__(self, pause: Pause = no_pause) -> None:
        super().__init__(pause)
        self.mode: Mode | None = None
        self.platform: str | None = None

    @override
    async def stamp(self, mode: Mode) -> Mode:
        async with self._step("deployment.stamp"):
            self.mode = stamped = self.mode or mode
        return stamped

    @override
    async def platform_account(self) -> str | None:
        async with self._step("deployment.platform_account"):
            return self.platform

    @override
    async def keep_platform_account(self, stripe_account: str) -> None:
        async with self._step("deployment.keep_platform_account"):
            self.platform = stripe_account

    @override
    async def check(self) -> None:
        async with self._step("deployment.check"):
            pass


@dataclass(slots=True)
class FakeStripeAccounts(StripeAccounts):
    """Says the same of every Stripe account, or raises `error`; counts how often it was asked."""

    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    @override
    async def get(self, stripe_account: str) -> StripeAccount:
        self.asked.append(stripe_account)
        if self.error is not None:
            raise self.error
        return StripeAccount(
            stripe_account, NOON, True, True, True, "usd", "US", {"card_payments": "active"}
        )

    @override
    async def platform(self) -> StripeAccount:
        return await self.get("acct_platform")
