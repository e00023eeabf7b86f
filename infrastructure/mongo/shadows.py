"""Shadows in MongoDB: a second database of the same server."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from typing_extensions import override

from application.upkeep.shadows import Shadow, Shadows, check_shadow
from infrastructure.befores import ReadBefore
from infrastructure.mongo.checkpoints import MongoCheckpoints
from infrastructure.mongo.core.database import Database
from infrastructure.mongo.mirror.mirror import MongoMirror

# A database's name has 63 bytes at most (MongoDB Limits and Thresholds, "Length of Database
# Names"), and two must differ in more than case: so most of it is a digest.
_LIVE_CHARACTERS: Final = 20
_DIGEST_CHARACTERS: Final = 20


class MongoShadows(Shadows):
    """`application.upkeep.shadows.Shadows`: `billing` has `billing-rebuild-<digest>-0f3a`.

    Whoever connects must be allowed to create and to drop databases of such names.
    """

    def __init__(self, database: Database, read_before: ReadBefore) -> None:
        """`database` is the live one."""
        self._database = database
        self._read_before = read_before

    @override
    @asynccontextmanager
    async def open(self, stripe_account: str, name: str) -> AsyncIterator[Shadow]:
        database = self._database.beside(self._full_name(stripe_account, name))
        await database.start()
        try:
            yield Shadow(MongoMirror(database, self._read_before), MongoCheckpoints(database))
        finally:
            await database.close()

    @override
    async def discard(self, stripe_account: str, name: str) -> None:
        await self._database.drop(self._full_name(stripe_account, name))

    @override
    async def names(self, stripe_account: str) -> Sequence[str]:
        prefix = self._prefix(stripe_account)
        return [found.removeprefix(prefix) for found in await self._database.names(prefix)]

    def _full_name(self, stripe_account: str, name: str) -> str:
        check_shadow(stripe_account, name)
        return f"{self._prefix(stripe_account)}{name}"

    def _prefix(self, stripe_account: str) -> str:
        """How the names of an account's shadows begin, and no others."""
        check_shadow(stripe_account)
        live = self._database.name
        digest = hashlib.sha256(f"{live}\0{stripe_account}".encode()).hexdigest()
        return f"{live[:_LIVE_CHARACTERS]}-rebuild-{digest[:_DIGEST_CHARACTERS]}-"
