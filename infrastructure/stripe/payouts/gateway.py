"""What is read of payouts and balances and not mirrored."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from typing_extensions import override

from application.mirror.stripe import Priority
from application.payouts.ports import Destination, PayoutGateway
from domain.balances import BalanceReading, CurrencyReading
from infrastructure.stripe.core.client import Answer, Request, StripeApi, object_path
from infrastructure.stripe.core.errors import Subject
from infrastructure.stripe.core.shapes import Amount, Identifier
from infrastructure.stripe.payouts.translation import PAYOUT


class _ExternalAccount(msgspec.Struct, frozen=True, gc=False):
    """A bank account or a card (API reference, "The External Bank Account object")."""

    id: Identifier
    object: str = ""
    bank_name: str | None = None
    brand: str | None = None
    last4: str | None = None
    currency: str | None = None
    country: str | None = None
    deleted: bool = False


class _Sent(msgspec.Struct, frozen=True, gc=False):
    destination: _ExternalAccount | str | None = None


class _Part(msgspec.Struct, frozen=True, gc=False):
    amount: Amount
    currency: str
    source_types: dict[str, Amount] | None = None


class _Balance(msgspec.Struct, frozen=True, gc=False):
    """A balance, as in the API reference, "The balance object"."""

    available: list[_Part]
    pending: list[_Part]
    instant_available: list[_Part] | None = None
    connect_reserved: list[_Part] | None = None


_decode_sent: Final = msgspec.json.Decoder(_Sent).decode
_decode_balance: Final = msgspec.json.Decoder(_Balance).decode


class StripePayouts(PayoutGateway):
    """Destinations and balances by the API."""

    def __init__(self, api: StripeApi) -> None:
        """Read through `api`."""
        self._api = api

    @override
    async def destination(self, stripe_account: str, payout: str) -> Destination | None:
        # By the payout: an external account by itself is shown to the account's own key alone.
        request = Request(
            "get",
            object_path(PAYOUT, payout),
            Subject(PAYOUT.noun.name, payout),
            stripe_account,
            params={"expand": ["destination"]},
        )
        answer = await self._api.request(request)
        return self._api.understand(answer, request, lambda body: _sent_to(_decode_sent(body)))

    @override
    async def balance(self, stripe_account: str, *, priority: Priority) -> BalanceReading:
        subject = Subject("balance")
        request = Request("get", "/v1/balance", subject, stripe_account, priority=priority)
        answer = await self._api.request(request)
        return self._api.understand(answer, request, lambda body: _reading(body, answer))


def _sent_to(sent: _Sent) -> Destination | None:
    found = sent.destination
    if found is None or isinstance(found, str):
        return Destination(found, "") if found else None
    return Destination(
        id=found.id,
        type=found.object,
        bank_name=found.bank_name or found.brand or "",
        last4=found.last4 or "",
        currency=found.currency or "",
        country=found.country or "",
        deleted=found.deleted,
    )


def _reading(body: str, answer: Answer) -> BalanceReading:
    balance = _decode_balance(body)
    available, pending = _by_currency(balance.available), _by_currency(balance.pending)
    instant = _by_currency(balance.instant_available or ())
    reserved = _by_currency(balance.connect_reserved or ())
    codes = sorted({*available, *pending, *instant, *reserved})
    version = answer.version()
    return BalanceReading(
        version.low,
        version.high,
        tuple(
            CurrencyReading(
                currency=code,
                available=_amount(available, code),
                pending=_amount(pending, code),
                instant_available=_amount(instant, code),
                reserved=_amount(reserved, code),
                available_by_source=_by_source(available, code),
                pending_by_source=_by_source(pending, code),
            )
            for code in codes
        ),
    )


def _by_currency(parts: Sequence[_Part]) -> Mapping[str, _Part]:
    """The part in each currency. ValueError where a currency comes twice."""
    found = {part.currency: part for part in parts}
    if len(found) != len(parts):
        raise ValueError("currency: comes twice")
    return found


def _amount(parts: Mapping[str, _Part], code: str) -> int:
    return parts[code].amount if code in parts else 0


def _by_source(parts: Mapping[str, _Part], code: str) -> Mapping[str, int]:
    return dict(parts[code].source_types or {}) if code in parts else {}
