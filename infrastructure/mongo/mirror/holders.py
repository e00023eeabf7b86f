"""Counting the rows that hold values of a column of many values.

The index on an array covers no query: the documents are read.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from application.mirror.ports import Holders
from application.requests.paging import Scalar
from infrastructure.mongo.core.collection import Collection, Document


class HolderCount:
    """How many rows of an account hold the values of some groups."""

    def __init__(
        self,
        rows: Collection,
        hint: str,
        stripe_account: str,
        column: str,
        by: str,
        most: int,
    ) -> None:
        """`hint` is the name of the index that begins with the column and `by`."""
        self._rows = rows
        self._hint = hint
        self._account = stripe_account
        self._column = column
        self._by = by
        self._most = most

    async def counted(
        self, groups: Mapping[str, Sequence[Scalar]], among: Sequence[Scalar]
    ) -> Sequence[Holders] | None:
        """The counts; None where one value may have too many rows, which are then not read."""
        names = list(groups)
        held = {"$setIntersection": [f"${self._column}", "$$group.values"]}
        wanted = [
            {"place": place, "values": list(groups[name])} for place, name in enumerate(names)
        ]
        of_groups = {"$filter": {"input": wanted, "as": "group", "cond": {"$ne": [held, []]}}}
        found = await self._rows.aggregate(
            [
                {
                    "$match": self._match(
                        {"$in": [v for own in groups.values() for v in own]}, among
                    )
                },
                {"$limit": self._most + 1},
                {"$project": {"_id": 0, "told": f"${self._by}", "groups": of_groups}},
                {
                    "$facet": {
                        "all": [{"$count": "rows"}],
                        "groups": [
                            {"$unwind": "$groups"},
                            {
                                "$group": {
                                    "_id": {"group": "$groups.place", "told": "$told"},
                                    "count": {"$sum": 1},
                                }
                            },
                        ],
                    }
                },
            ],
            hint=self._hint,
        )
        (told,) = found
        if sum(one["rows"] for one in told["all"]) > self._most:
            return None
        counts: dict[str, dict[Scalar, int]] = defaultdict(dict)
        for one in told["groups"]:
            counts[names[one["_id"]["group"]]][one["_id"]["told"]] = one["count"]
        return [
            Holders(group, tuple(own.get(told, 0) for told in among))
            for group, own in counts.items()
        ]

    async def counted_apart(
        self, groups: Mapping[str, Sequence[Scalar]], among: Sequence[Scalar]
    ) -> Sequence[Holders]:
        """The same, each value by itself, of which at most so many rows are counted."""
        holders = []
        for group, values in groups.items():
            counts: list[int] = []
            more = False
            for told in among:
                ids: set[str] = set()
                for value in dict.fromkeys(values):
                    found = await self._rows.find(
                        self._match(value, [told]),
                        fields={"id": 1},
                        limit=self._most + 1,
                        hint=self._hint,
                    )
                    more |= len(found) > self._most
                    ids.update(one["id"] for one in found[: self._most])
                counts.append(len(ids))
            if any(counts):
                holders.append(Holders(group, tuple(counts), more))
        return holders

    def _match(self, held: Any, among: Sequence[Scalar]) -> Document:
        return {
            "stripe_account": self._account,
            self._column: held,
            self._by: {"$in": list(among)},
        }
