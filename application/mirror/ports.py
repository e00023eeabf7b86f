"""The mirror of Stripe's objects, and what a declaration of a noun in it is made of.

All mirrored objects are one kind of thing, so there is one port, and one implementation a store,
driven by the declarations in `application.mirror.nouns`. Adding a noun adds one there, and no store
code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from application.requests.paging import Position, Scalar
from domain.mirror import Facet, MirroredObject, Rank, Row, Snapshot

T = TypeVar("T", bound=MirroredObject)


@dataclass(frozen=True, slots=True)
class Column:
    """A value of a row that is filtered, ordered or summed by the store.

    `path` leads to it from the row: `object.…` into the snapshot, `derived.<facet>.…` into the
    derived half. An instant is kept as integer milliseconds. The columns of a tombstone, and of a
    row without snapshot, are null: no list and no sum sees them.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Order:
    """A stable order: by `column`, then by id, both in the same direction. Never null when live."""

    column: str
    descending: bool = True


NEWEST_FIRST: Final = Order("created")


@dataclass(frozen=True, slots=True)
class Search:
    """By which words of an object it is found, as `domain.search` says.

    Attributes of the object: `texts` are split into words, `phones` are reduced to their digits.
    None and empty have no words.
    """

    texts: tuple[str, ...]
    phones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Noun(Generic[T]):
    """The declaration of a mirrored noun.

    `name` is Stripe's own (`object` in its payloads). `indexes` are tuples of column names: each
    makes an index that starts with the Stripe account and ends with the id, in both stores; a list
    may use only filters and orders that one of them serves. `rank` grows as an object goes a way
    that has no return: of two observations at the same time the further one is the later. `search`
    is there where the noun is searched; it needs the column `created`.
    """

    name: str
    type: type[T]
    collection: str
    columns: tuple[Column, ...]
    indexes: tuple[tuple[str, ...], ...]
    orders: tuple[Order, ...] = (NEWEST_FIRST,)
    rank: Rank[T] | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        known = {column.name for column in self.columns}
        named = {name for index in self.indexes for name in index}
        named |= {order.column for order in self.orders}
        if self.search is not None:
            named.add(NEWEST_FIRST.column)
        if not named <= known:
            raise ValueError(f"{self.name}: no such column: {sorted(named - known)}")


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
    """One page of live rows, and the position after which the next starts (None: the last)."""

    rows: Sequence[Row[T]]
    next: Position | None


class Mirror(Protocol):
    """The local copy of Stripe's objects, keyed by (Stripe account, id).

    The boundary is cut where two databases differ: rows in, rows out, no rule about which
    observation stands. That rule is `domain.mirror.resolve`; the store promises only that nobody
    overwrites a row that he has not seen.

    Every method raises Unavailable (STORE_UNAVAILABLE) when the store does not answer. What a
    method returned after writing is durable: it survives the loss of the process and of power.
    """

    async def fetch(
        self, noun: Noun[T], stripe_account: str, ids: Sequence[str]
    ) -> Mapping[str, Row[T]]:
        """The rows of the ids, tombstones and rows of facets alone included; absent ids left out.

        At most 1,000 ids a call.
        """
        ...

    async def replace(
        self, noun: Noun[T], snapshots: Sequence[tuple[Snapshot[T], int]]
    ) -> Sequence[tuple[str, str]]:
        """Store each snapshot whose row still has the revision that comes with it (0: no snapshot).

        Returns the keys (Stripe account, id) of those that were not stored, because somebody else
        stored one meanwhile: fetch again and decide again. Each row is replaced atomically and
        independently of the others; the derived half is untouched. One snapshot a key and at most
        1,000 a call; rows of several Stripe accounts may be mixed.
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
        limit: int,
    ) -> RowPage[T]:
        """Live rows that match, in `order`, from after a position, at most `limit` (1 to 1,000).

        A row that was there all the while is listed exactly once over the pages, whatever was
        written between them. Served by an index of the declaration.
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
    ) -> RowPage[T]:
        """Live rows whose objects have a word beginning with each word of a reading, newest first.

        `readings` are those of `domain.search.readings_of`, 1 to MAX_READINGS, each of 1 to
        MAX_QUERY_WORDS words; whichever fits counts. Paging as `list` promises. Served by an index;
        ValueError where the noun declares no search.
        """
        ...

    async def count(self, noun: Noun[T], stripe_account: str) -> int:
        """How many live rows there are."""
        ...
