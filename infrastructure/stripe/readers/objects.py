"""Single objects of any mirrored noun, read from Stripe."""

from typing import TypeVar

from typing_extensions import override

from application.mirror.ports import Noun
from application.mirror.stripe import ObjectReader, Priority
from domain.errors import NotFound
from domain.mirror import MirroredObject, Snapshot
from infrastructure.stripe.connections.gateway import account_request
from infrastructure.stripe.core.client import Request, StripeApi, object_path
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.observe import observe
from infrastructure.stripe.core.shapes import ShapeT, Translation
from infrastructure.stripe.translations import TRANSLATIONS

T = TypeVar("T", bound=MirroredObject)


class StripeObjectReader(ObjectReader):
    """Reads an object where its noun's translation says that it is."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def read(
        self,
        noun: Noun[T],
        stripe_account: str,
        object_id: str,
        *,
        not_before_ms: int | None,
        priority: Priority,
    ) -> Snapshot[T]:
        return await read_object(
            self._api,
            TRANSLATIONS[noun.name],
            stripe_account,
            object_id,
            not_before_ms=not_before_ms,
            priority=priority,
        )


async def read_object(
    api: StripeApi,
    translation: Translation[T, ShapeT],
    stripe_account: str,
    object_id: str,
    *,
    not_before_ms: int | None = None,
    priority: Priority,
) -> Snapshot[T]:
    """One object by itself, whole; what `ObjectReader.read` promises."""
    if translation.is_account:
        if object_id != stripe_account:  # never another tenant's
            raise NotFound(translation.noun.name, object_id)
        request = account_request(api, stripe_account, priority)
    else:
        request = Request(
            "get",
            object_path(translation, object_id),
            Subject(translation.noun.name, object_id),
            stripe_account,
            params=translation.expanding(),
            priority=priority,
            keep_missing=True,
        )
    return await observe(
        api, request, translation, not_before_ms=not_before_ms, owner=stripe_account
    )
