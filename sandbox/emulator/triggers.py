"""Triggers: what has to happen at the emulator so that Stripe would send an event.

A trigger is a list of requests to the emulator's own API. The event is not made up: it follows
from them, with all events that come before it. A new trigger is an entry of `TRIGGERS`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast
from urllib.parse import quote

import aiohttp

from sandbox.emulator.control_client import ControlClient, ControlError
from sandbox.emulator.settings import PLATFORM_KEY

SECONDS: Final = 30.0
"""How long a request may take."""

_SEEN: Final = 100
"""Among how many events of its type the one that a trigger brought about is looked for."""


class TriggerError(RuntimeError):
    """The emulator refused what a trigger asked of it, or is not there."""


class NoEmulatorError(TriggerError):
    """Nobody answers at the emulator's address."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a trigger.

    name: what later steps call the id of the answered object by, `{customer}`; empty: by nothing.
    path: of Stripe's API, or `happen/<collection>/<id>/<name>` for what nobody asks for.
    declined: whether the answer that is wanted is a 402.
    """

    name: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    declined: bool = False


@dataclass(frozen=True, slots=True)
class Triggered:
    """The event that followed, its object, and the objects that were made for it, by name."""

    event: str
    type: str
    account: str
    object: str
    objects: dict[str, str]


def _act(path: str, **params: str) -> Step:
    return Step("", path, params)


def _card(card: str) -> tuple[Step, ...]:
    """A customer who pays with a test card."""
    customer = Step("customer", "/v1/customers", {"email": "ada@example.com", "name": "Ada"})
    method = f"/v1/payment_methods/pm_card_{card}/attach"
    default = {"invoice_settings[default_payment_method]": "{payment_method}"}
    return (
        customer,
        Step("payment_method", method, {"customer": "{customer}"}),
        Step("", "/v1/customers/{customer}", default),
    )


def _payment(card: str = "visa", *, declined: bool = False, **more: str) -> tuple[Step, ...]:
    """A payment intent, confirmed with a test card."""
    params = {"amount": _AMOUNT, "currency": "{currency}", "customer": "{customer}", **more}
    confirmation = {"payment_method": "{payment_method}", "return_url": "https://example.com"}
    confirm = Step("", "/v1/payment_intents/{payment_intent}/confirm", confirmation)
    return (
        *_card(card),
        Step("payment_intent", "/v1/payment_intents", params),
        replace(confirm, declined=declined),
    )


def _charge(card: str = "visa") -> tuple[Step, ...]:
    """A charge without a payment intent."""
    params = {"amount": _AMOUNT, "currency": "{currency}", "source": f"tok_{card}"}
    return (Step("charge", "/v1/charges", params),)


def _invoice(card: str = "visa", **more: str) -> tuple[Step, ...]:
    """A draft with one item."""
    item = {
        "customer": "{customer}", "invoice": "{invoice}", "amount": _AMOUNT,
        "currency": "{currency}", "description": "Consulting",
    }  # fmt: skip
    draft = {"customer": "{customer}", "currency": "{currency}", **more}
    return (
        *_card(card),
        Step("invoice", "/v1/invoices", draft),
        Step("invoice_item", "/v1/invoiceitems", item),
    )


def _open_invoice(card: str = "visa", **more: str) -> tuple[Step, ...]:
    return (*_invoice(card, **more), _act("/v1/invoices/{invoice}/finalize"))


def _priced(**recurring: str) -> tuple[Step, ...]:
    product = Step("product", "/v1/products", {"name": "Plan"})
    params = {"product": "{product}", "currency": "{currency}", "unit_amount": _AMOUNT, **recurring}
    return product, Step("price", "/v1/prices", params)


def _subscription(card: str = "visa", **more: str) -> tuple[Step, ...]:
    params = {"customer": "{customer}", "items[0][price]": "{price}", **more}
    monthly = _priced(**{"recurring[interval]": "month"})
    return (*_card(card), *monthly, Step("subscription", "/v1/subscriptions", params))


def _setup(card: str) -> tuple[Step, ...]:
    params = {"customer": "{customer}", "payment_method": "{payment_method}", "confirm": "true"}
    params["return_url"] = "https://example.com"
    return (*_card(card), Step("setup_intent", "/v1/setup_intents", params))


_AMOUNT: Final = "20000"
"""Above the least amount of every currency."""

_REFUND: Final = Step("refund", "/v1/refunds", {"charge": "{charge}"})
_DISPUTE: Final = _charge("createDispute")
_MANUAL: Final = _payment(capture_method="manual")
_SENT: Final = {"collection_method": "send_invoice", "days_until_due": "7"}
_PAID: Final = (*_invoice(), _act("/v1/invoices/{invoice}/pay"))
_UNPAID: Final = (
    *_open_invoice("chargeCustomerFail"),
    Step("", "/v1/invoices/{invoice}/pay", declined=True),
)
_EVIDENCE: Final = "evidence[uncategorized_text]"
_FIND_DISPUTE: Final = Step("dispute", "/v1/disputes?charge={charge}", method="GET")

TRIGGERS: Final[Mapping[str, tuple[Step, ...]]] = {
    "charge.captured": (*_MANUAL, _act("/v1/payment_intents/{payment_intent}/capture")),
    "charge.dispute.closed": (*_DISPUTE, _FIND_DISPUTE, _act("/v1/disputes/{dispute}/close")),
    "charge.dispute.created": _DISPUTE,
    "charge.dispute.funds_reinstated": (
        *_DISPUTE,
        _FIND_DISPUTE,
        Step("", "/v1/disputes/{dispute}", {_EVIDENCE: "winning_evidence"}),
    ),
    "charge.dispute.funds_withdrawn": _DISPUTE,
    "charge.dispute.updated": (
        *_DISPUTE,
        _FIND_DISPUTE,
        Step("", "/v1/disputes/{dispute}", {_EVIDENCE: "He came by himself."}),
    ),
    "charge.expired": (*_MANUAL, Step("", "happen/payment_intents/{payment_intent}/expire")),
    "charge.failed": _payment("chargeCustomerFail", declined=True),
    "charge.refund.updated": (*_charge("refundFail"), _REFUND),
    "charge.refunded": (*_charge(), _REFUND),
    "charge.succeeded": _charge(),
    "charge.updated": _payment(),
    "customer.created": (Step("customer", "/v1/customers", {"email": "ada@example.com"}),),
    "customer.deleted": (
        Step("customer", "/v1/customers", {"email": "ada@example.com"}),
        Step("", "/v1/customers/{customer}", method="DELETE"),
    ),
    "customer.subscription.created": _subscription(),
    "customer.subscription.deleted": (
        *_subscription(),
        Step("", "/v1/subscriptions/{subscription}", method="DELETE"),
    ),
    "customer.subscription.trial_will_end": _subscription(trial_period_days="3"),
    "customer.subscription.updated": (
        *_subscription(),
        _act("/v1/subscriptions/{subscription}", cancel_at_period_end="true"),
    ),
    "customer.updated": (
        Step("customer", "/v1/customers", {"email": "ada@example.com"}),
        _act("/v1/customers/{customer}", name="Ada"),
    ),
    "invoice.created": _invoice(),
    "invoice.finalized": _open_invoice(),
    "invoice.marked_uncollectible": (
        *_open_invoice(),
        _act("/v1/invoices/{invoice}/mark_uncollectible"),
    ),
    "invoice.paid": _PAID,
    "invoice.payment_action_required": (
        *_open_invoice("authenticationRequired"),
        _act("/v1/invoices/{invoice}/pay", off_session="false"),
    ),
    "invoice.payment_failed": _UNPAID,
    "invoice.payment_succeeded": _PAID,
    "invoice.sent": (*_invoice(**_SENT), _act("/v1/invoices/{invoice}/send")),
    "invoice.updated": (*_invoice(), _act("/v1/invoices/{invoice}", footer="Thanks")),
    "invoice.voided": (*_open_invoice(), _act("/v1/invoices/{invoice}/void")),
    "invoice_payment.paid": _PAID,
    "invoiceitem.created": _invoice(),
    "invoiceitem.deleted": (
        *_invoice(),
        Step("", "/v1/invoiceitems/{invoice_item}", method="DELETE"),
    ),
    "payment_intent.amount_capturable_updated": _MANUAL,
    "payment_intent.canceled": (
        *_payment()[:-1],
        _act("/v1/payment_intents/{payment_intent}/cancel"),
    ),
    "payment_intent.created": _payment()[:-1],
    "payment_intent.payment_failed": _payment("chargeCustomerFail", declined=True),
    "payment_intent.requires_action": _payment("authenticationRequired"),
    "payment_intent.succeeded": _payment(),
    "payment_method.attached": _card("visa"),
    "payment_method.detached": (
        *_card("visa"),
        _act("/v1/payment_methods/{payment_method}/detach"),
    ),
    "price.created": _priced(),
    "price.updated": (*_priced(), _act("/v1/prices/{price}", nickname="Old")),
    "product.created": _priced()[:1],
    "product.updated": (*_priced()[:1], _act("/v1/products/{product}", name="Old plan")),
    "refund.created": (*_charge(), _REFUND),
    "refund.failed": (*_charge("refundFail"), _REFUND),
    "refund.updated": (*_charge("refundFail"), _REFUND),
    "setup_intent.created": _setup("visa"),
    "setup_intent.requires_action": _setup("authenticationRequired"),
    "setup_intent.succeeded": _setup("visa"),
}
"""What brings each event about."""


async def trigger(
    kind: str,
    url: str,
    *,
    account: str = "",
    customer: str = "",
    key: str = PLATFORM_KEY,
) -> Triggered:
    """Bring an event about at a running emulator.

    kind: one of TRIGGERS; KeyError for another. url: the emulator's. account: a connected one;
    empty for the platform's own. customer: who is to be the customer, instead of a new one; the
    triggers that make none leave it unused. key: the platform's, `sk_live_` for live mode.
    Raises TriggerError.
    """
    steps = TRIGGERS[kind]
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with ControlClient(url) as control, aiohttp.ClientSession(timeout=timeout) as session:
        live = key.startswith("sk_live_")
        run = _Run(url.rstrip("/"), session, control, key, account, livemode=live)
        try:
            return await run.all(kind, steps, customer)
        except ControlError as error:
            raise TriggerError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            words = f"no emulator answers at {url}; `billing emulator` runs one"
            raise NoEmulatorError(words) from error


class _Run:
    """One run of a trigger: the ids that its steps have made so far."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        control: ControlClient,
        key: str,
        account: str,
        *,
        livemode: bool,
    ) -> None:
        self._url = url
        self._session = session
        self._control = control
        self._headers = {"Authorization": f"Bearer {key}"}
        if account:
            self._headers["Stripe-Account"] = account
        self._account = account
        self._livemode = livemode
        self._known: dict[str, str] = {}

    async def all(self, kind: str, steps: Iterable[Step], customer: str) -> Triggered:
        """Take the steps, then find the event that followed from them."""
        account = await self._call("GET", "/v1/account", {})
        self._known["currency"] = account["default_currency"]
        latest = await self._call("GET", "/v1/events?limit=1", {})
        for step in steps:
            if step.name == "customer" and customer:
                self._known["customer"] = customer
                continue
            await self._take(step)
        made = {name: known for name, known in self._known.items() if name != "currency"}
        event = await self._event(kind, made, latest["data"])
        return Triggered(
            event=event["id"],
            type=kind,
            account=account["id"],
            object=event["data"]["object"].get("id", ""),
            objects=made,
        )

    async def _take(self, step: Step) -> None:
        path = step.path.format_map(
            {name: quote(one, safe="") for name, one in self._known.items()}
        )
        params = {name: value.format_map(self._known) for name, value in step.params.items()}
        if path.startswith("happen/"):
            _, collection, identifier, name = path.split("/")
            await self._control.happen(
                collection, identifier, name, params,
                account=self._account, livemode=self._livemode,
            )  # fmt: skip
            return
        answer = await self._call(step.method, path, params, declined=step.declined)
        if step.name:
            listed = answer["data"] if answer.get("object") == "list" else [answer]
            self._known[step.name] = listed[0]["id"]

    async def _event(
        self, kind: str, made: Mapping[str, str], latest: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """The newest event of a type that is about what was made."""
        after = f"&ending_before={latest[0]['id']}" if latest else ""
        page = await self._call("GET", f"/v1/events?type={kind}&limit={_SEEN}{after}", {})
        for event in page["data"]:
            words = str(event["data"]["object"])
            if any(identifier in words for identifier in made.values()):
                return cast("dict[str, Any]", event)
        raise TriggerError(f"{kind} did not follow from {', '.join(made.values())}")

    async def _call(
        self, method: str, path: str, params: Mapping[str, str], *, declined: bool = False
    ) -> dict[str, Any]:
        """The answer of the emulator; TriggerError where it is another than the one wanted."""
        async with self._session.request(
            method, f"{self._url}{path}", data=dict(params) or None, headers=self._headers
        ) as response:
            answer: dict[str, Any] = await response.json()
        if response.status != (402 if declined else 200):
            message = answer.get("error", {}).get("message", "no decline")
            raise TriggerError(f"{method} {path}: {response.status} {message}")
        return answer
