"""Every RPC of the contract, given what is another tenant's: as if it never was.

The rows are made from the descriptors: each field that holds an id, a page token, a resume token or
an account. Who calls is a sub-account, and its main account for it. What they give is a
stranger's, the main account's own, or a sister's. Each answer is held, byte for byte, against that
for an id that never was, and both against the answer for one's own.
"""

import asyncio
import contextlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
import pytest_asyncio
from billing_client.v1 import mirror_service_pb2 as mirror_pb
from billing_client.v1 import options_pb2
from billing_client.v1.checkout_service_pb2 import CHECKOUT_STATE_COMPLETED
from google.protobuf.message_factory import GetMessageClass

from bootstrap.process import opened
from domain.accounts import Account
from sandbox.emulator.core.messages import AccountSpec
from tests.support.contract.answers import answered, is_refusal
from tests.support.contract.every_mutation import TABLE
from tests.support.contract.shelves import Shelf, payout, shelf
from tests.support.contract.tenant import METHODS, Fields, Ground, fresh
from tests.support.contract.tenant_ids import BESIDE, id_fields, with_id
from tests.support.rooms.store import ADD_ON
from tests.support.rooms.wallets_end_to_end import Family, Payer, payer
from tests.support.servers.on_mongo import mongo_world
from tests.support.servers.service import (
    REDIRECT_URI,
    ServiceAndEmulator,
    Tenant,
    token_for,
    until,
    world,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW: Final = int(time.time())
PERIOD: Final = {
    "start_time": {"seconds": NOW - 86_400}, "end_time": {"seconds": NOW + 86_400},
    "time_zone": "UTC",
}  # fmt: skip
SESSION: Final = "5" * 64
ROUND: Final[Fields] = {"redirect_uri": REDIRECT_URI, "session_digest": SESSION}
ETAGS: Final[Mapping[str, str]] = {
    "ContactLinkService": "mapping_etag", "NoteService": "note_etag",
    "WalletService": "wallet_etag",
}  # fmt: skip
ALIKE: Final[Mapping[tuple[str, str], str]] = {
    ("CatalogService.CreateProduct", "product.default_price"): "no caller sets it",
    ("CatalogService.ReplacePrice", "price.lookup_key"): "no caller sets it",
    ("CatalogService.UpdatePrice", "price.product"): "a price keeps its product",
    ("CustomerService.CreateCustomer", "customer.id"): "no caller sets it",
    ("CheckoutService.ResolveCheckout", "id"): "operators alone decide",
    ("EventService.RetryDeadEvents", "object_id"): "no event is dead",
    ("InvoiceService.CreateInvoice", "invoice.id"): "no caller sets it",
    ("InvoiceService.UpdateInvoice", "invoice.customer"): "an update does not read it",
    ("NoteService.UpdateNote", "note.customer"): "an update does not read it",
    ("WalletService.PrepareMethod", "customer"): "the creditor alone names one",
    ("WalletService.RefundReload", "id"): "the creditor alone gives back",
    ("WalletService.ResolveReload", "id"): "the creditor alone decides",
    ("WalletService.UpdateRebilling", "settings.etag"): "the creditor alone rebills",
    ("WalletService.UpdateWalletSettings", "settings.auto_reload.payment_method"):
        "it is looked for when it is charged",
}  # fmt: skip
"""Fields where one's own id is answered as one that never was, and why."""


CHOSEN: Final[Mapping[tuple[str, str], str]] = {
    ("CatalogService.CreatePrice", "price.lookup_key"): "price.transfer_lookup_key",
    ("CatalogService.CreateProduct", "product.id"): "",
    ("CatalogService.CreateProduct", "prices[].lookup_key"): "prices[].transfer_lookup_key",
    ("CatalogService.UpdatePrice", "price.lookup_key"): "transfer_lookup_key",
}
"""Names that callers give to what is new and theirs, and a flag to be set with them."""


TOLD_APART: Final = {
    ("CheckoutService.ExecuteCheckout", "quote"),
    ("CheckoutService.PreviewCheckout", "item.price"),
    ("CheckoutService.PreviewCheckout", "seller"),
}
"""A quote that we signed for another says so, the store's prices are everybody's, and a buyer knows
who sells to it. What the first and the last are refused with is tried below."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A tenant, and an id of each noun that is his."""

    ground: Ground
    ids: Mapping[str, str]

    @property
    def account(self) -> str:
        """Whose it is."""
        return self.ground.tenant.account


@dataclass(frozen=True, slots=True)
class Cast:
    """A sub-account, its main account, its sister, and a stranger."""

    me: Holder
    parent: Holder
    sister: Holder
    stranger: Holder

    @property
    def others(self) -> Mapping[str, Holder]:
        """Whose ids are tried."""
        return {"a stranger's": self.stranger, "its main's": self.parent, "a sister's": self.sister}


async def held(some: Family, owner: Tenant) -> Holder:
    """What a tenant has: at its own Stripe account, where its wallet is paid, and with us."""
    ground = Ground(some.world, owner)
    made = await shelf(ground)
    ids = {field.name: getattr(made, field.name) for field in fields_of(made)[1:]}
    paid = await payer(some, owner)
    ids |= {
        "payment_method": made.method, "invoice": made.opened, "account": owner.account,
        "stripe_account": owner.stripe_account, "wallet_customer": paid.customer,
        "wallet_card": paid.card, "reload": (await paid.reload()).id,
    }  # fmt: skip
    await doubled(ground, paid, made)
    ids |= await noted(ground, made.customer)
    ids |= await linked(ground)
    ids["report"] = await reported(ground)
    settings = auto_reload(paid.card)
    changed = await some.mutate(owner, "UpdateWalletSettings", settings=settings)
    ids["wallet_etag"] = changed.etag
    ids["lookup_key"] = f"seat_{owner.account.replace('-', '_')}"
    await ground.mutate(
        "CatalogService.UpdatePrice", price={"id": made.once, "lookup_key": ids["lookup_key"]}
    )
    await some.grant(10_000)
    ids |= await bought(ground)
    charge = await ground.stripe(f"/v1/charges/{made.charge}")
    ids["payment_intent"] = charge["payment_intent"]
    events = (await ground.call("EventService.ListEvents", {"page_size": 1})).events
    return Holder(ground, {**ids, "event": events[0].id})


async def doubled(ground: Ground, paid: Payer, made: Shelf) -> None:
    """A second one of what there is one of, so that its list has a second page."""
    await ground.product()
    await ground.subscription()
    await ground.mutate("NoteService.CreateNote", customer=made.customer, text="another")
    await paid.reload()
    rows = [{"date": f"2026-10-0{day}", "currency": "eur", "rate": "1.1"} for day in (1, 2)]
    await ground.call("AnalyticsService.ImportRates", {"rows": rows, "base_currency": "usd"})
    for _ in range(2):
        await ground.mutate(
            "ChargeService.RefundCharge", id=made.charge, amount={"amount": 5, "currency": "usd"}
        )
    await payout(ground)


async def bought(ground: Ground) -> Fields:
    """The last of two checkouts, and a cart with a quote of what is in it."""
    item = {"item": {"price": ADD_ON.price.id, "quantity": 1}}
    for _ in range(2):
        quote = await ground.call("CheckoutService.PreviewCheckout", item)
        made = await ground.mutate("CheckoutService.ExecuteCheckout", quote=quote.quote)
        assert made.state == CHECKOUT_STATE_COMPLETED
    quote = await ground.call("CheckoutService.PreviewCheckout", item)
    return {"checkout": made.id, "cart": quote.cart, "quote": quote.quote}


async def noted(ground: Ground, customer: str) -> Fields:
    """A note."""
    made = await ground.mutate("NoteService.CreateNote", customer=customer, text="mine")
    return {"note": made.id, "note_etag": made.etag}


async def linked(ground: Ground) -> Fields:
    """A customer and its contact, and the mapping of the account."""
    contact, customer = await ground.contact(), await ground.customer()
    await ground.mutate("ContactLinkService.LinkContact", customer=customer, contact=contact)
    mapping = await ground.call("ContactLinkService.GetContactMapping", {})
    return {"contact": contact, "linked": customer, "mapping_etag": mapping.etag}


async def reported(ground: Ground) -> str:
    """The last of two reconciliations, one after the other."""
    kind = {"kind": mirror_pb.Operation.KIND_RECONCILIATION}

    async def ended() -> bool:
        operation = await ground.call("MirrorService.GetOperation", kind)
        return bool(operation.state == mirror_pb.Operation.STATE_SUCCEEDED)

    for _ in range(2):  # one that runs still would be joined
        await ground.call("MirrorService.StartReconciliation", {})
        await until(ended, 60.0)
    reports = (await ground.call("MirrorService.ListReports", {})).reports
    assert len(reports) == 2
    return str(reports[0].id)


def auto_reload(card: str) -> Fields:
    """Settings of a wallet that reloads itself."""
    return {
        "auto_reload": {
            "threshold": 500, "amount": 1_000, "payment_method": card,
            "most_per_charge": 5_000, "most_per_day": 20_000,
        },
    }  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "mongo"])
async def here(
    request: pytest.FixtureRequest, mongo_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceAndEmulator]:
    """A service on each store: what keeps tenants apart is written twice."""
    folder = tmp_path_factory.mktemp("matrix")
    on = world(folder) if request.param == "sqlite" else mongo_world(mongo_url, folder)
    async with on as made:
        async with opened(made.service.parsed()) as container:
            catalogue = container.stores.store_catalogue()
            await catalogue.put_product(ADD_ON.product)
            await catalogue.put_price(ADD_ON.price)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(here: ServiceAndEmulator) -> AsyncIterator[Cast]:
    parent, stranger = await here.tenant(), await here.tenant()
    me, sister = [await here.tenant(parent=parent.account) for _ in range(2)]
    families = [(parent, me), (parent, parent), (parent, sister), (stranger, stranger)]
    yield Cast(
        *await asyncio.gather(*(held(Family(here, main, owner), owner) for main, owner in families))
    )


def noun_at(name: str, noun: str) -> str:
    """Which of a holder's ids is meant."""
    service = name.partition(".")[0]
    if noun == "etag":
        return ETAGS[service]
    if service == "WalletService":
        return {"payment_method": "wallet_card", "customer": "wallet_customer"}.get(noun, noun)
    if service == "CheckoutService":
        return {"payment_method": "wallet_card"}.get(noun, noun)
    if name in ("InvoiceService.UpdateInvoice", "InvoiceService.DeleteInvoice"):
        return {"invoice": "draft"}.get(noun, noun)
    if name == "InvoiceService.FinalizeInvoice":
        return {"invoice": "draft"}.get(noun, noun)
    if name in ("ContactLinkService.GetContactLink", "ContactLinkService.UnlinkContact"):
        return {"customer": "linked"}.get(noun, noun)
    if name.endswith("DetachPaymentMethod"):
        return {"payment_method": "source"}.get(noun, noun)
    if name.endswith(("CreateInvoice", "CreatePaymentLink")):
        return {"price": "once"}.get(noun, noun)
    return noun


def beside(name: str, path: str, me: Mapping[str, str]) -> Fields | None:
    """What else a request says, where the field is no part of what is made for its method."""
    line = {"description": "Work", "unit_amount": {"amount": 100, "currency": "usd"}}
    bill = {"invoice": {"customer": me["customer"], "currency": "usd"}}
    subscribed = {"subscription": me["subscription"]}
    added = {"item": {"price": ADD_ON.price.id, "quantity": 1}}
    return {
        ("EventService.ExplainObject", "object_id"): {"object_type": "customer"},
        ("EventService.ExplainObject", "stripe_account"): {
            "object_type": "customer", "object_id": me["customer"],
        },
        ("InvoiceService.CreateInvoice", "items[].price"): {**bill, "items": [{"quantity": 1}]},
        ("InvoiceService.CreateInvoice", "items[].product"): {**bill, "items": [line]},
        ("InvoiceService.PreviewInvoice", "items[].id"): {**subscribed, "items": [{"quantity": 2}]},
        ("InvoiceService.PreviewInvoice", "items[].price"): subscribed,
        ("PaymentLinkService.CreatePaymentLink", "items[].price"): {
            "contact": me["contact"], "items": [{"quantity": 1}], "currency": "usd",
        },
        ("SubscriptionService.UpdateSubscription", "items[].id"): {
            "subscription": {"id": me["subscription"]}, "items": [{"quantity": 2}],
        },
        ("PaymentMethodService.DetachPaymentMethod", "customer"): {"id": me["payment_method"]},
        ("PaymentMethodService.DetachPaymentMethod", "id"): {"customer": me["customer"]},
        ("PaymentMethodService.SetDefaultPaymentMethod", "customer"): {"id": me["payment_method"]},
        ("PaymentMethodService.SetDefaultPaymentMethod", "id"): {"customer": me["customer"]},
        ("NoteService.DeleteNote", "etag"): {"id": me["note"]},
        ("NoteService.UpdateNote", "note.etag"): {"note": {"id": me["note"], "text": "other"}},
        ("CatalogService.CreateProduct", "product.default_price"): {"product": {"name": "Seat"}},
        ("CatalogService.UpdateProduct", "product.default_price"): {
            "product": {"id": me["product"]},
        },
        ("CheckoutService.CancelCheckout", "id"): {},
        ("CheckoutService.ConfirmCheckout", "id"): {},
        ("CheckoutService.ExecuteCheckout", "payment_method"): {"quote": me["quote"]},
        ("CheckoutService.PreviewCheckout", "cart"): added,
        ("CheckoutService.PreviewCheckout", "payment_method"): added,
        ("CheckoutService.RefundCheckout", "id"): {"amount": 5, "reason": "asked for"},
        ("CheckoutService.ResolveCheckout", "id"): {"resolution": 1, "reason": "looked at"},
        ("CheckoutService.RetryPayment", "id"): {"payment_method": me["wallet_card"]},
        ("CheckoutService.RetryPayment", "payment_method"): {"id": me["checkout"]},
        ("WalletService.ResolveReload", "id"): {"resolution": 1, "reason": "looked at"},
        ("WalletService.CancelReload", "id"): {},
        ("WalletService.PrepareMethod", "customer"): {},
        ("WalletService.RefundReload", "id"): {
            "amount": {"amount": 500, "currency": "usd"}, "reason": "asked for",
        },
        ("WalletService.ReloadWallet", "payment_method"): {
            "amount": {"amount": 700, "currency": "usd"},
        },
        ("WalletService.RetryReload", "id"): {"payment_method": me["wallet_card"]},
        ("WalletService.RetryReload", "payment_method"): {"id": me["reload"]},
        ("WalletService.UpdateRebilling", "settings.etag"): {
            "settings": {"multipliers": {"*": "1.5"}},
        },
        ("WalletService.UpdateWalletSettings", "settings.etag"): {
            "settings": auto_reload(me["wallet_card"]),
        },
        ("WalletService.UpdateWalletSettings", "settings.auto_reload.payment_method"): {
            "settings": auto_reload(""),
        },
    }.get((name, path))  # fmt: skip


async def bodies_of(me: Holder) -> Mapping[tuple[str, str], Fields]:
    """Of each row a request of mine that is right but for what is put at the row's path."""
    made = {name: await TABLE[name].make(me.ground) for name in NEEDED}
    found = {}
    for name, path, _ in ROWS:
        own = beside(name, path, me.ids)
        found[name, path] = made.get(name, {}) if own is None else own
    return found


def never(id_: str) -> str:
    """An id like another one that nobody has."""
    return f"{id_[:-4]}{'0000' if id_[-4:] != '0000' else '1111'}"


def request_fields(name: str) -> Mapping[str, Any]:
    """The fields of a method's request, by name."""
    return METHODS[name][0].input_type.fields_by_name


def is_changing(name: str) -> bool:
    """Whether a method takes a request id."""
    return "request_id" in request_fields(name)


async def told(by: Holder, name: str, fields: Fields, id_: str) -> bytes:
    """What a caller is told; of a change that is made, that it is."""
    more = {"request_id": fresh()} if is_changing(name) else {}
    answer = await answered(by.ground, name, {**fields, **more}, [id_])
    return b"done" if is_changing(name) and not is_refusal(answer) else answer


ROWS: Final = [
    (name, path, noun) for name in sorted(METHODS) for path, noun in id_fields(name).items()
    if noun != "state" and (name, path) not in {*CHOSEN, *TOLD_APART}
]  # fmt: skip


NOTHING: Final = defaultdict[str, str](str)
NEEDED: Final = sorted(
    {name for name, path, _ in ROWS if beside(name, path, NOTHING) is None} & {*TABLE}
)
"""Methods whose requests are made as for a change of one's own."""


async def test_what_is_anothers_is_answered_as_what_never_was(cast: Cast) -> None:
    apart, alike, cases = [], set(), Counter[str]()
    me = cast.me
    control = me.ground.world.emulator.control
    bodies = await bodies_of(me)
    before = await control.snapshot()
    unknown: dict[tuple[str, str], bytes] = {}
    for name, path, noun in ROWS:
        noun = noun_at(name, noun)
        for by, whose in callers(cast, name):
            for what, other in whose.items():
                id_ = other.ids.get(noun, f"{noun}-of-{other.account}")
                body = bodies[name, path]
                body = {**body, "account": me.account} if by is not me else body
                theirs = await told(by, name, with_id(body, path, id_), id_)
                gone = never(id_)
                nobodys = await told(by, name, with_id(body, path, gone), gone)
                cases[
                    f"{'a main account for it' if by is not me else 'a sub-account'}, {what}"
                ] += 1
                if theirs != nobodys:
                    apart.append((name, path, what, by.account, theirs, nobodys))
                if by is me:
                    unknown[name, path] = nobodys
    assert apart == [], "\n".join(map(str, apart))
    after = await control.snapshot()
    not_mine = {holder.ground.tenant.stripe_account for holder in cast.others.values()}
    assert [row for row in after if row.account in not_mine and row not in before] == []
    for name, path, noun in sorted(ROWS, key=when):
        own = await own_id(me, noun_at(name, noun))
        if own is None:
            continue
        fields = with_id(bodies[name, path], path, own)
        if await told(me, name, fields, own) == unknown[name, path]:
            alike.add((name, path))
    sys.stdout.write(f"{len(METHODS)} RPCs, {len(ROWS)} fields with ids, {cases.total()} cases:\n")
    sys.stdout.writelines(f"{count:6}  {what}\n" for what, count in sorted(cases.items()))
    assert alike == {*ALIKE}, sorted(alike ^ {*ALIKE})
    assert cases.total() > 3 * len(ROWS)


async def own_id(me: Holder, noun: str) -> str | None:
    """What is mine of a noun, as it is now."""
    if noun == "wallet_etag":  # a card that nobody has was taken meanwhile: it is looked for later
        return str((await me.ground.call("WalletService.GetWallet", {})).settings.etag)
    if noun == "cart":  # what was bought meanwhile has emptied it
        item = {"item": {"price": ADD_ON.price.id, "quantity": 1}}
        return str((await me.ground.call("CheckoutService.PreviewCheckout", item)).cart)
    return me.ids.get(noun)


def when(row: tuple[str, str, str]) -> int:
    """When a field is tried with what is one's own: what leaves less than there was comes last."""
    name, _, noun = row
    verb = name.partition(".")[2]
    if noun == "etag" and not verb.startswith(ENDING):
        return 0  # each change makes another one
    return 2 + verb.startswith("Delete") if verb.startswith(ENDING) else 1


ENDING: Final = ("Cancel", "Delete", "Detach", "Unlink", "Void")


def callers(cast: Cast, name: str) -> list[tuple[Holder, Mapping[str, Holder]]]:
    """Who calls, and whose ids it gives: a sub-account, and a main account that acts for it."""
    acting = METHODS[name][0].GetOptions().Extensions[options_pb2.authorization].sub_accounts
    rows = [(cast.me, cast.others)]
    if acting:
        mains = {"its own": cast.parent, "another branch's": cast.sister}
        rows.append((cast.parent, mains))
    return rows


async def test_another_account_is_answered_as_one_that_never_was(cast: Cast) -> None:
    apart, cases = [], 0
    for name in sorted(METHODS):
        for what, other in cast.others.items():
            gone = never(other.account)
            theirs = await told(cast.me, name, {"account": other.account}, other.account)
            if theirs != await told(cast.me, name, {"account": gone}, gone):
                apart.append((name, what, theirs))
            assert is_refusal(theirs, "NOT_FOUND"), name
            cases += 1
    sys.stdout.write(f"{len(METHODS)} RPCs, {cases} accounts of others\n")
    assert apart == []


async def test_the_state_of_anothers_round_is_one_that_never_was(here: ServiceAndEmulator) -> None:
    (mine, state), (_, theirs) = [await consented(here) for _ in range(2)]
    name = "ConnectionService.CompleteConnection"
    answers = {
        await told(mine, name, {**ROUND, **state, "state": given}, given)
        for given in (theirs["state"], never(theirs["state"]))
    }
    (answer,) = answers
    assert is_refusal(answer, "STATE_UNKNOWN")
    assert await told(mine, name, {**ROUND, **state}, "") == b"done"


async def consented(here: ServiceAndEmulator) -> tuple[Holder, Fields]:
    """An account without a connection, and what its owner's browser brings back."""
    here.tenants += 1
    account = f"tenant-{here.tenants}"
    spec = AccountSpec(id=f"acct_Matrix{here.tenants}", connected=False)
    stripe_account = await here.emulator.control.create_account(spec)
    async with opened(here.service.parsed()) as container:
        await container.stores.accounts().add(Account(account, account, "usd"))
    ground = Ground(here, Tenant(account, stripe_account, token_for(account)))
    begun = await ground.call("ConnectionService.BeginConnection", ROUND)
    back = await here.emulator.control.consent(begun.authorize_url, stripe_account)
    query = parse_qs(urlsplit(back).query)
    return Holder(ground, {}), {"code": query["code"][0], "state": query["state"][0]}


async def test_names_that_another_tenant_gave_are_free(cast: Cast) -> None:
    control = cast.me.ground.world.emulator.control
    met = {}
    for (name, path), flag in CHOSEN.items():
        noun = noun_at(name, id_fields(name)[path])
        for what, other in cast.others.items():
            body = with_id(await TABLE[name].make(cast.me.ground), path, other.ids[noun])
            body = with_id(body, flag, True) if flag else body
            before = await control.snapshot()
            met[name, path, what] = await told(cast.me, name, body, other.ids[noun])
            own = cast.me.ground.tenant.stripe_account
            new = [row for row in await control.snapshot() if row not in before]
            assert {row.account for row in new} <= {own}
    assert {answer for answer in met.values() if answer != b"done"} == set()


async def test_a_quote_for_another_buys_nothing(cast: Cast) -> None:
    name = "CheckoutService.ExecuteCheckout"
    for other in cast.others.values():
        quote = other.ids["quote"]
        answer = await told(cast.me, name, {"quote": quote}, quote)
        assert is_refusal(answer, "INVALID_FIELDS")
        assert b"QUOTE_FOREIGN" in answer


async def test_who_does_not_sell_to_a_buyer_is_one_that_never_was(cast: Cast) -> None:
    name = "CheckoutService.PreviewCheckout"
    item = {"price": ADD_ON.price.id, "quantity": 1}
    for other in (cast.sister, cast.stranger):
        answers = {
            await told(cast.me, name, {"item": item, "seller": seller}, seller)
            for seller in (other.account, never(other.account))
        }
        assert len(answers) == 1
        assert all(b"NOT_SUB_ACCOUNT" in answer for answer in answers)


PAGED: Final = [name for name in sorted(METHODS) if "page_token" in request_fields(name)]
NARROWED: Final[Mapping[str, Fields]] = {
    "AnalyticsService.ListTopCustomers": {"currency": "usd", "period": PERIOD},
    "CatalogService.SearchProducts": {"query": "seat"},
    "CustomerService.SearchCustomers": {"query": "zoe"},
    "EventService.ExplainObject": {"object_type": "customer", "object_id": "customer"},
    "PaymentMethodService.ListPaymentMethods": {"customer": "customer"},
    "PayoutService.ListPayoutTransactions": {"id": "payout"},
}
"""What a list needs to be told; a noun stands for the caller's own id."""

SHORT: Final = {
    "AnalyticsService.ExplainFigure", "AnalyticsService.ListRestatements",
    "AnalyticsService.ListTopCustomers", "CheckoutService.ListStoreProducts",
    "ConnectionService.ListConnections",
    "PayoutService.ListPayoutTransactions",
}  # fmt: skip
"""Lists of one page at most, here or for anybody but operators: their tokens are made up."""


async def test_another_tenants_page_token_is_one_that_never_was(cast: Cast) -> None:
    """Nor is a main account's own one good for the list of its branch."""
    apart, given, cases = [], {}, 0
    for name in PAGED:
        body = listing(name, cast.me)
        for by, whose in callers(cast, name):
            asked = body if by is cast.me else {**body, "account": cast.me.account}
            for what, other in whose.items():
                token = await token_of(name, other)
                given[name] = bool(token) or given.get(name, False)
                theirs = token or f"{other.account}-token"
                answers = {
                    await told(by, name, {**asked, "page_token": token_}, token_)
                    for token_ in (theirs, never(theirs))
                }
                cases += 1
                if len(answers) != 1 or not all(map(is_refusal, answers)):
                    apart.append((name, what, by.account, answers))
    sys.stdout.write(f"{len(PAGED)} lists, {cases} page tokens of others\n")
    assert apart == [], "\n".join(map(str, apart))
    assert {name for name, real in given.items() if not real} <= SHORT


async def test_the_platforms_own_stripe_account_is_one_that_never_was(cast: Cast) -> None:
    """An operator's word for it, where others may narrow to their own alone."""
    named = [(name, path) for name, path, noun in ROWS if noun == "stripe_account"]
    for name, path in named:
        body = beside(name, path, cast.me.ids) or {}
        answers = {
            await told(cast.me, name, with_id(body, path, word), word)
            for word in ("platform", "platfurm")
        }
        assert len(answers) == 1
        assert all(is_refusal(answer, "NOT_FOUND") for answer in answers), name
    assert len(named) == 3


def listing(name: str, holder: Holder) -> Fields:
    """What a list needs to be told, of a holder's own."""
    told = NARROWED.get(name, {})
    own = {"customer": "customer", "id": "payout", "object_id": "customer"}
    return {
        field: holder.ids[own[field]] if field in own else value for field, value in told.items()
    }


async def token_of(name: str, holder: Holder) -> str:
    """A token that a list of a holder's gives him; empty where it has but one page."""
    body: dict[str, Any] = {**listing(name, holder), "page_size": 1}
    try:
        page = await holder.ground.call(name, body)
    except grpc.aio.AioRpcError:  # an operators' list
        return ""
    return str(page.next_page_token)


async def test_a_watch_from_another_tenants_place_shows_ones_own_events(cast: Cast) -> None:
    """A resume token is a place among all events, and no tenant's: no list hangs on it."""
    seen = Counter[str]()
    for start in ({"from_oldest": True}, {"resume_token": await place_of(cast.stranger)}):
        for reply in await watched(cast.me, **start):
            if reply.HasField("event"):
                seen[reply.event.account] += 1
    assert {*seen} == {cast.me.account}


async def watched(holder: Holder, **start: Any) -> list[Any]:
    """The events that a watch shows at once."""
    method, stub = METHODS["EventService.WatchEvents"]
    call = getattr(stub(holder.ground.world.service.channel), method.name)(
        GetMessageClass(method.input_type)(**start),
        metadata=holder.ground.tenant.metadata,
    )
    shown = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.5):
            while (reply := await call.read()) is not grpc.aio.EOF:
                shown.append(reply)
    call.cancel()
    return shown


async def place_of(holder: Holder) -> str:
    """The first place that a watch of a holder's tells behind an event of his."""
    shown = await watched(holder, from_oldest=True)
    return next(reply.resume_token for reply in shown if reply.HasField("event"))


async def test_no_field_with_an_id_is_left_out() -> None:
    """Each text of each request is an id, is none, or has a test of its own here."""
    for name in METHODS:
        id_fields(name)
    of_their_own = {"account", "page_token", "resume_token"}
    assert of_their_own == BESIDE
