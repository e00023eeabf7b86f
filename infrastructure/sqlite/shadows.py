"""Shadows in SQLite: a second file beside the live one."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from typing_extensions import override

from application.upkeep.shadows import Shadow, Shadows, check_shadow
from domain.errors import BillingError
from infrastructure.befores import ReadBefore
from infrastructure.sqlite.checkpoints import SqliteCheckpoints
from infrastructure.sqlite.core.database import Database
from infrastructure.sqlite.core.files import PARTS, cannot
from infrastructure.sqlite.mirror.mirror import SqliteMirror


class SqliteShadows(Shadows):
    """`Shadows` in files beside it: `billing.db` has `billing.rebuild-acct_1Abc-0f3a.db`."""

    def __init__(self, database: Database, read_before: ReadBefore) -> None:
        """`database` is the live one."""
        self._database = database
        self._read_before = read_before

    @override
    @asynccontextmanager
    async def open(self, stripe_account: str, name: str) -> AsyncIterator[Shadow]:
        database = self._database.beside(self._file(stripe_account, name))
        # Apart, since a thread opens the file whether somebody still waits for it or not.
        starting = asyncio.ensure_future(database.start())
        try:
            await asyncio.shield(starting)
            yield Shadow(SqliteMirror(database, self._read_before), SqliteCheckpoints(database))
        finally:
            with suppress(BillingError):
                await starting
            await database.close()

    @override
    async def discard(self, stripe_account: str, name: str) -> None:
        file = self._file(stripe_account, name)

        def remove() -> None:
            for part in PARTS:  # the file itself comes last: while it is there, so is the shadow
                file.with_name(f"{file.name}{part}").unlink(missing_ok=True)

        try:
            await asyncio.to_thread(remove)
        except OSError as error:
            raise cannot("be removed", error) from error

    @override
    async def names(self, stripe_account: str) -> Sequence[str]:
        begin, end = self._around(stripe_account)
        pattern = re.compile(rf"{re.escape(begin)}([0-9a-f]+){re.escape(end)}")

        def found() -> list[str]:
            files = self._database.path.parent.iterdir()
            matches = [pattern.fullmatch(file.name) for file in files]
            return sorted(match[1] for match in matches if match)

        try:
            return await asyncio.to_thread(found)
        except OSError as error:
            raise cannot("be listed", error) from error

    def _file(self, stripe_account: str, name: str) -> Path:
        check_shadow(stripe_account, name)
        begin, end = self._around(stripe_account)
        return self._database.path.with_name(f"{begin}{name}{end}")

    def _around(self, stripe_account: str) -> tuple[str, str]:
        """What stands before and after the name in that of a file."""
        check_shadow(stripe_account)
        live = self._database.path
        return f"{live.stem}.rebuild-{stripe_account}-", live.suffix
