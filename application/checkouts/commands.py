"""What callers ask of the store and of checkouts."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ListStoreProducts:
    """A page of what the store offers."""

    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class CheckoutOrder:
    """To buy what was quoted. `actor` and `home` are who asks: a token's subject and account."""

    quote: str
    payment_method: str = ""
    actor: str = ""
    home: str = ""


@dataclass(frozen=True, slots=True)
class CheckoutRetry:
    """To pay a checkout with another payment method."""

    checkout: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class CheckoutCancellation:
    """To give up a checkout."""

    checkout: str


@dataclass(frozen=True, slots=True)
class CheckoutConfirmation:
    """To go on with a checkout at once."""

    checkout: str


class Resolving(StrEnum):
    """What an operator decides about a checkout that needs attention."""

    RETRY = "retry"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class CheckoutResolution:
    """What is to become of a checkout that needs attention; None: it is not said."""

    checkout: str
    resolution: Resolving | None
    reason: str


@dataclass(frozen=True, slots=True)
class CheckoutRefund:
    """To give `amount` of a sale back, in minor units of its currency; 0: all that is left.

    `return_cost`: the seller's cost is to come back, too. `by_operator`: who may ask for that
    whatever is provided.
    """

    checkout: str
    amount: int
    reason: str
    return_cost: bool = False
    by_operator: bool = False


@dataclass(frozen=True, slots=True)
class ListCheckouts:
    """A page of checkouts; `needs_attention`: those alone that need it."""

    page_size: int = 0
    page_token: str = ""
    needs_attention: bool = False
