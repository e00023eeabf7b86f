"""Lists of connections: an operator's of all accounts, anybody else's of his own."""

from collections.abc import Sequence

from application.connections.ports import ConnectionRepository
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.connections import Connection, ConnectionState, Mode


class ConnectionLists:
    """Lists active connections in order of Stripe account."""

    def __init__(
        self, repository: ConnectionRepository, page_tokens: PageTokens, mode: Mode
    ) -> None:
        self._repository = repository
        self._page_tokens = page_tokens
        self._mode = mode

    async def list(self, caller: Caller, page_size: int, page_token: str) -> Page[Connection]:
        """A page; `page_size` 0 stands for the default. Raises InvalidArgument."""
        refuse(page_size_violations(page_size))
        scope = digest("connections", caller.account, self._mode)
        place = self._page_tokens.read(page_token, scope)
        size = page_size or DEFAULT_PAGE_SIZE
        found = await self._after("" if place is None else place.id, size + 1, caller)
        page = found[:size]
        last = Position(0, page[-1].stripe_account) if len(found) > size else None
        return Page(page, self._page_tokens.write(scope, last))

    async def _after(self, after: str, limit: int, caller: Caller) -> Sequence[Connection]:
        if caller.is_operator:
            return await self._repository.list_active(self._mode, after=after, limit=limit)
        own = await self._repository.get(caller.account, self._mode)
        return [own] if own is not None and own.state is ConnectionState.ACTIVE else []
