"""Real events to start from: what a small business makes an emulated Stripe tell.

They are the same in every run, byte for byte, so that a seed and an index name one delivery for
good.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import stripe

from sandbox.emulator.control_client import ControlClient
from sandbox.emulator.running import emulator_in_process
from sandbox.emulator.settings import Settings
from tests.support.fakes.stores import NOON

Event = dict[str, Any]

_START: Final = int(NOON.timestamp()) - 7_200
_SEED: Final = 20_261_102
_STEP_SECONDS: Final = 60
"""Each step has a minute of its own, so that the emulator's ticking clock does not show."""

_MOST_STEPS: Final = 100
_ADDRESS: Final = {"line1": "1 Main St", "city": "Wien", "postal_code": "1010", "country": "AT"}


class _Business:
    """Acts on one Stripe account, a step a minute."""

    def __init__(self, sdk: stripe.StripeClient, control: ControlClient, account: str) -> None:
        self._sdk = sdk
        self._control = control
        self._account = account
        self._steps = 0

    async def post(self, path: str, **params: Any) -> Event:
        """Change something."""
        return await self._request("post", path, params)

    async def delete(self, path: str) -> Event:
        """Delete something."""
        return await self._request("delete", path, {})

    async def events(self) -> list[Event]:
        """All events so far, oldest first."""
        found: list[Event] = []
        after: dict[str, str] = {}
        for _ in range(_MOST_STEPS):
            page = await self._request("get", "/v1/events", {"limit": 100, **after})
            found += page["data"]
            if not page["has_more"]:
                break
            after = {"starting_after": found[-1]["id"]}
        return found[::-1]

    async def _request(self, method: Any, path: str, params: Mapping[str, Any]) -> Event:
        self._steps += 1
        await self._control.set_clock(_START + self._steps * _STEP_SECONDS)
        answer = await self._sdk.raw_request_async(
            method, path, stripe_account=self._account, **params
        )
        made: Event = msgspec.json.decode(answer.body)
        return made


async def real_events() -> list[Event]:
    """Events about every noun that events tell of, as Stripe lists them, without `account`."""
    settings = Settings(start=_START, seed=_SEED)
    async with emulator_in_process(settings) as emulator, emulator.sdk() as sdk:
        account = await emulator.control.create_account()
        business = _Business(sdk, emulator.control, account)
        customer = await _sell(business)
        await _subscribe(business, customer)
        await _settle(business)
        return [_timeless(event) for event in await business.events()]


async def _sell(business: _Business) -> str:
    """Payments, one refunded and one disputed; a customer who comes, and one who goes."""
    gone = await business.post("/v1/customers", name="Gone")
    await business.delete(f"/v1/customers/{gone['id']}")
    customer = await business.post(
        "/v1/customers", name="Ada", email="ada@example.com", phone="+43 1 234", address=_ADDRESS,
        metadata={"tier": "gold", "plan": "p1"},
    )  # fmt: skip
    id_ = str(customer["id"])
    await business.post(f"/v1/customers/{id_}", metadata={"tier": "silver"}, description="new")
    for card in ("pm_card_visa", "pm_card_createDispute"):
        intent = await business.post(
            "/v1/payment_intents", amount=2_000, currency="eur", confirm=True, payment_method=card,
            customer=id_, automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
        )  # fmt: skip
        if card == "pm_card_visa":
            await business.post("/v1/refunds", charge=intent["latest_charge"], amount=500)
    return id_


async def _subscribe(business: _Business, customer: str) -> None:
    """A subscription that is paid, changed and canceled; a bill that is voided."""
    method = await business.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)
    settings = {"default_payment_method": method["id"]}
    await business.post(f"/v1/customers/{customer}", invoice_settings=settings)
    product = await business.post("/v1/products", name="Plan", metadata={"tier": "gold"})
    prices = [
        await business.post(
            "/v1/prices", product=product["id"], currency="usd", unit_amount=amount,
            recurring={"interval": "month"},
        )
        for amount in (1_000, 2_500)
    ]  # fmt: skip
    subscription = await business.post(
        "/v1/subscriptions", customer=customer, items=[{"price": prices[0]["id"]}]
    )
    path = f"/v1/subscriptions/{subscription['id']}"
    item = subscription["items"]["data"][0]["id"]
    await business.post(path, items=[{"id": item, "price": prices[1]["id"]}])
    await business.delete(path)
    await business.post(f"/v1/prices/{prices[0]['id']}", active=False)
    await business.post("/v1/invoiceitems", customer=customer, amount=90_000, currency="usd")
    invoice = await business.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include"
    )
    await business.post(f"/v1/invoices/{invoice['id']}/finalize")
    await business.post(f"/v1/invoices/{invoice['id']}/void")


async def _settle(business: _Business) -> None:
    """Money that goes to the bank."""
    await business.post("/v1/charges", amount=9_000, currency="usd", source="tok_bypassPending")
    await business.post("/v1/payouts", amount=4_000, currency="usd")


def _timeless(event: Event) -> Event:
    """The same in whole minutes of the emulator's clock, and without the request's random key."""
    event["request"] = {"id": None, "idempotency_key": None}
    event.pop("account", None)
    plain: Event = _in_whole_steps(event)
    return plain


def _in_whole_steps(value: Any) -> Any:
    match value:
        case dict():
            return {name: _in_whole_steps(inner) for name, inner in value.items()}
        case list():
            return [_in_whole_steps(inner) for inner in value]
        case int() if _START <= value < _START * 2:
            return value - (value - _START) % _STEP_SECONDS
        case _:
            return value
