"""What the mutating requests of all nouns have in common: send once, find what a send left."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Protocol, TypeVar

from application.mutations.stripe import REQUEST_TAG, Call, Unanswered
from domain.errors import (
    BillingError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RateLimited,
    Reason,
    Unavailable,
    WrongState,
)
from domain.mirror import MirroredObject, Snapshot
from infrastructure.stripe.core.client import Answer, Request, StripeApi, object_path
from infrastructure.stripe.core.elements import Element, holds_tag, read_elements
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.core.shapes import Metadata, ShapeT, Translation


class _Labelled(Protocol):
    """What Stripe shows of an object that may bear a mutation's tag."""

    @property
    def metadata(self) -> Metadata: ...


T = TypeVar("T", bound=MirroredObject)
L = TypeVar("L", bound=_Labelled)

CLOCK_SLACK: Final = dt.timedelta(minutes=5)
"""How far our clock may be ahead of Stripe's."""

_UNTOLD: Final = (Reason.STRIPE_CONNECTION_REVOKED, Reason.STRIPE_NOT_UNDERSTOOD)
"""Refusals that say nothing of what came of an earlier request."""


async def send(
    api: StripeApi, request: Request, translation: Translation[T, ShapeT]
) -> Snapshot[T]:
    """Send a mutating request that answers with the object that it made or changed.

    A replayed answer shows the object as it was when the key was first used, and a large object may
    be cut short: it is read anew. Where it cannot be, what was told of a large one has to do.
    """
    answer = await api.request(request)
    account, version = request.stripe_account, answer.version()
    answered = api.understand(
        answer, request, lambda body: translation.observe(body, account, version)
    )
    if not answer.replayed and not translation.incomplete(answered):
        return answered
    try:
        return await read(api, translation, account, answered.id)
    except (NotFound, RateLimited, Unavailable, FailedPrecondition):
        if not answer.replayed:
            return answered
        raise Unanswered("the change was made, but Stripe does not show the object now") from None


@contextlib.contextmanager
def after_sending() -> Iterator[None]:
    """What is asked in here tells what came of a request that may have been carried out.

    Where that cannot be learnt the outcome is unknown: it is Unanswered, never "nothing was sent".
    """
    try:
        yield
    except (RateLimited, Unavailable) as error:
        raise _untold(error) from None
    except FailedPrecondition as error:
        if error.reason not in _UNTOLD:
            raise
        raise _untold(error) from None


def _untold(error: BillingError) -> Unanswered:
    return Unanswered(f"the request was sent, and its outcome cannot be found out: {error.message}")


async def send_in_state(
    api: StripeApi,
    request: Request,
    translation: Translation[T, ShapeT],
    forbidding: Callable[[T], str],
) -> Snapshot[T]:
    """Send a request that the state of its subject, an object of `translation`, may forbid.

    Where Stripe refuses it, the object is read, and `forbidding` gives the state that does not
    allow the action, in Stripe's word: that is WrongState. Empty: the state allows it, so the
    refusal has another cause and is raised as it is.
    """
    try:
        return await send(api, request, translation)
    except (FailedPrecondition, InvalidArgument) as error:
        subject = request.subject
        state = await _forbidding_state(api, request, translation, forbidding, error)
        if not state:
            raise
        raise WrongState(subject.noun, subject.id, state) from None


async def _forbidding_state(
    api: StripeApi,
    request: Request,
    translation: Translation[T, ShapeT],
    forbidding: Callable[[T], str],
    error: BillingError,
) -> str:
    """The state that explains a refusal; empty where none does or it cannot be learnt."""
    if error.reason not in (Reason.STRIPE_REFUSED, Reason.INVALID_FIELDS):
        return ""
    try:
        subject = await read(api, translation, request.stripe_account, request.subject.id)
    except (NotFound, RateLimited, Unavailable, FailedPrecondition):
        return ""
    return forbidding(subject.object) if subject.object is not None else ""


async def read(
    api: StripeApi, translation: Translation[T, ShapeT], stripe_account: str, object_id: str
) -> Snapshot[T]:
    """The object as it is now, a tombstone where Stripe shows it as deleted; or NotFound."""
    subject = Subject(translation.noun.name, object_id)
    path, params = object_path(translation, object_id), translation.expanding()
    request = Request("get", path, subject, stripe_account, params=params)
    return await observe(api, request, translation)


async def look(
    api: StripeApi, translation: Translation[T, ShapeT], stripe_account: str, object_id: str
) -> Snapshot[T] | None:
    """As `read`; None where there is no such object."""
    try:
        return await read(api, translation, stripe_account, object_id)
    except NotFound:
        return None


async def look_for(
    api: StripeApi,
    translation: Translation[T, ShapeT],
    call: Call,
    object_id: str,
    shows: Callable[[T], bool],
) -> Snapshot[T] | None:
    """The object as it is now, where it shows what a mutation wanted; None too where it is gone."""
    present = await look(api, translation, call.stripe_account, object_id)
    if present is None or present.object is None or not shows(present.object):
        return None
    return present


async def find_tagged(
    api: StripeApi, translation: Translation[T, ShapeT], call: Call, sent_at: dt.datetime
) -> Snapshot[T] | None:
    """The object created since `sent_at` that bears the call's tag, by list.

    There is no upper bound in time: a later try may be the one that made it. Raises TooManyPages
    where more was created since than a look-up reads: then nobody can say that it is not there.
    Raises Unanswered where an object bears the tag and is not understood: it was made.
    """
    request = Request(
        "get",
        translation.path,
        Subject(translation.noun.name),
        call.stripe_account,
        params={
            **translation.list_all,
            **translation.expanding("data."),
            "created": created_since(sent_at),
        },
    )
    decode = partial(read_elements, read=translation.decode_listed)
    async for elements, answer in api.pages(request, decode):
        shape = tagged(elements, call.tag)
        if shape is not None:
            return await _whole(api, translation, call, shape, answer)
    return None


def created_since(sent_at: dt.datetime) -> dict[str, int]:
    """The bound of a list, in Stripe's seconds, that holds what a send at `sent_at` created."""
    return {"gte": int((sent_at - CLOCK_SLACK).timestamp())}


def tagged(elements: Iterable[Element[L]], tag: str) -> L | None:
    """The element of a page that bears a mutation's tag.

    Raises Unanswered where that one is not understood: it was made, so it must not be made again;
    how it looks, a later release may tell.
    """
    for element in elements:
        if holds_tag(element, tag):
            raise Unanswered(
                f"the change was made, but the object is not understood: {element.why}"
            )
        shape = element.value
        if shape is not None and (shape.metadata or {}).get(REQUEST_TAG) == tag:
            return shape
    return None


async def _whole(
    api: StripeApi,
    translation: Translation[T, ShapeT],
    call: Call,
    shape: ShapeT,
    answer: Answer,
) -> Snapshot[T]:
    """The observation of an object on a page; read by itself where the page cuts it short."""
    try:
        listed = translation.snapshot(shape, call.stripe_account, answer.version())
    except ValueError as error:
        raise Unanswered(
            f"the change was made, but the object is not understood: {error}"
        ) from None
    if translation.incomplete(listed):
        return await read(api, translation, call.stripe_account, shape.id)
    return listed
