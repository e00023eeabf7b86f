"""Lists of mirrored objects and of events: one page of Stripe's at a time ("Pagination")."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from typing_extensions import override

from application.events.inbox import ReceivedEvent
from application.events.lists import EventLister
from application.mirror.lists import (
    ObjectLister,
    Page,
    PayoutTransactionLister,
    Place,
    SourceTransactionLister,
)
from application.mirror.ports import Noun
from application.mirror.stripe import Priority
from domain.balance_transactions import BalanceTransaction
from domain.connections import Mode
from domain.errors import BillingError, InvalidArgument, NotFound
from domain.mirror import MirroredObject, Snapshot
from domain.oddities import Oddity, oddity_of
from domain.periods import from_milliseconds
from infrastructure.stripe.balance_transactions import BALANCE_TRANSACTION
from infrastructure.stripe.core.client import PAGE_SIZE, PLATFORM, Answer, Request, StripeApi
from infrastructure.stripe.core.elements import read_elements
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.shapes import ShapeT, Translation
from infrastructure.stripe.readers.envelopes import received
from infrastructure.stripe.readers.objects import read_object
from infrastructure.stripe.translations import TRANSLATIONS

T = TypeVar("T", bound=MirroredObject)

MAX_TYPES: Final = 20
"""How many types one list of events may name (API reference, "List all events")."""

_SECOND_MS: Final = 1_000


class StripeLister(ObjectLister, PayoutTransactionLister, SourceTransactionLister, EventLister):
    """Asks for pages by `created`, and within a second by the last object seen."""

    def __init__(self, api: StripeApi, mode: Mode) -> None:
        """List through `api`; events of another mode than `mode` count as ignored."""
        self._api = api
        self._livemode = mode is Mode.LIVE

    @override
    async def page(
        self,
        noun: Noun[T],
        stripe_account: str,
        place: Place,
        *,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        translation: Translation[T, Any] = TRANSLATIONS[noun.name]
        if translation.is_account:  # there is the one, and nothing to list
            account = await read_object(
                self._api, translation, stripe_account, stripe_account, priority=priority
            )
            return Page([account], account.version, None)
        params = {**translation.list_all, **translation.expanding("data.")}
        return await self._page(translation, stripe_account, params, place, since_ms, priority)

    @override
    async def page_of_payout(
        self, stripe_account: str, payout: str, place: Place, *, priority: Priority
    ) -> Page[Snapshot[BalanceTransaction]]:
        params = {"payout": payout}
        return await self._page(BALANCE_TRANSACTION, stripe_account, params, place, None, priority)

    @override
    async def page_of_source(
        self, stripe_account: str, source: str, place: Place, *, priority: Priority
    ) -> Page[Snapshot[BalanceTransaction]]:
        params = {"source": source}
        return await self._page(BALANCE_TRANSACTION, stripe_account, params, place, None, priority)

    async def _page(
        self,
        translation: Translation[T, Any],
        stripe_account: str,
        params: Mapping[str, object],
        place: Place,
        since_ms: int | None,
        priority: Priority,
    ) -> Page[Snapshot[T]]:
        noun = translation.noun
        request = Request(
            "get",
            translation.path,
            Subject(noun.name),
            stripe_account,
            params=params,
            priority=priority,
        )
        answer = await self._ask(request, place, since_ms)
        version = answer.version()

        def read(element: bytes) -> Snapshot[T] | str:
            shape = translation.decode_listed(element)
            if translation.cut_short(shape):  # only its id: the page shows the list's beginning
                return str(shape.id)
            return translation.snapshot(shape, stripe_account, version)

        elements, following = self._api.understand(
            answer, request, partial(read_elements, read=read, place=place)
        )
        snapshots: list[Snapshot[T]] = []
        oddities: list[Oddity] = []
        for element in elements:
            listed = element.value or Oddity(noun.name, element.head.shown, element.why)
            if isinstance(listed, str):
                listed = await self._completed(translation, stripe_account, listed, priority)
            if isinstance(listed, Oddity):
                oddities.append(listed)
            else:
                snapshots.append(listed)
        return Page(snapshots, version, following, oddities)

    async def _completed(
        self,
        translation: Translation[T, ShapeT],
        stripe_account: str,
        object_id: str,
        priority: Priority,
    ) -> Snapshot[T] | Oddity:
        """An object that a page shows cut short, read by itself."""
        try:
            return await read_object(
                self._api, translation, stripe_account, object_id, priority=priority
            )
        except BillingError as error:
            return oddity_of(translation.noun.name, object_id, error)

    @override
    async def events(
        self,
        stripe_account: str,
        place: Place,
        *,
        since_ms: int,
        priority: Priority,
        types: Sequence[str] = (),
    ) -> Page[ReceivedEvent]:
        if len(types) > MAX_TYPES:
            raise ValueError(f"types: at most {MAX_TYPES}")
        request = Request(
            "get",
            "/v1/events",
            Subject("event"),
            stripe_account or PLATFORM,
            params={"types": list(types)} if types else {},
            priority=priority,
        )
        answer = await self._ask(request, place, since_ms)
        # When it was in our hands: not before the answer was.
        now = from_milliseconds(answer.sent_at_ms + answer.duration_ms)

        read = partial(received, now=now, livemode=self._livemode, stripe_account=stripe_account)
        elements, following = self._api.understand(
            answer, request, partial(read_elements, read=read, place=place)
        )
        events = [element.value for element in elements if element.value is not None]
        return Page(events, answer.version(), following)

    async def _ask(self, request: Request, place: Place, since_ms: int | None) -> Answer:
        """The answer to the request for a page.

        The object where the last page ended may be deleted meanwhile, and Stripe then refuses it as
        a cursor: the bound in time leads to the same page, but for the rest of that second.
        """
        created: dict[str, int] = {}
        if since_ms is not None:
            created["gte"] = -(-since_ms // _SECOND_MS)
        if place.before_ms is not None:
            created["lt"] = -(-place.before_ms // _SECOND_MS)
        params: dict[str, object] = {**request.params, "limit": PAGE_SIZE}
        if created:
            params["created"] = created
        bounded = replace(request, params=params)
        if not place.after:
            return await self._api.request(bounded)
        try:
            after = replace(request, params={**params, "starting_after": place.after})
            return await self._api.request(after)
        except (InvalidArgument, NotFound) as error:
            if not _refuses_cursor(error):
                raise
        return await self._api.request(bounded)


def _refuses_cursor(error: InvalidArgument | NotFound) -> bool:
    """Whether it is the object of `starting_after` that Stripe does not find."""
    if isinstance(error, NotFound):
        return True
    return any(violation.field == "starting_after" for violation in error.violations)
