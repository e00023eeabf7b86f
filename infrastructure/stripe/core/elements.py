"""The elements of a list of Stripe's, each read by itself: an odd one spoils no other.

How a list goes on is read apart from what its elements say (API reference, "Pagination").
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from application.mirror.lists import Place
from infrastructure.stripe.core.client import Request
from infrastructure.stripe.core.shapes import Identifier, Seconds, why_not

V = TypeVar("V")

_MAX_SHOWN: Final = 255
_SECOND_MS: Final = 1_000


class _Page(msgspec.Struct, frozen=True, gc=False):
    """A page, each element as the bytes that it came in."""

    data: list[msgspec.Raw]
    has_more: bool = False


class _LoosePage(msgspec.Struct, frozen=True, gc=False):
    data: list[Any]
    has_more: bool = False


_log = logging.getLogger(__name__)

_PAGE: Final = msgspec.json.Decoder(_Page)


@dataclass(frozen=True, slots=True)
class Head:
    """What an element is called by, however odd the rest of it is.

    `id` is empty, and `created` (seconds) None, where it is none. `shown` is the id for people:
    what stands in its place, as far as that can be written.
    """

    id: str
    created: int | None
    shown: str


@dataclass(frozen=True, slots=True)
class Element(Generic[V]):
    """An element of a list: what was read of it, or (`value` None) `why` it is not understood."""

    raw: bytes
    value: V | None
    why: str = ""

    @property
    def head(self) -> Head:
        """What it is called by; read anew each time."""
        return head_of(self.raw)


def read_elements(
    body: str | bytes, read: Callable[[bytes], V], place: Place | None = None
) -> tuple[Sequence[Element[V]], Place | None]:
    """The elements of a page, each as `read` has it, and where the list goes on; None at its end.

    What `read` refuses (its ValueError) is told with its element. `place` is where the page begins.
    Raises ValueError where it is no page, or no id on it tells where the list goes on.
    """
    raws, more = _split(body)
    elements = [_element(raw, read) for raw in raws]
    return elements, _place_after(elements, place or Place()) if more else None


def understood(elements: Sequence[Element[V]], request: Request) -> Sequence[V]:
    """What was read of the elements of an answer. The others are logged: nobody else names them."""
    for element in elements:
        if element.value is None:
            place = {"stripe_account": request.stripe_account, "list": request.path}
            facts = {**place, "id": element.head.shown, "why": element.why}
            _log.warning("an object is not understood", extra=facts)
    return [element.value for element in elements if element.value is not None]


def holds_tag(element: Element[Any], tag: str) -> bool:
    """Whether an element that is not understood bears a mutation's tag: 40 digits that occur there
    alone."""
    return element.value is None and tag.encode() in element.raw


def _place_after(elements: Sequence[Element[Any]], place: Place) -> Place:
    """Behind the last element with an id. Raises ValueError where none can be read."""
    after, before_ms = "", None
    oddly_made: list[int] = []
    for element in reversed(elements):
        head = element.head
        if not after and not head.id:
            continue  # it is on the next page once more
        after = after or head.id
        if head.created is None:
            continue
        if element.value is not None:
            before_ms = (head.created + 1) * _SECOND_MS
            break
        oddly_made.append(head.created)
    if not after:
        raise ValueError("no id on the page can be read, so the rest of the list cannot be read")
    if before_ms is None:  # an odd time is believed only as far as it leaves nothing out
        bounds = [(max(oddly_made) + 1) * _SECOND_MS] if oddly_made else []
        bounds += [] if place.before_ms is None else [place.before_ms]
        before_ms = min(bounds, default=None)
    return Place(before_ms, after)


def _split(body: str | bytes) -> tuple[Sequence[bytes], bool]:
    """The elements of a page as bytes, and whether there are more."""
    try:
        page = _PAGE.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # Half a character, escaped, in one element: the standard library reads past it.
        loose = msgspec.convert(json.loads(body), _LoosePage)
        return [json.dumps(element).encode() for element in loose.data], loose.has_more
    return [bytes(raw) for raw in page.data], page.has_more


def _element(raw: bytes, read: Callable[[bytes], V]) -> Element[V]:
    try:
        return Element(raw, read(raw))
    except (ValueError, RecursionError) as error:
        return Element(raw, None, why_not(error))


def head_of(raw: bytes) -> Head:
    """What an object is called by, however odd the rest of it is."""
    try:
        element = json.loads(raw)
    except (ValueError, RecursionError):
        element = None
    if not isinstance(element, dict):
        return Head("", None, "")
    named = element.get("id")
    shown = named.encode("unicode_escape").decode()[:_MAX_SHOWN] if isinstance(named, str) else ""
    id_ = _as(Identifier, named)
    return Head(id_ or "", _as(Seconds, element.get("created")), id_ or shown)


def _as(kind: Any, value: Any) -> Any:
    """The value, if it is of the kind; else None."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
