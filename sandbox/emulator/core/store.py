"""Where objects are kept: a shelf a noun and scope, in Stripe's order, indexed by its filters."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from sandbox.emulator.core.values import JsonObject, Scope

Key: TypeAlias = tuple[int, int, str]
"""(created, sequence, id): newest first is this order backwards, stable within a second."""

_END: Final = 1 << 62


class Shelf:
    """The objects of one noun in one scope.

    `indexed` fields answer equality filters without a scan. Objects of a moved clock keep
    Stripe's order: by `created`, then by the order in which they were made.
    """

    def __init__(self, indexed: Sequence[str] = ()) -> None:
        self._indexed = tuple(indexed)
        self._objects: dict[str, JsonObject] = {}
        self._keys: dict[str, Key] = {}
        self._order: list[Key] = []
        self._by: dict[tuple[str, str], list[Key]] = defaultdict(list)
        self._tombstones: dict[str, JsonObject] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[JsonObject]:
        return iter(self._objects.values())

    def add(self, item: JsonObject, sequence: int) -> None:
        """Put a new object on the shelf."""
        key = (item["created"], sequence, item["id"])
        self._objects[item["id"]] = item
        self._tombstones.pop(item["id"], None)
        self._keys[item["id"]] = key
        insort(self._order, key)
        for field in self._indexed:
            if isinstance(value := item.get(field), str):
                insort(self._by[field, value], key)

    def get(self, identifier: str) -> JsonObject | None:
        """The object, or None when there is none or it was deleted."""
        return self._objects.get(identifier)

    def tombstone(self, identifier: str) -> JsonObject | None:
        """What is left of a deleted object."""
        return self._tombstones.get(identifier)

    def change(self, item: JsonObject, patch: JsonObject) -> None:
        """Set top-level fields, keeping the indexes right."""
        key = self._keys[item["id"]]
        for field in self._indexed:
            if field in patch and patch[field] != item.get(field):
                self._unindex(field, item.get(field), key)
                if isinstance(value := patch[field], str):
                    insort(self._by[field, value], key)
        item.update(patch)

    def remove(self, identifier: str, tombstone: JsonObject | None) -> None:
        """Take an object off; `tombstone` is what a retrieval finds from now on."""
        item = self._objects.pop(identifier)
        key = self._keys.pop(identifier)
        del self._order[bisect_left(self._order, key)]
        for field in self._indexed:
            self._unindex(field, item.get(field), key)
        if tombstone is not None:
            self._tombstones[identifier] = tombstone

    def drop_oldest(self) -> None:
        """Forget the oldest object: how a shelf with a bound keeps it."""
        self.remove(self._order[0][2], None)

    def key(self, identifier: str) -> Key:
        """Where an object stands in the order; KeyError when it is not on the shelf."""
        return self._keys[identifier]

    def walk(
        self,
        equal: tuple[str, str] | None,
        span: tuple[int | None, int | None],
        after: Key | None,
        before: Key | None,
    ) -> Iterable[JsonObject]:
        """Objects in `span` [first, end), newest first after `after`; or oldest first before
        `before`. `equal` is an indexed field and its value."""
        order = self._order if equal is None else self._by.get(equal, [])
        first, end = span
        low = bisect_left(order, (-_END if first is None else first, -1, ""))
        high = bisect_left(order, (_END if end is None else end, -1, ""))
        if after is not None:
            high = min(high, bisect_left(order, after))
        if before is not None:
            low = max(low, bisect_right(order, before))
            return (self._objects[order[place][2]] for place in range(low, high))
        return (self._objects[order[place][2]] for place in range(high - 1, low - 1, -1))

    def _unindex(self, field: str, value: object, key: Key) -> None:
        if isinstance(value, str):
            keys = self._by[field, value]
            del keys[bisect_left(keys, key)]
            if not keys:
                del self._by[field, value]


class Store:
    """All shelves. One counter gives every object its place among those of the same second."""

    def __init__(self, indexed: dict[str, tuple[str, ...]]) -> None:
        """`indexed` maps a noun to the fields that its lists filter by."""
        self._indexed = indexed
        self._shelves: dict[tuple[Scope, str], Shelf] = {}
        self._sequence = 0

    def shelf(self, scope: Scope, noun: str) -> Shelf:
        """The shelf of a noun in a scope; a new one is empty."""
        found = self._shelves.get((scope, noun))
        if found is None:
            found = self._shelves[scope, noun] = Shelf(self._indexed.get(noun, ()))
        return found

    def next_sequence(self) -> int:
        """A number above all that were given before."""
        self._sequence += 1
        return self._sequence

    def shelves(self) -> Iterable[tuple[Scope, str, Shelf]]:
        """Every shelf that was ever used."""
        return [(scope, noun, shelf) for (scope, noun), shelf in self._shelves.items()]
