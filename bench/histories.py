"""What a small business does at Stripe, recorded at the emulator and copied as often as wanted.

Each copy is a business of its own: its objects have ids of their own that point at one another, and
all of it happened `SPACING_SECONDS` before the copy of the number below.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import stripe

from infrastructure.stripe.translations import TRANSLATIONS
from sandbox.emulator.running import RunningEmulator, emulator_in_process
from sandbox.emulator.settings import Settings

Document = dict[str, Any]

SPACING_SECONDS: Final = 60
STEP_SECONDS: Final = 300
AGE_SECONDS: Final = 6 * 3600
"""How long ago the newest copy began: longer than all its steps together."""

RECORD_SECONDS: Final = 60.0

_SEED: Final = 20_261_102
_MAX_PAGES: Final = 100
_INSTANT: Final = r"\b1[789]\d{8}\b"
_AUTOMATIC: Final = {"enabled": True, "allow_redirects": "never"}
_ADDRESS: Final = {"line1": "1 Main St", "city": "Wien", "postal_code": "1010", "country": "AT"}


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON document of which only the ids and the instants differ from copy to copy.

    `text` has a place for each of `slots`: an instant (seconds), or None for the copy's own mark
    behind an id. `created` is the recorded document's.
    """

    id: str
    created: int
    text: str
    slots: tuple[int | None, ...]

    def copy(self, number: int) -> bytes:
        """The document of a copy, as Stripe would have sent it."""
        back, mark = number * SPACING_SECONDS, _mark(number)
        values = tuple(mark if slot is None else slot - back for slot in self.slots)
        return (self.text % values).encode()

    def copied_id(self, number: int) -> str:
        """The id of a copy."""
        return self.id + _mark(number)


@dataclass(frozen=True, slots=True)
class History:
    """A recorded business: its events as they happened, and its objects (by noun) at the end.

    `connected` is its Stripe account, which all copies share.
    """

    account: str
    connected: bytes
    events: Sequence[Template]
    objects: Mapping[str, Sequence[Template]]

    @property
    def size(self) -> int:
        """How many objects one copy has."""
        return sum(map(len, self.objects.values()))


async def record() -> History:
    """Let a business live through its script at an emulator on this event loop.

    Raises TimeoutError where that takes longer than RECORD_SECONDS.
    """
    async with asyncio.timeout(RECORD_SECONDS):
        return await _record()


async def _record() -> History:
    start = int(time.time()) - AGE_SECONDS
    settings = Settings(start=start, seed=_SEED)
    async with emulator_in_process(settings) as emulator, emulator.sdk() as sdk:
        account = await emulator.control.create_account()
        await emulator.control.settle_after(STEP_SECONDS // 2)
        business = _Business(emulator, sdk, account, start)
        await _subscribe(business)
        for _ in range(2):
            await _shop(business)
        business.wait(STEP_SECONDS)  # until the last payment has settled
        events = (await business.all("/v1/events"))[::-1]
        objects = {
            name: await business.all(one.path, **one.list_all)
            for name, one in TRANSLATIONS.items()
            if not one.is_account
        }
        connected = await business.get(f"/v1/accounts/{account}")
    for event in events:
        event["account"] = account
    documents = [*events, *(one for found in objects.values() for one in found)]
    ids = set(_ids(documents)) - {account}
    slots = re.compile("|".join([*sorted(map(re.escape, ids), key=len, reverse=True), _INSTANT]))
    return History(
        account,
        json.dumps(connected, indent=2).encode(),
        [_template(event, slots, ids) for event in events],
        {noun: [_template(one, slots, ids) for one in found] for noun, found in objects.items()},
    )


class _Business:
    """Acts on one Stripe account. Between two `step`s all happens within one second."""

    def __init__(
        self, emulator: RunningEmulator, sdk: stripe.StripeClient, account: str, start: int
    ) -> None:
        self._control = emulator.control
        self._sdk = sdk
        self._account = account
        self._now = start

    def wait(self, seconds: int = STEP_SECONDS) -> None:
        """Let time pass."""
        self._now += seconds

    async def post(self, path: str, **params: Any) -> Document:
        """Change something."""
        return await self._request("post", path, params)

    async def get(self, path: str, **params: Any) -> Document:
        """Read something."""
        return await self._request("get", path, params)

    async def delete(self, path: str) -> Document:
        """Delete something."""
        return await self._request("delete", path, {})

    async def all(self, path: str, **narrowed: str) -> list[Document]:
        """A list to its end, newest first."""
        found: list[Document] = []
        params: dict[str, Any] = {"limit": 100, **narrowed}
        for _ in range(_MAX_PAGES):
            page = await self.get(path, **params)
            found += page["data"]
            if not page["has_more"]:
                return found
            params["starting_after"] = found[-1]["id"]
        raise RuntimeError(f"{path} does not come to an end")

    async def _request(self, method: Any, path: str, params: Mapping[str, Any]) -> Document:
        await self._control.set_clock(self._now)
        answer = await self._sdk.raw_request_async(
            method, path, stripe_account=self._account, **params
        )
        found: Document = json.loads(answer.body)
        return found


async def _subscribe(business: _Business) -> None:
    """A customer subscribes, changes plan, gets bills by hand, and leaves."""
    product = await business.post("/v1/products", name="Plan", metadata={"tier": "gold"})
    prices = []
    for amount in (1_000, 2_500):
        business.wait()
        price = await business.post(
            "/v1/prices", product=product["id"], currency="usd", unit_amount=amount,
            recurring={"interval": "month"},
        )  # fmt: skip
        prices.append(price["id"])
    customer, method = await _customer(business)
    business.wait()
    subscription = await business.post(
        "/v1/subscriptions", customer=customer, items=[{"price": prices[0]}],
        metadata={"plan": "p1"},
    )  # fmt: skip
    path, item = f"/v1/subscriptions/{subscription['id']}", subscription["items"]["data"][0]["id"]
    business.wait()  # three changes in one second: the middle one proves nothing by itself
    await business.post(path, items=[{"id": item, "price": prices[1]}])
    await business.post(path, metadata={"plan": "p2"})
    await business.post(path, description="Upgraded")
    for at_once in (True, False):
        await _bill(business, customer, at_once=at_once)
    business.wait()
    await business.delete(path)
    business.wait()
    await business.post(f"/v1/payment_methods/{method}/detach")
    business.wait()
    await business.post(f"/v1/prices/{prices[0]}", active=False)
    business.wait()
    await business.post(f"/v1/products/{product['id']}", description="No longer sold")


async def _customer(business: _Business) -> tuple[str, str]:
    """A customer with a card, edited now and then; their ids."""
    business.wait()
    customer = await business.post("/v1/customers", name="Ada", email="ada@example.com")
    path = f"/v1/customers/{customer['id']}"
    business.wait()
    method = await business.post("/v1/payment_methods/pm_card_visa/attach", customer=customer["id"])
    await business.post(path, invoice_settings={"default_payment_method": method["id"]})
    business.wait()  # an application that saves a form field by field
    await business.post(path, address=_ADDRESS)
    await business.post(path, phone="+43 1 234 567")
    business.wait()
    await business.post(path, metadata={"contact": "c-1042", "tier": "gold"})
    return customer["id"], method["id"]


async def _bill(business: _Business, customer: str, *, at_once: bool) -> None:
    """A bill of three lines, paid: drafted, opened and paid in one second or over the day."""
    business.wait()
    for amount in (9_000, 4_500, 150):
        await business.post(
            "/v1/invoiceitems", customer=customer, amount=amount, currency="usd",
            description=f"Work for {amount}",
        )  # fmt: skip
    invoice = await business.post(
        "/v1/invoices", customer=customer, pending_invoice_items_behavior="include"
    )
    for verb in ("finalize", "pay"):
        if not at_once:
            business.wait()
        await business.post(f"/v1/invoices/{invoice['id']}/{verb}")


async def _shop(business: _Business) -> None:
    """A customer pays on the third try, and gets some of it back, twice."""
    customer, method = await _customer(business)
    business.wait()
    intent = await business.post(
        "/v1/payment_intents", amount=2_000, currency="usd", customer=customer,
        automatic_payment_methods=_AUTOMATIC,
    )  # fmt: skip
    path = f"/v1/payment_intents/{intent['id']}"
    business.wait()
    await business.post(path, metadata={"cart": "17"})
    for card in ("pm_card_chargeDeclined", "pm_card_chargeDeclinedInsufficientFunds"):
        business.wait()
        try:
            await business.post(f"{path}/confirm", payment_method=card)
        except stripe.CardError:
            continue
        raise RuntimeError("a declined card was accepted")
    business.wait()
    paid = await business.post(f"{path}/confirm", payment_method=method)
    for amount in (500, 700):
        business.wait()
        await business.post("/v1/refunds", charge=paid["latest_charge"], amount=amount)
    business.wait()
    await business.post(f"/v1/customers/{customer}", description="Comes again")


def _mark(number: int) -> str:
    return f"x{number:05d}"


def _template(document: Document, slots: re.Pattern[str], ids: set[str]) -> Template:
    found: list[int | None] = []

    def take(match: re.Match[str]) -> str:
        if match[0] in ids:
            found.append(None)
            return f"{match[0]}%s"
        found.append(int(match[0]))
        return "%s"

    text = json.dumps(document, indent=2).replace("%", "%%")
    return Template(document["id"], document["created"], slots.sub(take, text), tuple(found))


def _ids(value: Any) -> Iterator[str]:
    """The id of every object in a document, however deep."""
    match value:
        case dict():
            if isinstance(found := value.get("id"), str):
                yield found
            for inner in value.values():
                yield from _ids(inner)
        case list():
            for inner in value:
                yield from _ids(inner)
