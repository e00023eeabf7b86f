"""Lists of the service's: read page by page up to a limit, and shown with what they leave out."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import typer
from rich.table import Table

from interfaces.cli.output import plain, print_json, print_table, say

Q = TypeVar("Q", bound=Any)
P = TypeVar("P", bound=Any)

_PAGE: Final = 100
_MOST_PAGES: Final = 1_000


async def read_list(call: Callable[[Q], Awaitable[P]], request: Q, rows: str, limit: int) -> P:
    """Up to `limit` rows, as one reply; its `next_page_token` says whether there are more.

    `rows` is the reply's field that holds them. A page may have fewer than were asked for, or none,
    and still a next one; _MOST_PAGES are followed at most.
    """
    request.page_size = min(_PAGE, limit)
    listed = await call(request)
    for _ in range(_MOST_PAGES - 1):
        missing = limit - len(getattr(listed, rows))
        if missing <= 0 or not listed.next_page_token:
            break
        request.page_size = min(_PAGE, missing)
        request.page_token = listed.next_page_token
        page = await call(request)
        listed.MergeFrom(page)
        listed.next_page_token = page.next_page_token  # an empty one is not merged
    return listed


def print_list(
    page: Any, rows: str, table: Callable[[Any], Table], empty: str,
    more: str, *, as_json: bool,
) -> None:  # fmt: skip
    """A list as a table or as JSON, which says by `more` whether there are more.

    `empty` is said where there is nothing, `more` where there are more than were asked for.
    """
    if as_json:
        document = plain(page)
        document["more"] = bool(document.pop("next_page_token"))
        document.pop("previous_page_token", None)
        print_json(document)
        return
    if not getattr(page, rows):
        say(empty)
        return
    print_table(table(getattr(page, rows)))
    if page.next_page_token:
        typer.echo(more, err=True)
