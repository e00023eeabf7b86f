"""The journal in MongoDB: one document an entry, and a writer a wallet and process.

Documents of the old module are in the same collection. They lack `sequence`, so no index here holds
them and no query reads them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from secrets import SystemRandom
from typing import Any, Final

import msgspec
from typing_extensions import override

from application.wallet.ports import MAX_ENTRIES, Journal
from domain.errors import Reason, Unavailable
from domain.ledger import decide
from domain.ledger_commands import Command, followed_by, keys_of, looks_back
from domain.ledger_entries import Entry
from domain.ledger_outcomes import Appended, Outcome, References, Refused
from domain.wallets import Wallet
from infrastructure.documents import to_builtins
from infrastructure.gathering import Gathering
from infrastructure.mongo.core.collection import (
    ASCENDING,
    DESCENDING,
    Collection,
    Document,
    Indexes,
    Session,
    index,
)
from infrastructure.mongo.core.database import Database

_ENTRIES: Final = "onebalance-usage_logs"
_BY_SEQUENCE: Final = "wallet_sequence"
_BY_KEY: Final = "wallet_key"
_BY_REFERENCE: Final = "wallet_reference_sequence"

_OURS: Final[Document] = {"sequence": {"$exists": True}}
_NUMBERED: Final[Document] = {"$gt": 0}
"""What our documents' sequences are: a condition that the partial indexes serve."""

INDEXES: Final[Indexes] = {
    _ENTRIES: [
        index("wallet", "sequence", name=_BY_SEQUENCE, unique=True, partialFilterExpression=_OURS),
        index("wallet", "key", name=_BY_KEY, unique=True, partialFilterExpression=_OURS),
        index(
            "wallet",
            "reference",
            "sequence",
            name=_BY_REFERENCE,
            partialFilterExpression={"reference": {"$gt": ""}, **_OURS},
        ),
    ],
}

_MAX_HEADS: Final = 4_096
"""Of how many wallets a process remembers the head."""

_MAX_WRITERS: Final = 24
"""How many wallets are written at once: connections are left for everybody else."""

_MOST_PATIENCE_SECONDS: Final = 10.0
"""How long a batch is decided anew while others take the next sequence."""

_MAX_LOST: Final = 3
"""How often in a row the answer to an insert may be lost."""

_PAUSE_SECONDS: Final = 0.004
_MAX_PAUSES: Final = 250
"""How often in a row an entry that was seen to be there is waited for, about a second in all."""

_random = SystemRandom()


class MongoJournal(Journal):
    """`application.wallet.ports.Journal` on MongoDB.

    `_id` is wallet/sequence. Unique (wallet, sequence) makes processes take turns, unique (wallet,
    key) makes each command happen once; all indexes begin with the wallet, so the collection may be
    sharded by it (`{wallet: 1}`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering = Gathering(self._append, _MAX_WRITERS)
        self._heads: OrderedDict[str, Entry] = OrderedDict()

    @override
    async def append(self, wallet: Wallet, commands: Sequence[Command]) -> Sequence[Outcome]:
        return await self._gathering.append(wallet, commands)

    async def _append(self, wallet: Wallet, batch: Sequence[Command]) -> Sequence[Outcome]:
        """Decide, insert in order up to the first duplicate, and decide the rest anew.

        An outcome stands once all entries that were decided ahead of it are there.
        """
        clock = asyncio.get_running_loop().time
        until, lost, pauses = clock() + _MOST_PATIENCE_SECONDS, 0, 0
        outcomes: list[Outcome] = []
        head, references = self._heads.get(wallet.name), References()
        fresh = head is None or any(map(looks_back, batch))
        taken = 0  # the greatest sequence that somebody else was seen to have
        while (rest := batch[len(outcomes) :]) and clock() < until:
            if fresh:
                head, references = await self._read(wallet.name, rest)
                if (head.sequence if head else 0) < taken and pauses < _MAX_PAUSES:
                    # Its entry is not with a majority yet. It may never be: then it is our turn.
                    pauses += 1
                    await asyncio.sleep(_PAUSE_SECONDS * _random.uniform(0.25, 1))
                    continue
            decided = decide(wallet, head, references, rest)
            if not fresh and any(isinstance(outcome, Refused) for outcome in decided):
                fresh = True
                continue
            entries = [outcome.entry for outcome in decided if isinstance(outcome, Appended)]
            try:
                inserted, refused_by = await self._insert(entries)
            except Unavailable:
                self._heads.pop(wallet.name, None)
                fresh, lost = True, lost + 1
                if lost == _MAX_LOST:
                    raise
                continue
            outcomes += _settled(decided, inserted)
            if inserted:
                lost, head = 0, entries[inserted - 1]
            if inserted == len(entries) and head is not None:
                self._remember(head)
            elif refused_by == "_id":
                fresh, taken, pauses = True, entries[inserted].sequence, 0
            else:  # its key stands: at or below the head, so every reader sees it
                fresh = True
        if rest:
            self._heads.pop(wallet.name, None)
            words = "others take every next place in the journal; try again"
            raise Unavailable(Reason.STORE_UNAVAILABLE, words)
        return outcomes

    async def _insert(self, entries: Sequence[Entry]) -> tuple[int, str | None]:
        """How many were inserted, and the first field of the index that refused the next one."""
        if not entries:
            return 0, None
        return await self._entries.insert_in_order([_document(entry) for entry in entries])

    async def _read(
        self, wallet: str, commands: Sequence[Command]
    ) -> tuple[Entry | None, References]:
        """The head, then what commands look at: never older than the head."""
        keys = list(dict.fromkeys(key for command in commands for key in keys_of(command)))
        followed = dict.fromkeys(filter(None, map(followed_by, commands)))
        async with self._database.session() as session:
            head = await self._head(wallet, session)
            entries = await self._by_keys(wallet, keys, session) if head is not None else {}
            last = {
                reference: follower
                for reference in followed
                if (follower := await self._follower(wallet, reference, _NUMBERED, session))
                is not None
            }
        return head, References(entries, last)

    def _remember(self, head: Entry) -> None:
        self._heads[head.wallet] = head
        self._heads.move_to_end(head.wallet)
        if len(self._heads) > _MAX_HEADS:
            self._heads.popitem(last=False)

    @override
    async def head(self, wallet: str) -> Entry | None:
        return await self._head(wallet)

    async def _head(self, wallet: str, session: Session | None = None) -> Entry | None:
        found = await self._entries.find(
            {"wallet": wallet, "sequence": _NUMBERED},
            sort=[("sequence", DESCENDING)],
            limit=1,
            hint=_BY_SEQUENCE,
            session=session,
        )
        return _entry(found[0]) if found else None

    @override
    async def by_keys(self, wallet: str, keys: Sequence[str]) -> Mapping[str, Entry]:
        _check_limit(len(keys))
        return await self._by_keys(wallet, keys)

    async def _by_keys(
        self, wallet: str, keys: Sequence[str], session: Session | None = None
    ) -> Mapping[str, Entry]:
        found = await self._entries.find(
            {"wallet": wallet, "key": {"$in": list(keys)}, "sequence": _NUMBERED},
            limit=len(keys),
            hint=_BY_KEY,
            session=session,
        )
        return {document["key"]: _entry(document) for document in found}

    @override
    async def last_follower(
        self, wallet: str, reference: str, *, before: int | None = None
    ) -> Entry | None:
        below: Document = _NUMBERED if before is None else {"$gt": 0, "$lt": before}
        return await self._follower(wallet, reference, below)

    async def _follower(
        self,
        wallet: str,
        reference: str,
        sequence: Mapping[str, int],
        session: Session | None = None,
    ) -> Entry | None:
        if not reference:
            return None
        found = await self._entries.find(
            {"wallet": wallet, "reference": reference, "sequence": sequence},
            sort=[("sequence", DESCENDING)],
            limit=1,
            hint=_BY_REFERENCE,
            session=session,
        )
        return _entry(found[0]) if found else None

    @override
    async def list(
        self, wallet: str, *, after: int | None = None, newest_first: bool = False, limit: int
    ) -> Sequence[Entry]:
        _check_limit(limit)
        sequence: Document = dict(_NUMBERED)
        if after is not None:
            sequence = {"$gt": 0, "$lt": after} if newest_first else {"$gt": after}
        found = await self._entries.find(
            {"wallet": wallet, "sequence": sequence},
            sort=[("sequence", DESCENDING if newest_first else ASCENDING)],
            limit=limit,
            hint=_BY_SEQUENCE,
        )
        return [_entry(document) for document in found]

    @property
    def _entries(self) -> Collection:
        return self._database.collection(_ENTRIES)


def _settled(decided: Sequence[Outcome], inserted: int) -> Sequence[Outcome]:
    """The outcomes ahead of the first entry that was not inserted."""
    for place, outcome in enumerate(decided):
        if isinstance(outcome, Appended):
            if not inserted:
                return decided[:place]
            inserted -= 1
    return decided


def _document(entry: Entry) -> Document:
    document: Document = to_builtins(entry)
    document["_id"] = f"{entry.wallet}/{entry.sequence}"
    return document


def _entry(document: Mapping[str, Any]) -> Entry:
    return msgspec.convert(document, Entry)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_ENTRIES:
        raise ValueError(f"limit: 1 to {MAX_ENTRIES}")
