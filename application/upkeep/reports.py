"""Reports of comparing the mirror with Stripe, for those who may read them."""

from collections.abc import Sequence

from application.connections.access import MirrorAccess
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.upkeep.ports import Report, Reports
from domain.errors import InvalidArgument, NotFound
from domain.periods import to_milliseconds


class MirrorReports:
    """Lists and gets the reports of a caller's mirror.

    Both methods raise FailedPrecondition (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED).
    """

    def __init__(self, reports: Reports, access: MirrorAccess, page_tokens: PageTokens) -> None:
        self._reports = reports
        self._access = access
        self._page_tokens = page_tokens

    async def list(self, caller: Caller, page_size: int, page_token: str) -> Page[Report]:
        """A page of reports, the last started first.

        Raises InvalidArgument for a page size out of range and for a token of another list.
        """
        if violations := page_size_violations(page_size):
            raise InvalidArgument(violations)
        stripe_account = await self._access.stripe_account(caller)
        scope = digest("reports", stripe_account)
        position = self._page_tokens.read(page_token, scope)
        after = (int(position.value), position.id) if position else None
        size = page_size or DEFAULT_PAGE_SIZE
        found = await self._reports.newest(stripe_account, after=after, limit=size)
        following = await self._following(stripe_account, found) if len(found) == size else None
        return Page(found, self._page_tokens.write(scope, following))

    async def get(self, caller: Caller, report_id: str) -> Report:
        """A report with its findings. Raises NotFound."""
        stripe_account = await self._access.stripe_account(caller)
        report = await self._reports.get(stripe_account, report_id)
        if report is None:
            raise NotFound("report", report_id)
        return report

    async def _following(self, stripe_account: str, page: Sequence[Report]) -> Position | None:
        """Where the next page begins, if there is one."""
        last = to_milliseconds(page[-1].started_at), page[-1].id
        more = await self._reports.newest(stripe_account, after=last, limit=1)
        return Position(*last) if more else None
