"""Lists of mirrored objects and of events: one page of Stripe's at a time ("Pagination")."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import msgspec
from typing_extensions import override

from application.ports.inbox import ReceivedEvent
from application.ports.listing import EventLister, ObjectLister, Page, Place
from application.ports.mirror import Noun
from application.ports.stripe import Priority
from domain.connections import Mode
from domain.errors import InvalidArgument, NotFound, Reason, Unavailable
from domain.mirror import MirroredObject, Snapshot
from domain.periods import from_milliseconds
from infrastructure.stripe.client import PLATFORM, Answer, Request, StripeApi
from infrastructure.stripe.envelopes import received
from infrastructure.stripe.errors import Subject
from infrastructure.stripe.nouns import TRANSLATIONS
from infrastructure.stripe.objects import read_object

T = TypeVar("T", bound=MirroredObject)

PAGE_SIZE: Final = 100
MAX_TYPES: Final = 20
"""How many types one list of events may name (API reference, "List all events")."""

_SECOND_MS: Final = 1_000


class _Events(msgspec.Struct, frozen=True, gc=False):
    """A page of events, each as the bytes that it came in."""

    data: list[msgspec.Raw]
    has_more: bool = False


_EVENTS: Final = msgspec.json.Decoder(_Events)


class StripeLister(ObjectLister, EventLister):
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
        translation = TRANSLATIONS[noun.name]
        if translation.is_account:  # there is the one, and nothing to list
            found = await read_object(
                self._api, translation, stripe_account, stripe_account, priority=priority
            )
            return Page([found], found.version, None)
        request = Request(
            "get",
            translation.path,
            Subject(noun.name),
            stripe_account,
            params=translation.list_all,
            priority=priority,
        )
        answer = await self._ask(request, place, since_ms)
        version = answer.version()

        def decode(body: str) -> tuple[Sequence[Snapshot[T] | str], Place | None]:
            shapes, more = translation.decode_page(body)
            shown = [
                # Only its id, where the page shows but the beginning of a nested list.
                shape.id
                if translation.cut_short(shape)
                else translation.snapshot(shape, stripe_account, version)
                for shape in shapes
            ]
            last = (shapes[-1].created, shapes[-1].id) if shapes else None
            return shown, _next(last, more=more)

        listed, following = self._api.understand(answer, request, decode)
        snapshots = [
            await read_object(self._api, translation, stripe_account, one, priority=priority)
            if isinstance(one, str)
            else one
            for one in listed
        ]
        return Page(snapshots, version, following)

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

        def decode(body: str) -> tuple[Sequence[ReceivedEvent], Place | None]:
            page = _EVENTS.decode(body)
            events = [self._received(raw, now, stripe_account) for raw in page.data]
            last = (events[-1].created // _SECOND_MS, events[-1].id) if events else None
            return events, _next(last, more=page.has_more)

        events, following = self._api.understand(answer, request, decode)
        return Page(events, answer.version(), following)

    def _received(self, raw: msgspec.Raw, now: dt.datetime, stripe_account: str) -> ReceivedEvent:
        try:
            return received(
                bytes(raw), now=now, livemode=self._livemode, stripe_account=stripe_account
            )
        except InvalidArgument as error:
            raise ValueError(error.message) from None

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


def _next(last: tuple[int, str] | None, *, more: bool) -> Place | None:
    """The place after an object (created in seconds, id); None where Stripe says: no more."""
    if not more:
        return None
    if last is None:
        raise Unavailable(Reason.STRIPE_UNAVAILABLE, "an empty page says that there is more")
    created, object_id = last
    return Place((created + 1) * _SECOND_MS, object_id)
