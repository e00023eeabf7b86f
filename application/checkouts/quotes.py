"""Quotes in callers' hands: signed, read back, and compared with what the purchase costs now."""

import datetime as dt
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from application.background.clock import Clock
from application.checkouts.quoting import QuoteSigner
from domain.carts import Cart, CartItem
from domain.errors import FailedPrecondition, FieldViolation, Reason
from domain.quotes import QUOTE_LIFETIME, Quote, Seal, seal_refusal

_FIELD: Final = "quote"
_ID_BYTES: Final = 16
_NO_ITEM: Final = CartItem("", 0)
_RULES: Final = {
    Reason.QUOTE_ALTERED: "must be one of PreviewCheckout's, unaltered",
    Reason.QUOTE_EXPIRED: f"at most {QUOTE_LIFETIME.seconds // 60} minutes old",
    Reason.QUOTE_FOREIGN: "must be made for this account",
    Reason.WRONG_CART: "must be of the item that the account's cart holds now",
}


@dataclass(frozen=True, slots=True)
class SignedQuote:
    """A quote's text for the caller, and when it is not taken any more."""

    text: str
    expires_at: dt.datetime


class Quotes:
    """Signs quotes, and checks those that come back."""

    def __init__(self, signer: QuoteSigner, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def sign(self, quote: Quote) -> SignedQuote:
        """The text for the caller, with an id of its own: it begins one checkout at most."""
        seal = quote.sealed(secrets.token_hex(_ID_BYTES), self._clock.now())
        return SignedQuote(self._signer.write(seal), seal.expires_at)

    def read(
        self, text: str, buyer: str, cart: Cart | None
    ) -> tuple[Seal | None, Sequence[FieldViolation]]:
        """What a quote stands for, and every reason for which it is not to be taken.

        QUOTE_ALTERED, QUOTE_EXPIRED, QUOTE_FOREIGN, WRONG_CART: each is told that applies. `cart`
        is the buyer's as it stands; None where it has none. The seal is None for an altered one
        only.
        """
        seal = self._signer.read(text)
        if seal is None:
            return None, [_violation(Reason.QUOTE_ALTERED)]
        item = _NO_ITEM if cart is None else cart.item
        return seal, [
            _violation(reason) for reason in seal_refusal(seal, buyer, item, self._clock.now())
        ]

    def check(self, seal: Seal, quote: Quote) -> None:
        """Whether the buyer would pay now what was quoted.

        Raises FailedPrecondition (PRICE_CHANGED) if not: metadata holds a new quote, its total in
        minor units, and its currency. What changed for the seller alone changes nothing.
        """
        if seal.content == quote.content_hash:
            return
        total = quote.total
        raise FailedPrecondition(
            Reason.PRICE_CHANGED,
            "the price is another one than was quoted; nothing was charged",
            subject=_FIELD,
            metadata={
                "quote": self.sign(quote).text,
                "total": str(total.amount),
                "currency": total.currency,
            },
        )


def _violation(reason: Reason) -> FieldViolation:
    return FieldViolation(_FIELD, _RULES[reason], reason)
