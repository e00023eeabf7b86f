"""States before an update, as rows keep them."""

from typing import Any

from application.ports.mirror import Noun
from infrastructure.stripe.nouns import TRANSLATIONS


def read_before(noun: Noun[Any], told: bytes) -> Any:
    """An `infrastructure.befores.ReadBefore` of what `StripeEventReader` has encoded."""
    translation = TRANSLATIONS.get(noun.name)
    return None if translation is None else translation.decode_before(told)
