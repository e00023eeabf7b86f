"""Single objects of any mirrored noun, read from Stripe."""

from typing import TypeVar

from typing_extensions import override

from application.ports.mirror import Noun
from application.ports.stripe import ObjectReader, Priority
from domain.mirror import MirroredObject, Snapshot
from infrastructure.stripe.client import Request, StripeApi, object_path
from infrastructure.stripe.errors import Subject
from infrastructure.stripe.nouns import TRANSLATIONS
from infrastructure.stripe.observing import observe

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
        translation = TRANSLATIONS[noun.name]
        request = Request(
            "get",
            object_path(translation, object_id),
            Subject(noun.name, object_id),
            stripe_account,
            priority=priority,
            keep_missing=True,
        )
        return await observe(self._api, request, translation, not_before_ms=not_before_ms)
