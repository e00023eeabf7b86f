"""Every mutating RPC of the contract: a valid request of it, and what it changes exactly once."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import stripe
from billing_client.v1.checkout_service_pb2 import CheckoutState

from bootstrap.process import opened
from tests.support.contract.tenant import EMAIL, METHODS, Fields, Ground, invoice, plan
from tests.support.pictures import GIF
from tests.support.rooms import checkouts_end_to_end as checkouts
from tests.support.rooms.wallets_end_to_end import (
    credited,
    declined,
    paid_by_child,
    paying,
    sub_account,
    unconfirmed,
    used,
)
from tests.support.servers.connected import cut
from tests.support.servers.service import PRIVATE, REDIRECT_URI

Facts = tuple[object, object]

MUTATING: Final = sorted(
    name for name, (method, _) in METHODS.items()
    if "request_id" in method.input_type.fields_by_name
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """A mutation that was made on a ground: its request's fields, and its reply."""

    ground: Ground
    fields: Fields
    reply: Any


@dataclass(frozen=True, slots=True)
class Mutation:
    """How a mutating RPC is tried.

    `make` prepares what a request needs and gives its fields. `routes` are the mutating requests
    that it sends to Stripe, each once. `event` is the type of the one event that its effect is at
    Stripe. `facts` gives what Stripe shows afterwards and what Billing shows: they are equal.
    `foreign` is the reason for which another tenant's ids are refused; empty: it takes none.
    `logged`: the mutation log is its record; else an entry of a wallet is, by the key
    `<method>:<request id>`. `process`: what it sends is carried on whatever becomes of the call,
    which tells how that stands; lost answers are tried in `tests/crash/test_reloads.py` and
    `test_checkouts.py`.
    `lost` is the reason with which a lost answer ends for good; empty: it is found later.
    `on_platform`: its requests are on the platform's own behalf.
    """

    make: Callable[[Ground], Awaitable[Fields]]
    facts: Callable[[Done], Awaitable[Facts]]
    routes: tuple[str, ...] = ()
    event: str = ""
    foreign: str = "NOT_FOUND"
    logged: bool = True
    process: bool = False
    lost: str = ""
    on_platform: bool = False


async def cancelling(g: Ground) -> Fields:
    id_ = await g.subscription()
    await g.mutate("SubscriptionService.CancelSubscription", id=id_, at_period_end=True)
    return {"id": id_}


async def paused(g: Ground) -> Fields:
    id_ = await g.subscription()
    await g.mutate("SubscriptionService.PauseCollection", id=id_, behavior="void")
    return {"id": id_}


async def owned_card(g: Ground) -> Fields:
    customer = await g.customer()
    return {"customer": customer, "id": await g.card(customer)}


async def linked(g: Ground) -> Fields:
    fields = {"customer": await g.customer(), "contact": await g.contact()}
    await g.mutate("ContactLinkService.LinkContact", **fields)
    return {"customer": fields["customer"]}


async def customer_facts(done: Done) -> Facts:
    """What is known of a customer."""
    id_ = done.reply.id if hasattr(done.reply, "email") else done.fields["customer"]
    there = await done.ground.stripe(f"/v1/customers/{id_}")
    here = await done.ground.call("CustomerService.GetCustomer", {"id": id_})
    settings = there["invoice_settings"]["default_payment_method"]
    return (there["email"], there["name"] or "", settings or ""), (
        here.email, here.name, here.default_payment_method,
    )  # fmt: skip


async def no_customer_facts(done: Done) -> Facts:
    """That a customer is gone."""
    there = await done.ground.stripe(f"/v1/customers/{done.fields['id']}")
    page = await done.ground.call("CustomerService.ListCustomers", {})
    return there["deleted"], done.fields["id"] not in [one.id for one in page.customers]


async def invoice_facts(done: Done) -> Facts:
    """What is known of an invoice, and that there is no other."""
    id_ = done.reply.invoice if hasattr(done.reply, "short_url") else done.reply.id
    there = (await done.ground.stripe("/v1/invoices", limit=100))["data"]
    here = (await done.ground.call("InvoiceService.ListInvoices", {})).invoices
    assert id_ in [one.id for one in here]
    return (
        [(one["id"], one["status"], one["total"], one["description"] or "") for one in there],
        [(one.id, one.status, one.total.amount, one.description) for one in here],
    )


async def no_invoice_facts(done: Done) -> Facts:
    """That there are no invoices."""
    there = (await done.ground.stripe("/v1/invoices", limit=100))["data"]
    here = (await done.ground.call("InvoiceService.ListInvoices", {})).invoices
    assert there == []
    return there, list(here)


async def subscription_facts(done: Done) -> Facts:
    """What is known of the one subscription."""
    (there,) = (await done.ground.stripe("/v1/subscriptions", status="all"))["data"]
    (here,) = (await done.ground.call("SubscriptionService.ListSubscriptions", {})).subscriptions
    pause = there["pause_collection"]
    return (
        there["id"], there["status"], there["cancel_at_period_end"], there["description"] or "",
        pause["behavior"] if pause else "",
    ), (
        here.id, here.status, here.cancel_at_period_end, here.description, here.pause.behavior,
    )  # fmt: skip


async def refund_facts(done: Done) -> Facts:
    """The one refund."""
    there = (await done.ground.stripe("/v1/refunds", charge=done.fields["id"]))["data"]
    here = (
        await done.ground.call("ChargeService.ListRefunds", {"charge": done.fields["id"]})
    ).refunds
    assert len(there) == 1
    return (
        [(one["id"], one["amount"], one["status"]) for one in there],
        [(one.id, one.amount.amount, one.status) for one in here],
    )


async def method_facts(done: Done) -> Facts:
    """The payment methods of a customer."""
    customer = done.fields["customer"]
    there = (await done.ground.stripe(f"/v1/customers/{customer}/payment_methods"))["data"]
    here = await done.ground.call("PaymentMethodService.ListPaymentMethods", {"customer": customer})
    return [one["id"] for one in there], [one.id for one in here.payment_methods]


async def setup_facts(done: Done) -> Facts:
    """The one setup intent."""
    there = (await done.ground.stripe("/v1/setup_intents", customer=done.fields["customer"]))[
        "data"
    ]
    return [one["id"] for one in there], [done.reply.id]


async def note_facts(done: Done) -> Facts:
    """The notes."""
    here = (await done.ground.call("NoteService.ListNotes", {})).notes
    wanted = [done.reply] if hasattr(done.reply, "text") else []
    return wanted, list(here)


async def link_facts(done: Done) -> Facts:
    """The link of a customer."""
    customer = done.fields["customer"]
    page = await done.ground.call("ContactLinkService.ListUnlinkedCustomers", {})
    if not hasattr(done.reply, "contact"):
        return [customer], [one.id for one in page.customers]
    here = await done.ground.call("ContactLinkService.GetContactLink", {"customer": customer})
    return (done.reply, []), (here, list(page.customers))


async def mapping_facts(done: Done) -> Facts:
    """The mapping of the account."""
    return done.reply, await done.ground.call("ContactLinkService.GetContactMapping", {})


async def product_facts(done: Done) -> Facts:
    """The one product of a tenant."""
    (there,) = (await done.ground.stripe("/v1/products"))["data"]
    (details,) = (await done.ground.call("CatalogService.ListProducts", {})).products
    here = details.product
    return (
        there["id"], there["name"], there["active"], there["images"],
        there["default_price"] or "",
    ), (here.id, here.name, here.active, [*here.images], here.default_price)  # fmt: skip


async def no_product_facts(done: Done) -> Facts:
    """That there are no products."""
    there = (await done.ground.stripe("/v1/products"))["data"]
    return there, list((await done.ground.call("CatalogService.ListProducts", {})).products)


async def price_facts(done: Done) -> Facts:
    """The prices of a tenant."""
    there = (await done.ground.stripe("/v1/prices"))["data"]
    here = (await done.ground.call("CatalogService.ListPrices", {})).prices
    return (
        sorted((p["id"], p["active"], p["unit_amount"], p["nickname"] or "") for p in there),
        sorted((p.id, p.active, p.unit_amount, p.nickname) for p in here),
    )


async def entry_facts(done: Done) -> Facts:
    """The last entry of a wallet, and its balance."""
    account = {"account": done.fields.get("account", "")}
    page = await done.ground.call("WalletService.ListEntries", account)
    wallet = await done.ground.call("WalletService.GetWallet", account)
    entry = page.entries[0]
    return (done.reply, wallet.available, wallet.sequence), (
        entry, entry.available_after, entry.sequence,
    )  # fmt: skip


async def reload_facts(done: Done) -> Facts:
    """The one reload and its payment, and what is available."""
    account = {"account": done.fields.get("account", "")}
    (here,) = (await done.ground.call("WalletService.ListReloads", account)).reloads
    sdk, options = done.ground.world.sdk, {"stripe_account": here.stripe_account}
    payments = await sdk.v1.payment_intents.list_async({"customer": here.customer}, options)  # type: ignore[arg-type]
    (there,) = payments.data
    charge = there.latest_charge
    refunded = 0
    if isinstance(charge, str):
        refunded = (await sdk.v1.charges.retrieve_async(charge, None, options)).amount_refunded  # type: ignore[arg-type]
    wallet = await done.ground.call("WalletService.GetWallet", account)
    paid = there.amount_received - refunded
    available = wallet.available.amount - (1_000 if account["account"] else 0)
    return (there.id, there.customer, refunded, paid), (
        here.payment_intent, here.customer, here.gone.amount, available,
    )  # fmt: skip


async def checkout_facts(done: Done) -> Facts:
    """The one checkout and its one payment."""
    (here,) = (await done.ground.call("CheckoutService.ListCheckouts", {})).checkouts
    assert done.reply.id == here.id
    payments = done.ground.world.sdk.v1.payment_intents
    query: Any = {"customer": here.customer}
    (there,) = (await payments.list_async(query, checkouts.place(here))).data
    state = CheckoutState.Name(here.state).removeprefix("CHECKOUT_STATE_").lower()
    paid = {"completed": checkouts.PAID}.get(state, 0)
    return (there.id, there.customer, there.amount_received), (
        here.payment_intent, here.customer, paid,
    )  # fmt: skip


async def sale_facts(done: Done) -> Facts:
    """What was given back of a sub-account's purchase."""
    found = await done.ground.call(
        "CheckoutService.GetCheckout", {name: done.fields[name] for name in ("account", "id")}
    )
    query: Any = {"payment_intent": found.payment_intent}
    refunds = done.ground.world.sdk.v1.refunds
    there = (await refunds.list_async(query, checkouts.place(found))).data
    return [one.amount for one in there], [found.refunded.amount]


async def wallet_facts(done: Done) -> Facts:
    """The settings of a wallet."""
    wallet = await done.ground.call("WalletService.GetWallet", {})
    return done.reply, wallet.settings


async def rebilling_facts(done: Done) -> Facts:
    """The multipliers of a sub-account."""
    account = {"account": done.fields["account"]}
    told = await done.ground.call("WalletService.GetRebilling", account)
    return done.reply, told.settings


async def prepared_facts(done: Done) -> Facts:
    """The one setup intent of a sub-account."""
    there = await done.ground.stripe("/v1/setup_intents", customer=done.reply.customer)
    account = {"account": done.fields["account"]}
    wallet = await done.ground.call("WalletService.GetWallet", account)
    assert wallet.customer == done.reply.customer
    return [one["id"] for one in there["data"]], [done.reply.setup_intent.id]


async def archived_product(g: Ground) -> Fields:
    id_ = await g.product()
    await g.mutate("CatalogService.ArchiveProduct", id=id_)
    return {"id": id_}


async def archived_price(g: Ground) -> Fields:
    id_ = await g.price()
    await g.mutate("CatalogService.ArchivePrice", id=id_)
    return {"id": id_}


def make(**fields: Any) -> Callable[[Ground], Awaitable[Fields]]:
    """Fields, of which those that are functions of the ground are made on it."""

    async def made(g: Ground) -> Fields:
        return {
            name: await value(g) if callable(value) else value for name, value in fields.items()
        }

    return made


def inside(
    message: str, noun: Callable[[Ground], Awaitable[str]], /, **more: Any
) -> Callable[[Ground], Awaitable[Fields]]:
    """Fields of an update: `message` with the id of an object of the ground's."""

    async def made(g: Ground) -> Fields:
        return {message: {"id": await noun(g), **more}}

    return made


INVOICE: Final = "POST /v1/invoices/{id}"
SUBSCRIPTION: Final = "POST /v1/subscriptions/{id}"

AUTO_RELOAD: Final = {
    "threshold": 500, "amount": 1_000, "payment_method": "pm_1", "most_per_charge": 5_000,
    "most_per_day": 20_000,
}  # fmt: skip
PRODUCT: Final = "POST /v1/products/{id}"
PRICE: Final = "POST /v1/prices/{id}"
INTENT: Final = "POST /v1/payment_intents/{id}"


async def consented(g: Ground) -> Fields:
    """An owner's consent for an account whose connection was cut."""
    await g.world.emulator.control.deauthorize(g.tenant.stripe_account)
    async with opened(g.world.service.parsed()) as container:
        await cut(container, g.tenant.account)
    session = {"redirect_uri": REDIRECT_URI, "session_digest": "5" * 64}
    begun = await g.call("ConnectionService.BeginConnection", session)
    sent = await g.world.emulator.control.consent(begun.authorize_url, g.tenant.stripe_account)
    query = parse_qs(urlsplit(sent).query)
    return {**session, "code": query["code"][0], "state": query["state"][0]}


async def connection_facts(done: Done) -> Facts:
    """Whether the platform has access, and may use it."""
    try:
        await done.ground.stripe("/v1/balance")
    except stripe.PermissionError:
        there = False
    else:
        there = True
    here = await done.ground.call("ConnectionService.GetConnection", {})
    assert done.reply.stripe_account == here.stripe_account == done.ground.tenant.stripe_account
    assert done.reply.state == here.state
    return there, here.state == type(here).STATE_ACTIVE


TABLE: Final[Mapping[str, Mutation]] = {
    "CatalogService.CreateProduct": Mutation(
        make(
            product={"name": "Seat"},
            prices=[{"currency": "usd", "unit_amount": 900, "make_default": True}],
        ),
        product_facts, ("POST /v1/products", "POST /v1/prices", PRODUCT), "product.created",
        foreign="",
    ),
    "CatalogService.UpdateProduct": Mutation(
        inside("product", Ground.product, name="Desk"), product_facts, (PRODUCT,),
        "product.updated",
    ),
    "CatalogService.ArchiveProduct": Mutation(
        make(id=Ground.product), product_facts, (PRODUCT,), "product.updated"
    ),
    "CatalogService.UnarchiveProduct": Mutation(
        archived_product, product_facts, (PRODUCT,), "product.updated"
    ),
    "CatalogService.DeleteProduct": Mutation(
        make(id=Ground.product), no_product_facts, ("DELETE /v1/products/{id}",),
        "product.deleted",
    ),
    "CatalogService.UploadProductImage": Mutation(
        make(product=Ground.product, size=len(GIF), piece=GIF), product_facts,
        ("POST /files/v1/files", PRODUCT), "product.updated",
    ),
    "CatalogService.CreatePrice": Mutation(
        make(product=Ground.product, price={"currency": "usd", "unit_amount": 900}), price_facts,
        ("POST /v1/prices",), "price.created",
    ),
    "CatalogService.UpdatePrice": Mutation(
        inside("price", Ground.price, nickname="Old"), price_facts, (PRICE,), "price.updated"
    ),
    "CatalogService.ArchivePrice": Mutation(
        make(id=Ground.price), price_facts, (PRICE,), "price.updated"
    ),
    "CatalogService.UnarchivePrice": Mutation(
        archived_price, price_facts, (PRICE,), "price.updated"
    ),
    "CatalogService.ReplacePrice": Mutation(
        make(id=Ground.price, price={"unit_amount": 1_000}), price_facts,
        ("POST /v1/prices", PRICE), "price.created",
    ),
    "ChargeService.RefundCharge": Mutation(
        make(id=Ground.charge, amount={"amount": 500, "currency": "usd"}), refund_facts,
        ("POST /v1/refunds",), "refund.created",
    ),
    "CheckoutService.ExecuteCheckout": Mutation(
        checkouts.quoted, checkout_facts,
        ("POST /v1/payment_intents", f"{INTENT}/capture"),
        foreign="INVALID_FIELDS", process=True,
    ),
    "CheckoutService.ConfirmCheckout": Mutation(
        checkouts.unconfirmed, checkout_facts, process=True
    ),
    "CheckoutService.RetryPayment": Mutation(
        checkouts.declined, checkout_facts, (f"{INTENT}/confirm", f"{INTENT}/capture"),
        process=True,
    ),
    "CheckoutService.CancelCheckout": Mutation(
        checkouts.unconfirmed, checkout_facts, (f"{INTENT}/cancel",), process=True
    ),
    "CheckoutService.RefundCheckout": Mutation(
        checkouts.sold, sale_facts, ("POST /v1/refunds",), "refund.created", process=True
    ),
    "CheckoutService.ResolveCheckout": Mutation(
        checkouts.odd, checkout_facts, foreign="NOT_OPERATOR", process=True
    ),
    "ConnectionService.CompleteConnection": Mutation(
        consented, connection_facts, ("POST /oauth/token",), foreign="STATE_UNKNOWN",
        lost="CONNECTION_OUTCOME_UNKNOWN", on_platform=True,
    ),
    "ConnectionService.Disconnect": Mutation(
        make(), connection_facts, ("POST /oauth/deauthorize",), foreign="", on_platform=True
    ),
    "ContactLinkService.LinkContact": Mutation(
        make(customer=Ground.customer, contact=Ground.contact), link_facts
    ),
    "ContactLinkService.UnlinkContact": Mutation(linked, link_facts),
    "ContactLinkService.UpdateContactMapping": Mutation(
        make(contact_mapping={"fields": {"name": "name"}, "create_contacts": True}),
        mapping_facts, foreign="",
    ),
    "CustomerService.CreateCustomer": Mutation(
        make(customer={"email": EMAIL, "name": PRIVATE}), customer_facts,
        ("POST /v1/customers",), "customer.created", foreign="",
    ),
    "CustomerService.UpdateCustomer": Mutation(
        inside("customer", Ground.customer, name=f"New {PRIVATE}"), customer_facts,
        ("POST /v1/customers/{id}",), "customer.updated",
    ),
    "CustomerService.DeleteCustomer": Mutation(
        make(id=Ground.customer), no_customer_facts,
        ("DELETE /v1/customers/{id}",), "customer.deleted",
    ),
    "InvoiceService.CreateInvoice": Mutation(
        invoice, invoice_facts,
        ("POST /v1/invoices", f"{INVOICE}/add_lines"), "invoice.created",
    ),
    "InvoiceService.UpdateInvoice": Mutation(
        inside("invoice", Ground.draft, description="Memo"), invoice_facts, (INVOICE,),
        "invoice.updated",
    ),
    "InvoiceService.FinalizeInvoice": Mutation(
        make(id=Ground.draft), invoice_facts, (f"{INVOICE}/finalize",), "invoice.finalized"
    ),
    "InvoiceService.SendInvoice": Mutation(
        make(id=Ground.opened), invoice_facts, (f"{INVOICE}/send",), "invoice.sent"
    ),
    "InvoiceService.PayInvoice": Mutation(
        make(id=lambda g: g.opened(sent=False)), invoice_facts, (f"{INVOICE}/pay",), "invoice.paid"
    ),
    "InvoiceService.VoidInvoice": Mutation(
        make(id=Ground.opened), invoice_facts, (f"{INVOICE}/void",), "invoice.voided"
    ),
    "InvoiceService.MarkInvoiceUncollectible": Mutation(
        make(id=Ground.opened), invoice_facts, (f"{INVOICE}/mark_uncollectible",),
        "invoice.marked_uncollectible",
    ),
    "InvoiceService.DeleteInvoice": Mutation(
        make(id=Ground.draft), no_invoice_facts, ("DELETE /v1/invoices/{id}",), "invoice.deleted"
    ),
    "NoteService.CreateNote": Mutation(make(customer=Ground.customer, text="Note"), note_facts),
    "NoteService.UpdateNote": Mutation(inside("note", Ground.note, text="Other"), note_facts),
    "NoteService.DeleteNote": Mutation(make(id=Ground.note), note_facts),
    "PaymentLinkService.CreatePaymentLink": Mutation(
        make(
            contact=Ground.contact, currency="usd",
            items=[{"description": "Work", "unit_amount": {"amount": 900, "currency": "usd"}}],
        ),
        invoice_facts,
        (
            "POST /v1/customers", "POST /v1/invoices", f"{INVOICE}/add_lines",
            f"{INVOICE}/finalize",
        ),
        "invoice.finalized",
    ),
    "PaymentMethodService.AttachPaymentMethod": Mutation(
        make(customer=Ground.customer, id="pm_card_visa"), method_facts,
        ("POST /v1/payment_methods/{id}/attach",), "payment_method.attached",
    ),
    "PaymentMethodService.DetachPaymentMethod": Mutation(
        owned_card, method_facts,
        ("POST /v1/payment_methods/{id}/detach",), "payment_method.detached",
    ),
    "PaymentMethodService.SetDefaultPaymentMethod": Mutation(
        owned_card, customer_facts, ("POST /v1/customers/{id}",), "customer.updated"
    ),
    "PaymentMethodService.CreateSetupIntent": Mutation(
        make(customer=Ground.customer), setup_facts,
        ("POST /v1/setup_intents",), "setup_intent.created",
    ),
    "SubscriptionService.CreateSubscription": Mutation(
        plan, subscription_facts, ("POST /v1/subscriptions",), "customer.subscription.created"
    ),
    "SubscriptionService.UpdateSubscription": Mutation(
        inside("subscription", Ground.subscription, description="Seats"), subscription_facts,
        (SUBSCRIPTION,), "customer.subscription.updated",
    ),
    "SubscriptionService.CancelSubscription": Mutation(
        make(id=Ground.subscription), subscription_facts,
        ("DELETE /v1/subscriptions/{id}",), "customer.subscription.deleted",
    ),
    "SubscriptionService.ResumeSubscription": Mutation(
        cancelling, subscription_facts, (SUBSCRIPTION,), "customer.subscription.updated"
    ),
    "SubscriptionService.PauseCollection": Mutation(
        make(id=Ground.subscription, behavior="void"), subscription_facts,
        (SUBSCRIPTION,), "customer.subscription.updated",
    ),
    "SubscriptionService.ResumeCollection": Mutation(
        paused, subscription_facts, (SUBSCRIPTION,), "customer.subscription.updated"
    ),
    "WalletService.PrepareMethod": Mutation(
        make(account=sub_account), prepared_facts,
        ("POST /v1/customers", "POST /v1/setup_intents"), "setup_intent.created", foreign="",
    ),
    "WalletService.UpdateWalletSettings": Mutation(
        make(settings={"auto_reload": AUTO_RELOAD}), wallet_facts, foreign=""
    ),
    "WalletService.UpdateRebilling": Mutation(
        make(account=sub_account, settings={"multipliers": {"*": "1.5"}}), rebilling_facts,
        foreign="INVALID_FIELDS",
    ),
    "WalletService.ReloadWallet": Mutation(
        paying, reload_facts,
        ("POST /v1/payment_intents", f"{INTENT}/confirm"), process=True,
    ),
    "WalletService.RetryReload": Mutation(
        declined, reload_facts, (f"{INTENT}/confirm",), process=True
    ),
    "WalletService.CancelReload": Mutation(
        unconfirmed, reload_facts, (f"{INTENT}/cancel",), process=True
    ),
    "WalletService.RefundReload": Mutation(
        paid_by_child, reload_facts, ("POST /v1/refunds",), "refund.created",
        foreign="NOT_CREDITOR", process=True,
    ),
    "WalletService.DebitUsage": Mutation(
        credited, entry_facts, foreign="BALANCE_TOO_LOW", logged=False
    ),
    "WalletService.RefundUsage": Mutation(used, entry_facts, foreign="NOT_CREDITOR", logged=False),
    "WalletService.AdjustWallet": Mutation(
        make(account=sub_account, reason="gift", grant={"amount": 5, "currency": "usd"}),
        entry_facts, foreign="NOT_CREDITOR", logged=False,
    ),
}  # fmt: skip
"""How every mutating RPC is tried, by `Service.Method`."""
