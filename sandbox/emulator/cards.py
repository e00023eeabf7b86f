"""Stripe's test cards (docs, "Testing"): what each looks like and what charging it does."""

from dataclasses import dataclass
from typing import Final

from sandbox.emulator.core.errors import invalid
from sandbox.emulator.core.values import JsonObject


@dataclass(frozen=True, slots=True)
class TestCard:
    """A test card.

    name: as in `pm_card_<name>` and `tok_<name>`.
    code, decline_code, message: of the failed charge; no code is a success.
    blocked: Radar refuses it before the bank sees it. risk: Radar's level.
    authenticates: the bank wants the customer's presence.
    refund_fails: its refunds fail after they succeeded.
    available: its money is in the available balance at once.
    dispute, dispute_reason: status and reason of the dispute that follows its payment, if any.
    """

    name: str
    number: str
    brand: str = "visa"
    funding: str = "credit"
    code: str | None = None
    decline_code: str | None = None
    message: str = ""
    blocked: bool = False
    risk: str = "normal"
    authenticates: bool = False
    refund_fails: bool = False
    available: bool = False
    dispute: str = ""
    dispute_reason: str = "fraudulent"

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """Equal for equal numbers, told apart from all other test cards."""
        return f"emu{int(self.number):x}".ljust(16, "0")[:16]

    def details(self, exp_month: int, exp_year: int) -> JsonObject:
        """The `card` hash of a PaymentMethod."""
        return {
            "brand": self.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "fail" if self.code == "incorrect_cvc" else "pass",
            },
            "country": "US",
            "display_brand": self.brand,
            "exp_month": exp_month,
            "exp_year": exp_year,
            "fingerprint": self.fingerprint,
            "funding": self.funding,
            "generated_from": None,
            "last4": self.last4,
            "networks": {"available": [self.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }


def _declined(name: str, number: str, decline_code: str, code: str = "card_declined") -> TestCard:
    messages = {
        "insufficient_funds": "Your card has insufficient funds.",
        "expired_card": "Your card has expired.",
        "incorrect_cvc": "Your card's security code is incorrect.",
        "processing_error": "An error occurred while processing your card. Try again later.",
    }
    message = messages.get(decline_code, "Your card was declined.")
    return TestCard(name, number, code=code, decline_code=decline_code, message=message)


_CARDS: Final = (
    TestCard("visa", "4242424242424242"),
    TestCard("visa_debit", "4000056655665556", funding="debit"),
    TestCard("mastercard", "5555555555554444", brand="mastercard"),
    TestCard("mastercard_debit", "5200828282828210", brand="mastercard", funding="debit"),
    TestCard("mastercard_prepaid", "5105105105105100", brand="mastercard", funding="prepaid"),
    TestCard("amex", "378282246310005", brand="amex"),
    TestCard("discover", "6011111111111117", brand="discover"),
    TestCard("diners", "3056930009020004", brand="diners"),
    TestCard("jcb", "3566002020360505", brand="jcb"),
    TestCard("unionpay", "6200000000000005", brand="unionpay"),
    _declined("chargeDeclined", "4000000000000002", "generic_decline"),
    _declined("chargeDeclinedInsufficientFunds", "4000000000009995", "insufficient_funds"),
    _declined("chargeDeclinedLostCard", "4000000000009987", "lost_card"),
    _declined("chargeDeclinedStolenCard", "4000000000009979", "stolen_card"),
    _declined("chargeDeclinedExpiredCard", "4000000000000069", "expired_card", "expired_card"),
    _declined("chargeDeclinedIncorrectCvc", "4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    _declined(
        "chargeDeclinedProcessingError", "4000000000000119", "processing_error", "processing_error"
    ),
    _declined(
        "chargeDeclinedVelocityLimitExceeded", "4000000000006975", "card_velocity_exceeded"
    ),
    _declined("chargeCustomerFail", "4000000000000341", "generic_decline"),
    TestCard(
        "radarBlock", "4100000000000019", code="card_declined", decline_code="fraudulent",
        message="Your card was declined.", blocked=True, risk="highest",
    ),
    TestCard(
        "riskLevelHighest", "4000000000004954", code="card_declined", decline_code="fraudulent",
        message="Your card was declined.", blocked=True, risk="highest",
    ),
    TestCard("riskLevelElevated", "4000000000009235", risk="elevated"),
    TestCard("authenticationRequired", "4000002760003184", authenticates=True),
    TestCard("threeDSecureRequired", "4000000000003220", authenticates=True),
    TestCard("refundFail", "4000000000005126", refund_fails=True),
    TestCard("createDispute", "4000000000000259", dispute="needs_response"),
    TestCard(
        "createDisputeProductNotReceived", "4000000000002685", dispute="needs_response",
        dispute_reason="product_not_received",
    ),
    TestCard("createDisputeInquiry", "4000000000001976", dispute="warning_needs_response"),
    TestCard("bypassPending", "4000000000000077", available=True),
)  # fmt: skip

_BY_NAME: Final = {card.name: card for card in _CARDS}
_BY_NUMBER: Final = {card.number: card for card in _CARDS}
_BY_FINGERPRINT: Final = {card.fingerprint: card for card in _CARDS}

_ALIASES: Final = {"blocked": "radarBlock", "threeDSecure2Required": "threeDSecureRequired"}


def of_magic_id(identifier: str) -> TestCard | None:
    """The card of `pm_card_…` or `tok_…`, with or without the brand that the name may bear."""
    name = identifier.removeprefix("pm_card_") if identifier.startswith("pm_card_") else None
    if identifier.startswith("tok_"):
        name = identifier.removeprefix("tok_")
    if name is None:
        return None
    name = _ALIASES.get(name, name)
    return _BY_NAME.get(name) or _BY_NAME.get(name.removeprefix("visa_"))


def of_number(number: str) -> TestCard | None:
    """The card with this number."""
    return _BY_NUMBER.get(number)


def of_details(card: JsonObject | None) -> TestCard:
    """The test card behind a `card` hash; ApiError 400 where there is none, but a bank account."""
    if card is None:
        raise invalid("The emulator charges cards only.")
    return _BY_FINGERPRINT[card["fingerprint"]]


def of_charge(charge: JsonObject) -> TestCard | None:
    """The test card that a charge was paid by; None for another method."""
    card = charge["payment_method_details"].get("card")
    return None if card is None else of_details(card)
