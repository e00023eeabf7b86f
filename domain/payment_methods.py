"""Payment methods of customers, and the legacy sources that stand beside them.

A legacy card is one object that Stripe shows through both of its interfaces, under one id.
"""

from dataclasses import dataclass
from typing import Final

_BANK_ACCOUNT: Final = "ba_"
_LEGACY_PREFIXES: Final = ("card_", "src_", _BANK_ACCOUNT)

_HOLDING: Final = frozenset({"card"})
"""Types that are authorised now and captured later, of those that send nobody away (Stripe's
docs, "Place a hold on a payment method"). All others are charged at once, which all take."""


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """What a customer can be charged with, without what identifies the person.

    `type` is Stripe's open string. `bank` is a name or, where Stripe gives none, a code. `customer`
    is None while it is attached to nobody.
    """

    id: str
    type: str
    customer: str | None = None
    brand: str | None = None
    bank: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None
    funding: str | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")

    @property
    def legacy(self) -> bool:
        """Whether it is a source."""
        return is_legacy(self.id)

    @property
    def holds(self) -> bool:
        """Whether a payment by it can be authorised now and captured later."""
        return self.type in _HOLDING


@dataclass(frozen=True, slots=True)
class SetupIntent:
    """An attempt to save a payment method; its client secret is told apart from it."""

    id: str
    status: str


def is_legacy(payment_method: str) -> bool:
    """Whether an id is that of a card, a source or a bank account of before payment methods."""
    return payment_method.startswith(_LEGACY_PREFIXES)


def is_bank_account(payment_method: str) -> bool:
    """Whether an id is that of a bank account of before payment methods: no intent takes it."""
    return payment_method.startswith(_BANK_ACCOUNT)
