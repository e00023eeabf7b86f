"""Reads of the mirror as callers ask for them: one object, or a page of a list."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from application.mirror.ports import NEWEST_FIRST, Filter, Mirror, Noun, Order, RowPage
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    M,
    Page,
    PageTokens,
    Scalar,
    digest,
)
from domain.errors import NotFound
from domain.mirror import MirroredObject, Row
from domain.periods import to_milliseconds

T = TypeVar("T", bound=MirroredObject)

_BACK: Final = "~"
"""What begins a token of a page before; no other token has it."""


class MirrorReader:
    """Answers from the mirror alone. Raises Unavailable (STORE_UNAVAILABLE)."""

    def __init__(self, mirror: Mirror, page_tokens: PageTokens) -> None:
        self._mirror = mirror
        self._page_tokens = page_tokens

    async def find(self, noun: Noun[T], stripe_account: str, object_id: str) -> T | None:
        """An object; None for one that is unknown or deleted."""
        row = (await self._mirror.fetch(noun, stripe_account, [object_id])).get(object_id)
        return None if row is None or row.snapshot is None else row.snapshot.object

    async def get(self, noun: Noun[T], stripe_account: str, object_id: str) -> T:
        """An object. NotFound for one that is unknown or deleted."""
        found = await self.find(noun, stripe_account, object_id)
        if found is None:
            raise NotFound(noun.name, object_id)
        return found

    async def list(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        page_size: int,
        page_token: str,
        order: Order = NEWEST_FIRST,
    ) -> Page[T]:
        """A page of live objects, as `list_rows` gives it."""
        return _objects(
            await self.list_rows(
                noun, stripe_account, where, page_size=page_size, page_token=page_token, order=order
            )
        )

    async def list_rows(
        self,
        noun: Noun[T],
        stripe_account: str,
        where: Filter,
        *,
        page_size: int,
        page_token: str,
        order: Order = NEWEST_FIRST,
    ) -> Page[Row[T]]:
        """A page of live rows. InvalidArgument (INVALID_PAGE_TOKEN) for a token of another list.

        `page_size` 0 stands for DEFAULT_PAGE_SIZE; it is checked already. The token may be that of
        the next page or of the one before. A page may end short, with the token of the next.
        """
        scope = scope_of(noun, stripe_account, where, order)
        back = page_token.startswith(_BACK)
        at = self._page_tokens.read(
            page_token.removeprefix(_BACK) or page_token, digest(scope, _BACK) if back else scope
        )
        page = await self._mirror.list(
            noun,
            stripe_account,
            where,
            order=order,
            after=None if back else at,
            before=at if back else None,
            limit=page_size or DEFAULT_PAGE_SIZE,
        )
        previous = self._page_tokens.write(digest(scope, _BACK), page.previous)
        return replace(
            self._page(page, scope), previous_page_token=f"{_BACK}{previous}" if previous else ""
        )

    async def search(
        self,
        noun: Noun[T],
        stripe_account: str,
        readings: Sequence[Sequence[str]],
        *,
        page_size: int,
        page_token: str,
        flags: Mapping[str, bool] | None = None,
    ) -> Page[T]:
        """A page of the live objects that have all words of a reading, as `list` gives it."""
        words, told = sorted(map(sorted, readings)), sorted((flags or {}).items())
        scope = digest("search", noun.name, stripe_account, words, *told)
        page = await self._mirror.search(
            noun,
            stripe_account,
            readings,
            after=self._page_tokens.read(page_token, scope),
            limit=page_size or DEFAULT_PAGE_SIZE,
            flags=flags,
        )
        return _objects(self._page(page, scope))

    def _page(self, page: RowPage[T], scope: str) -> Page[Row[T]]:
        return Page(page.rows, self._page_tokens.write(scope, page.next))


def _objects(page: Page[Row[T]]) -> Page[T]:
    objects = [row.snapshot.object for row in page.items if row.snapshot]
    found = [object_ for object_ in objects if object_ is not None]
    return Page(found, page.next_page_token, page.previous_page_token)


def equal_to(**values: Scalar) -> Mapping[str, Scalar]:
    """The conditions of a Filter for those values that are given: neither empty nor None."""
    return {name: value for name, value in values.items() if value not in ("", None)}


def within(
    column: str, after: dt.datetime | None, before: dt.datetime | None
) -> Mapping[str, tuple[int | None, int | None]]:
    """The range of a Filter from `after` up to, but not including, `before`."""
    low, high = (to_milliseconds(one) if one else None for one in (after, before))
    return {} if (low, high) == (None, None) else {column: (low, high)}


def scope_of(noun: Noun[M], stripe_account: str, where: Filter, order: Order) -> str:
    """A digest of all that a page token belongs to: list, tenant, filter and order."""
    return digest(noun.name, stripe_account, where, order)
