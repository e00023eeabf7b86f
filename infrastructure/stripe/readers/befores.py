"""States before an update, as rows keep them."""

from typing import Any

from application.mirror.ports import Noun
from infrastructure.stripe.translations import TRANSLATIONS


def read_before(noun: Noun[Any], told: bytes) -> Any:
    """An `infrastructure.befores.ReadBefore` of what `StripeEventReader` has encoded."""
    translation = TRANSLATIONS.get(noun.name)
    return None if translation is None else translation.decode_before(told)
