"""Bringing a list of Stripe's into the mirror, page by page."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from application.background.retries import Retries
from application.mirror.importer import Importer
from application.mirror.lists import Page, Place
from application.mirror.oddity_log import log_oddities
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from application.upkeep.walk import walk
from domain.mirror import Snapshot

ReadPage: TypeAlias = Callable[[Place], Awaitable[Page[Snapshot[Any]]]]


async def bring_list(
    read: ReadPage,
    place: Place,
    *,
    noun: Noun[Any],
    stripe_account: str,
    importer: Importer,
    retries: Retries,
) -> int:
    """Bring all pages from a place on into the mirror; how many rows changed.

    Objects that are not understood are logged, and the others go on. Raises what `walk` and the
    importer raise: what was brought until then stays.
    """
    changed = 0
    async with aclosing(walk(read, place, retries)) as pages:
        async for page in pages:
            bring = partial(importer.bring, noun, page.items, Priority.CATCH_UP)
            brought = await retries(bring)
            log_oddities(stripe_account, (*page.oddities, *brought.oddities))
            changed += brought.changed
    return changed
