"""The processes that a connection is needed for."""

from collections.abc import Sequence

from typing_extensions import override

from application.connections.open_work import OpenItem, OpenWork
from application.processes.ports import ProcessLog
from domain.connections import Connection


class OpenProcesses(OpenWork):
    """Finds processes that do not rest and act, or watch, at a Stripe account, whoever's."""

    def __init__(self, log: ProcessLog) -> None:
        self._log = log

    @override
    async def needing(self, connection: Connection, *, limit: int) -> Sequence[OpenItem]:
        records = await self._log.find_open(connection.stripe_account, limit=limit)
        return [OpenItem(one.key.kind, one.id, one.progress.state) for one in records]
