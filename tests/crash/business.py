"""What happens at Stripe while the service is killed, and what must have come of it in the end.

Stripe's time leaps with the clock of the lives. What an event tells is what Stripe shows from then
on, so a read and the last event of an object never disagree.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from domain.contacts import contact_id_for
from tests.unit.stripe import billing_samples, samples
from tests.unit.stripe.samples import JsonObject

CONNECTED: Final = "acct_connected"
PLATFORM: Final = "acct_platform"
PAYER: Final = "cus_payer"
"""In each account, the customer who pays: somebody has linked him to a contact by hand."""

KNOWN: Final = 400
"""How many contacts the CRM of the connected account has, each with an address of mail."""

OLD_RELEASE: Final = "2024-06-20"
"""Of events in it only the object's id is read; the object is read again from Stripe."""

Effect = tuple[str, ...]
"""What follows from events: the kind of thing, whose it is, and what tells it from all others."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as Stripe delivers it. `ours`: one of the platform's own account."""

    id: str
    body: bytes
    ours: bool


def tenant_of(stripe_account: str) -> str:
    """The account that is, or will be, connected to a Stripe account."""
    return stripe_account.removeprefix("acct_")


class Business:
    """Stripe accounts with something going on. One is connected; another waits for that.

    `connected` are all that are or were connected, `left` those of them whose owners have left.
    `objects` is what Stripe shows now, by Stripe account and id; `paid_for` names the invoices of
    charges, by the same keys.
    """

    def __init__(self, seconds: Callable[[], int]) -> None:
        """`seconds` is Stripe's clock."""
        self.objects: dict[tuple[str, str], JsonObject] = {}
        self.paid_for: dict[tuple[str, str], str] = {}
        self.connected = {CONNECTED}
        self.left: set[str] = set()
        self._seconds = seconds
        self._waiting = 1
        self._leaving = 1
        self._bundles = 0
        self._told: list[Sent] = []
        self._facts: list[tuple[str, str, str]] = []
        self._notices: list[tuple[str, str, str]] = []
        self._changes: list[tuple[str, str, str]] = []
        self._contacts: dict[tuple[str, str], str] = {}
        self._without_effects: list[tuple[str, str]] = []

    @property
    def waiting(self) -> str:
        """The Stripe account that no account is connected to yet."""
        return f"acct_waiting{self._waiting}"

    @property
    def leaving(self) -> str:
        """The Stripe account whose owner will take the access away."""
        return f"acct_leaving{self._leaving}"

    def connect(self) -> None:
        """From now on the waiting account is connected, and another waits."""
        self.connected.add(self.waiting)
        self._waiting += 1

    def leave(self) -> None:
        """The owner of the leaving account, which is connected, takes the access away."""
        self.connected.add(self.leaving)
        self.left.add(self.leaving)
        self._leaving += 1

    def happen(self) -> list[Sent]:
        """A little of everything happens; returns the events."""
        self._told = []
        self._bundles += 1
        number, now = self._bundles, self._seconds()
        self._customers(number, now)
        self._subscription(number, now)
        self._payment(number, now)
        self._invoice(CONNECTED, number, now)
        self._payout(number, now)
        newcomer = self._customer(self.waiting, f"cus_waiting_{number}", now - 3, "Wim")
        self._contacts[self.waiting, newcomer] = contact_id_for(
            tenant_of(self.waiting), self.waiting, newcomer
        )
        self._invoice(self.waiting, number, now)
        self._deauthorizations(now)
        own = samples.charge(id=f"ch_platform_{number}", payment_intent=None, created=now - 3)
        self._tell(PLATFORM, "charge.succeeded", own, now - 3)
        return self._told

    def effects(self) -> set[Effect]:
        """Everything that must have followed by the end."""
        found: set[Effect] = {("history", *change) for change in self._changes}
        found |= {
            ("waiting", *event) for event in self._without_effects if event[0] not in self.connected
        }
        for stripe_account, fact, object_id in self._facts:
            if stripe_account in self.connected:
                found.add(("billing event", tenant_of(stripe_account), f"events.{fact}", object_id))
        for stripe_account, invoice, words in self._notices:
            if stripe_account in self.connected:
                account, contact = tenant_of(stripe_account), payer_contact(stripe_account)
                found.add(("conversation", account, contact))
                found.add(("message", account, contact, words))
                found.add(("job", account, invoice))
                found.add(("published job", account, invoice))
        for (stripe_account, customer), contact in self._contacts.items():
            if stripe_account in self.connected:
                account = tenant_of(stripe_account)
                shown = self.objects[stripe_account, customer]
                found.add(("contact", account, contact, shown["name"], shown["email"]))
                found.add(("link", account, customer, contact))
        return found | self._set_up()

    def _set_up(self) -> set[Effect]:
        """What was there before the first event, and is untouched."""
        found: set[Effect] = set()
        for stripe_account in self.connected:
            account = tenant_of(stripe_account)
            state = "revoked" if stripe_account in self.left else "active"
            found.add(("connection", account, stripe_account, state))
            found.add(("contact", account, payer_contact(stripe_account), "Pia", ""))
            found.add(("link", account, PAYER, payer_contact(stripe_account)))
        matched = set(self._contacts.values())
        for number in range(1, KNOWN + 1):
            contact, email = known_contact(number)
            if contact not in matched:
                found.add(("contact", tenant_of(CONNECTED), contact, "", email))
        return found

    def _customers(self, number: int, now: int) -> None:
        """A new one, changed soon after; one whom the CRM knows; another change of the last one."""
        new = self._customer(CONNECTED, f"cus_new_{number}", now - 4, "Ada")
        self._contacts[CONNECTED, new] = contact_id_for(tenant_of(CONNECTED), CONNECTED, new)
        self._rename(new, now - 2, "Bea")
        if number > 1:
            self._rename(f"cus_new_{number - 1}", now, "Cyd")
        if number <= KNOWN:
            contact, email = known_contact(number)
            known = self._customer(CONNECTED, f"cus_known_{number}", now - 3, "Dan", email)
            self._contacts[CONNECTED, known] = contact

    def _customer(
        self, stripe_account: str, id_: str, at: int, name: str, email: str | None = None
    ) -> str:
        email = email or f"{id_}@customers.example"
        made = samples.customer(id=id_, created=at, name=name, email=email, phone=None)
        self._tell(stripe_account, "customer.created", made, at)
        self._facts.append((stripe_account, "customer_created", id_))
        return id_

    def _rename(self, id_: str, at: int, name: str) -> None:
        before = self.objects[CONNECTED, id_]
        previous = {"name": before["name"]}
        self._tell(CONNECTED, "customer.updated", {**before, "name": name}, at, previous)

    def _subscription(self, number: int, now: int) -> None:
        """One that begins; every third is canceled at once."""
        id_ = f"sub_{number}"
        item = billing_samples.subscription_item(subscription=id_)
        begun = billing_samples.subscription(item, id=id_, status="incomplete", created=now - 4)
        ways = [("created", "incomplete"), ("updated", "active")]
        self._facts.append((CONNECTED, "subscription_created", id_))
        if number % 3 == 0:
            ways.append(("deleted", "canceled"))
            self._facts.append((CONNECTED, "subscription_ended", id_))
        before = ""
        for at, (what, status) in enumerate(ways, now - 4):
            shown, previous = {**begun, "status": status}, {"status": before} if before else None
            type_ = f"customer.subscription.{what}"
            event = self._tell(CONNECTED, type_, shown, at, previous)
            self._changes.append((CONNECTED, event, status))
            before = status

    def _payment(self, number: int, now: int) -> None:
        """A charge, described within the second, for the invoice of the same number.

        Every other one is disputed then, which no event of the charge's own tells.
        """
        intent, invoice = f"pi_{number}", f"in_{number}"
        charge = samples.charge(
            id=f"ch_{number}", payment_intent=intent, created=now - 3, description=None
        )
        self._tell(CONNECTED, "charge.succeeded", charge, now - 3)
        described = {**charge, "description": f"Order {number}"}
        self._tell(CONNECTED, "charge.updated", described, now - 3, {"description": None})
        self._facts.append((CONNECTED, "payment_succeeded", charge["id"]))
        if number % 2 == 0:
            dispute = samples.dispute(id=f"du_{number}", charge=charge["id"], created=now - 1)
            self._tell(CONNECTED, "charge.dispute.created", dispute, now - 1)
            self._facts.append((CONNECTED, "dispute_opened", dispute["id"]))
            self.objects[CONNECTED, charge["id"]] = {**described, "disputed": True}
        paid = billing_samples.invoice_payment(
            id=f"inpay_{number}", invoice=invoice, created=now - 3,
            payment={"payment_intent": intent, "type": "payment_intent"},
        )  # fmt: skip
        self._tell(CONNECTED, "invoice_payment.paid", paid, now - 2)
        self.paid_for[CONNECTED, charge["id"]] = invoice

    def _invoice(self, stripe_account: str, number: int, now: int) -> None:
        """The payer pays an invoice, which Stripe tells twice."""
        amount = 1_000 + number
        invoice = billing_samples.invoice(
            billing_samples.invoice_line(), id=f"in_{number}", customer=PAYER, created=now - 3,
            amount_paid=amount, amount_due=amount, amount_remaining=0, number=f"A-{number}",
        )  # fmt: skip
        for type_ in ("invoice.paid", "invoice.payment_succeeded"):
            self._tell(stripe_account, type_, invoice, now - 2)
        words = f"Payment received: {amount // 100}.{amount % 100:02} EUR for invoice A-{number}."
        self._facts.append((stripe_account, "invoice_paid", invoice["id"]))
        self._notices.append((stripe_account, invoice["id"], words))

    def _payout(self, number: int, now: int) -> None:
        """A payout arrives, told in a release that is not read."""
        payout = samples.payout(id=f"po_{number}", status="paid", created=now - 3)
        self._tell(CONNECTED, "payout.paid", payout, now - 2, api_version=OLD_RELEASE)
        self._facts.append((CONNECTED, "payout_paid", payout["id"]))

    def _deauthorizations(self, now: int) -> None:
        """Stripe tells who has left; again and again, as if it had happened anew."""
        for stripe_account in sorted(self.left):
            application = {"id": "ca_1", "object": "application", "name": "Billing"}
            self._send(stripe_account, "account.application.deauthorized", application, now)

    def _tell(
        self,
        stripe_account: str,
        type_: str,
        of: JsonObject,
        at: int,
        previous: Mapping[str, Any] | None = None,
        *,
        api_version: str = samples.API_VERSION,
    ) -> str:
        """Stripe shows the object so from now on, and will deliver that; returns the event's id."""
        self.objects[stripe_account, of["id"]] = of
        return self._send(stripe_account, type_, of, at, previous, api_version=api_version)

    def _send(
        self,
        stripe_account: str,
        type_: str,
        of: JsonObject,
        at: int,
        previous: Mapping[str, Any] | None = None,
        *,
        api_version: str = samples.API_VERSION,
    ) -> str:
        ours = stripe_account == PLATFORM
        event = samples.event(
            of, type_, previous=None if previous is None else dict(previous),
            id=f"evt_{self._bundles:04}_{len(self._told):02}", account=stripe_account, created=at,
            api_version=api_version,
        )  # fmt: skip
        if stripe_account == self.waiting:
            self._without_effects.append((stripe_account, event["id"]))
        told = samples.without(event, "account") if ours else event
        self._told.append(Sent(event["id"], samples.encoded(told), ours))
        return str(event["id"])


def payer_contact(stripe_account: str) -> str:
    """The contact of the payer in an account."""
    return f"payer-{tenant_of(stripe_account)}"


def known_contact(number: int) -> tuple[str, str]:
    """The id and the address of mail of a contact that the CRM has."""
    return f"known-{number}", f"known-{number}@contacts.example"
