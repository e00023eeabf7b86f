"""The mirror of Stripe's objects, and what a declaration of a noun in it is made of.

All mirrored objects are one kind of thing, so there is one port, and one implementation a store,
driven by the declarations in `application.mirror.nouns`. Adding a noun adds one there, and no store
code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from application.requests.paging import Position, Scalar
from domain.mirror import Facet, MirroredObject, Rank, Row, Snapshot

T = TypeVar("T", bound=MirroredObject)


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a row that is filtered, ordered or summed by the store.

    `path` leads to it from the row: `object.…` into the snapshot, `derived.<facet>.…` into the
    derived half. Of several paths the first that leads to a value counts; behind one of the derived
    half each `object.…` is that of another column, too. Where none does, the value is `absent`,
    since no store covers a filter for null. An instant is kept as integer milliseconds. The columns
    of a tombstone, and of a row without snapshot, are null: no list and no sum sees them.

    One of `many` values has each distinct one of a sequence in the snapshot; where its elements are
    no plain values, the path goes on behind `[]`: `object.items[].price`. It is filtered by one
    value that the row holds, and orders nothing.

    The path FIRST_KNOWN is the store's own: when it got the first snapshot of the row, in
    milliseconds by our clock. It is set once, and stays with the row whatever comes.
    """

    name: str
    path: str | tuple[str, ...]
    many: bool = False
    absent: Scalar | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Its paths, in the order in which they count."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def of_snapshot(self) -> bool:
        """Whether the snapshot alone tells it."""
        return all(path.startswith("object.") for path in self.paths)

    @property
    def of_derived(self) -> bool:
        """Whether the derived half tells it, at least in part."""
        return any(path.startswith("derived.") for path in self.paths)

    @property
    def source(self) -> str:
        """What its values follow from, in a word: where it changes they are made anew."""
        paths = " else ".join(self.paths)
        return paths if self.absent is None else f"{paths} else {self.absent!r}"


@dataclass(frozen=True, slots=True)
class Order:
    """A stable order: by `column`, then by id, both in the same direction. Never null when live."""

    column: str
    descending: bool = True


NEWEST_FIRST: Final = Order("created")

FIRST_KNOWN: Final = "first_known_at"
"""The path of the column that tells when a row's first snapshot was stored."""


@dataclass(frozen=True, slots=True)
class Search:
    """By which words of an object it is found, as `domain.search` says.

    Attributes of the object: `texts` are split into words, `phones` are reduced to their digits.
    None and empty have no words. What is found may be narrowed by the booleans `flags`.
    """

    texts: tuple[str, ...]
    phones: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What figures are made of: the columns that say when a row counts, and the others they read.

    A date is an instant, so its column holds milliseconds. A write that changes any of the columns
    raises the marks of the UTC days that the row counted on before, and counts on after.
    """

    dates: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.dates, *self.columns)))


@dataclass(frozen=True, slots=True)
class Noun(Generic[T]):
    """The declaration of a mirrored noun.

    `name` is Stripe's own (`object` in its payloads). `indexes` are tuples of column names: each
    makes an index that starts with the Stripe account and ends with the id, in both stores; a list
    may use only filters and orders that one of them serves, as `Mirror.list` says. Where a tuple
    names `id`, that is its place: what stands behind it is tested, and orders nothing. A column of
    many values leads its index, beside others of the snapshot. `rank` grows as an object goes a way
    that has no return: of two observations at the same time the further one is the later. `search`
    is there where the noun is searched; it needs the column `created`. `last` names the attributes
    of an object that its row keeps when it is deleted, in the facet LAST. `reading` grows where
    more of an object is read than before: a backfill then reads the noun again. `kept` names the
    columns of which the store keeps every change (`Change`), together with the row; such a noun
    also has a column of the path FIRST_KNOWN. `counted` is there where figures of the noun are
    remembered.
    """

    name: str
    type: type[T]
    collection: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...]
    orders: tuple[Order, ...] = (NEWEST_FIRST,)
    rank: Rank[T] | None = None
    search: Search | None = None
    last: tuple[str, ...] = ()
    reading: int = 0
    kept: tuple[str, ...] = ()
    counted: Counted | None = None
    many: tuple[str, ...] = field(init=False, compare=False)
    """The names of the columns of many values: nearly no noun has one, and every row asks."""

    first_known: str | None = field(init=False, compare=False)
    """The name of the column that tells when a row was first known; None where there is none."""

    def __post_init__(self) -> None:
        many = tuple(column.name for column in self.columns if column.many)
        object.__setattr__(self, "many", many)
        own = [column.name for column in self.columns if column.path == FIRST_KNOWN]
        object.__setattr__(self, "first_known", own[0] if own else None)
        known = {"id", *(column.name for column in self.columns)}
        named = {name for index in self.indexes for name in index}
        named |= {order.column for order in self.orders}
        if self.search is not None:
            named.add(NEWEST_FIRST.column)
        if self.counted is not None:
            named |= {*self.counted.names}
        if not named <= known:
            raise ValueError(f"{self.name}: no such column: {sorted(named - known)}")
        self._check_many()
        self._check_kept()
        for column in self.columns:
            if column.of_derived:
                self.beside(column)

    def beside(self, column: Column) -> tuple[str, ...]:
        """Whence a column of the derived half has its value: `derived.…`, or a column's name.

        ValueError where it leads into the snapshot and no other column does so.
        """
        plain = {other.path: other.name for other in self.columns if not other.many}
        behind = [path for path in column.paths if path.startswith("object.")]
        if not {*behind} <= plain.keys():
            raise ValueError(f"{self.name}: {column.name}: no column beside it is {behind}")
        return tuple(plain[path] if path in behind else path for path in column.paths)

    def _check_many(self) -> None:
        many = {*self.many}
        derived = {column.name for column in self.columns if not column.of_snapshot}
        if any(len(column.paths) > 1 for column in self.columns if column.many):
            raise ValueError(f"{self.name}: a column of many values has one path")
        beside = {name for index in self.indexes if many & {*index} for name in index}
        if beside & derived:
            raise ValueError(f"{self.name}: not of the snapshot: {sorted(beside & derived)}")
        if many & {name for index in self.indexes for name in index[1:]}:
            raise ValueError(f"{self.name}: a column of many values leads its index")
        if self.counted is not None and many & {*self.counted.names}:
            raise ValueError(f"{self.name}: a column of many values is not counted")

    def _check_kept(self) -> None:
        plain = {c.name for c in self.columns if c.of_snapshot and not c.many}
        if not {*self.kept} <= plain:
            raise ValueError(f"{self.name}: cannot be kept: {sorted({*self.kept} - plain)}")
        if self.kept and (self.first_known is None or NEWEST_FIRST.column not in self.kept):
            raise ValueError(f"{self.name}: what is kept needs {FIRST_KNOWN} and its date")


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; all conditions hold at once. Names are those of columns.

    `ranges` maps a column to `(low, high)`: low inclusive, high exclusive, None for no bound.
    Instants are integer milliseconds. Empty `one_of` values match nothing.
    """

    equals: Mapping[str, Scalar] = field(default_factory=dict)
    one_of: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowPage(Generic[T]):
    """One page of live rows, and its cursors.

    `next` is the position after which the next page starts (None: this is the last one), `previous`
    the one before which the page before it ends (None: it is the first).
    """

    rows: Sequence[Row[T]]
    next: Position | None
    previous: Position | None = None


class Live(NamedTuple, Generic[T]):
    """What a live row shows: its object, and the names of those of its fields that are unknown."""

    object: T
    unknown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Group:
    """The live rows that agree in some columns: their values, how many, and sums over them.

    `values` and `sums` are in the order asked for; null counts as zero in a sum. A boolean may come
    as 1 or 0.
    """

    values: tuple[Scalar | None, ...]
    count: int
    sums: tuple[int, ...] = ()


class Holders(NamedTuple):
    """How many live rows hold a value of a group, by the value of another column.

    `counts` are in the order asked for. `more`: there are more; of a value of the group only so
    many were counted.
    """

    group: str
    counts: tuple[int, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """How the kept columns of a row changed with its snapshot of a revision; it stands for ever.

    `known_at` is when it was stored, in milliseconds by our clock; `first_known_at` when the row's
    first snapshot was. `before` is None where the row counted nowhere (first known, or deleted
    until then), `after` where it does no more. A row's first snapshot makes a Change only where it
    restates. `restates`: the row was, or is, of a time that was closed.
    """

    stripe_account: str
    id: str
    revision: int
    first_known_at: int
    known_at: int
    before: Mapping[str, Scalar | None] | None
    after: Mapping[str, Scalar | None] | None
    restates: bool

    @property
    def place(self) -> "ChangePlace":
        """Where it stands in the order of changes."""
        return self.known_at, self.id, self.revision


ChangePlace = tuple[int, str, int]
"""When a change was known, of which row, at which revision: no two of an account are alike."""

MAX_CHANGES: Final = 1_000
"""How many changes a call reads at most."""


class Changes(Protocol):
    """Reads the changes that the mirror has kept of the nouns with `kept` columns.

    All methods raise Unavailable (STORE_UNAVAILABLE) when the store does not answer, and ValueError
    for a limit out of 1 to MAX_CHANGES.
    """

    async def list(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace | None, limit: int
    ) -> Sequence[Change]:
        """The restatements, the last known first, from after a place."""
        ...

    async def since(
        self, noun: Noun[T], stripe_account: str, *, after: ChangePlace, limit: int
    ) -> Sequence[Change]:
        """All changes, the first known first, from after a place: `(ms, "", 0)` is an instant."""
        ...


class Closings(Protocol):
    """Tells the mirror's writer what is closed. `upkeep` answers."""

    async def closing(self, stripe_account: str) -> int | None:
        """Below which `created` (milliseconds) changes of the account are restatements.

        None: nothing is closed. At least what anybody is told as closed, within the minute after.
        """
        ...


class Mirror(Protocol):
    """The local copy of Stripe's objects, keyed by (Stripe account, id).

    The boundary is cut where two databases differ: rows in, rows out, no rule about which
    observation stands. That rule is `domain.mirror.resolve`; the store promises only that nobody
    overwrites a row that he has not seen.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. What a
    method returned after writing is durable: it survives the loss of the process and of power.

    Whatever changes counted columns of a row raises the marks of the days concerned before anybody
    can see the row, as `application.analytics.remembered_port` asks.
    """

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        """The rows of the ids, tombstones and rows of facets alone included; absent ids left out.

        At most 1,000 ids a call.
        """
        ...

    async def replace(
        self,
        noun: Noun[T],
        snapshots: Sequence[tuple[Snapshot[T], int]],
        *,
        closed: Mapping[str, int] | None = None,
    ) -> Sequence[tuple[str, str]]:
        """Store each snapshot whose row still has the revision that comes with it (0: no snapshot).

        Returns the keys (Stripe account, id) of those that were not stored, because somebody else
        stored one meanwhile: fetch again and decide again. Each row is replaced atomically and
        independently of the others; the derived half is untouched. One snapshot a key and at most
        1,000 a call; rows of several Stripe accounts may be mixed.

        Of a noun with `kept` columns the row and its Change are one write: there is never one
        without the other. `closed` says, by Stripe account, below which `created` (milliseconds)
        a change is a restatement; an account that is not there restates nothing.
        """
        ...

    async def derive(self, noun: Noun[T], facets: Sequence[Facet]) -> None:
        """Set facets of derived halves, each only where its stored version is not a later one.

        Later is the greater (high, low). A row that does not exist yet is made, without snapshot.
        Idempotent. At most 1,000 a call, of one or several Stripe accounts.
        """
        ...

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
        """Live rows that match, in `order`, from after a position, at most `limit` (1 to 1,000).

        With `before` instead, those that come last before that position, in the same order. A row
        that was there all the while is listed exactly once over the pages, whatever was written
        between them, and a page that did not end short is the same whichever way it is reached.

        Served by an index of the declaration: filters narrow the columns before that of the order,
        which a range may narrow too; whatever else is filtered is tested on the columns behind it,
        and a page that has looked at 10,000 entries of the index ends there, short or empty, with
        its cursor. ValueError where no index serves the list.
        """
        ...

    async def having(
        self,
        noun: Noun[T],
        stripe_account: str,
        column: str,
        values: Sequence[Scalar],
        *,
        limit: int,
    ) -> Sequence[Live[T]]:
        """What live rows show that have one of some values in a column, in no order.

        At most `limit` of them, 1 to 1,000, of at most 100 values; a declared index begins with the
        column. ValueError where none does, and for a column of many values.
        """
        ...

    async def group(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        by: Sequence[str],
        sums: Sequence[str] = (),
    ) -> Sequence[Group]:
        """The live rows that match, grouped by columns; in no order, at most 1,000 groups.

        Answered from one index that has all these columns, without a row: `where.equals` narrows
        its first ones, and a range the next. ValueError where there is none. Where nothing is
        narrowed, rows with null in the index's first column count nowhere.
        """
        ...

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
        """How many live rows hold at least one value of each group in a column of many values.

        They are told apart by the column `by`, of which only the values `among` count, each named
        once; (column, by) begin a declared index. A row counts once a group. Of each value, and
        each of `among`, at most `most` rows (1 to 100,000) are counted. At most 1,000 values in
        all. Each group that has any is told, once. ValueError where no index serves it.
        """
        ...

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
        """Live rows whose objects have a word beginning with each word of a reading, newest first.

        `readings` are those of `domain.search.readings_of`, 1 to MAX_READINGS, each of 1 to
        MAX_QUERY_WORDS words; whichever fits counts. `flags` narrow to the objects that have these
        values; they stand in the index as the words do. Paging as `list` promises. Served by an
        index; ValueError where the noun declares no search, or not such a flag.
        """
        ...

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        """How many live rows there are."""
        ...
