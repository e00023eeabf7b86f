"""Payment links: who is billed, and that whatever dies or fails there is one customer, one bill."""

from dataclasses import replace
from typing import Any

import pytest

from application.invoices.ports import InvoiceItemFields
from application.mirror.nouns import STRIPE_ACCOUNTS
from application.mutations.stripe import REQUEST_TAG
from application.payment_links.use_cases import NewPaymentLink
from domain.contacts import CONTACT_KEY, ContactSync
from domain.customers import Customer
from domain.errors import FieldViolation, InvalidArgument, NotFound, RateLimited, Reason, WrongState
from domain.mirror import Snapshot, Version
from domain.money import Money
from domain.stripe_accounts import StripeAccount
from tests.support.fakes.stores import NOON, no_pause
from tests.support.rooms.contacts import matching
from tests.support.rooms.mutations import CALLER, CONNECTION
from tests.support.rooms.payment_links import (
    ADA,
    OPEN_URL,
    STRIPE,
    WANTED,
    PaymentLinksOnFakes,
    link,
)


@pytest.fixture
def desk() -> PaymentLinksOnFakes:
    return PaymentLinksOnFakes()


async def test_a_new_customer_is_billed(desk: PaymentLinksOnFakes) -> None:
    link = await desk.process().create()
    assert (link.customer, link.customer_created) == ("cus_1", True)
    made = desk.stripe.customers["cus_1"]
    assert (made.name, made.email, made.phone) == tuple(ADA.values())
    assert made.metadata[CONTACT_KEY] == "ada"
    assert desk.linked() == "cus_1"
    (draft,) = desk.invoices.created
    assert (draft.fields.collection_method, draft.fields.days_until_due) == ("send_invoice", 30)
    assert draft.fields.auto_advance is False
    assert draft.fields.metadata == {CONTACT_KEY: "ada"}
    assert (link.amount_due, link.url) == (Money(2_500, "usd"), f"{OPEN_URL}in_1")
    assert (link.short_url, link.shortened) == ("https://s.example/1", True)
    assert await desk.process().create() == link
    assert len(desk.short_links.asked) == 1


async def test_a_long_link_where_there_is_no_short_one(desk: PaymentLinksOnFakes) -> None:
    desk.short_links.up = False
    link = await desk.process().create()
    assert (link.short_url, link.shortened) == (link.url, False)


async def test_the_newest_customer_with_the_address_counts_whatever_its_case(
    desk: PaymentLinksOnFakes,
) -> None:
    await desk.customer("cus_old", email="ADA@X.TEST", age=9)
    await desk.customer("cus_new", email="aDA@x.test", age=1)
    await desk.customer("cus_other", email="ada@x.test.example")
    await desk.customer("cus_longer", email="ada@x.test2")
    link = await desk.process().create()
    assert (link.customer, link.customer_created) == ("cus_new", False)
    assert desk.linked() == "cus_new"
    assert desk.objects.reads == ["cus_new"]
    assert desk.lookup.asked == [], "nobody is listed whom the mirror knows"


@pytest.mark.parametrize("spelling", ["Ada@x.test", "ada@x.test"])
async def test_stripe_is_asked_where_the_mirror_has_nobody(
    desk: PaymentLinksOnFakes, spelling: str
) -> None:
    await desk.customer("cus_seen", email=spelling, mirrored=False)
    link = await desk.process().create()
    assert (link.customer, link.customer_created) == ("cus_seen", False)


async def test_what_the_mirror_shows_no_longer_holds_is_not_billed(
    desk: PaymentLinksOnFakes,
) -> None:
    await desk.customer("cus_gone", email="ada@x.test", alive=False)
    moved = await desk.customer("cus_moved", email="ada@x.test")
    desk.stripe.customers["cus_moved"] = replace(moved, email="b@x.test")
    link = await desk.process().create()
    assert link.customer_created
    assert link.customer not in ("cus_gone", "cus_moved")


@pytest.mark.parametrize(
    "spelling", ["+14155552671", "(415) 555-2671", "4155552671", "+1 415-555-2671"]
)
async def test_a_telephone_number_is_one_however_it_is_written(
    desk: PaymentLinksOnFakes, spelling: str
) -> None:
    await told_country(desk, "US")
    desk.contact("ada", name="Ada", phone="+1 415 555 2671")
    await desk.customer("cus_mute", phone=spelling)
    await desk.customer("cus_phone", phone=spelling, email="b@x.test", age=3)
    await desk.customer("cus_near", phone="+14155552672", email="c@x.test")
    link = await desk.process().create()
    assert (link.customer, link.customer_created) == ("cus_phone", False)


async def test_a_national_number_is_of_the_stripe_accounts_country(
    desk: PaymentLinksOnFakes,
) -> None:
    await told_country(desk, "DE")
    desk.contact("ada", name="Ada", phone="+1 415 555 2671")
    await desk.customer("cus_phone", phone="(415) 555-2671", email="b@x.test")
    assert await violations(desk) == ["contact"]


async def test_a_number_that_is_shared_bills_nobody_else(desk: PaymentLinksOnFakes) -> None:
    """Who has an address is not who has another one, and of two nobody knows which it is."""
    await desk.customer("cus_home", phone="+14155552671", email="b@x.test")
    link = await desk.process().create()
    assert link.customer_created
    desk.contact("zoe", name="Zoe", phone="+14155552671")
    await desk.customer("cus_too", phone="+14155552671", email="c@x.test")
    assert await violations(desk, replace(WANTED, contact="zoe"), "zoe") == ["contact"]
    assert desk.linked("zoe") is None


async def test_a_draft_that_stripe_did_not_take_bills_who_is_linked_when_it_does(
    desk: PaymentLinksOnFakes,
) -> None:
    await desk.customer("cus_wrong", email="ada@x.test")
    busy = RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1)
    desk.invoices.refusals = {"create": [busy]}
    with pytest.raises(RateLimited):
        await desk.process().create()
    assert desk.linked() == "cus_wrong"
    await desk.customer("cus_right", email="else@x.test")
    desk.contacts.linked_to.clear()
    desk.contacts.linked_to["acme", STRIPE, "cus_right"] = link("cus_right", "ada")
    made = await desk.process().create()
    (invoice,) = desk.invoices.invoices.values()
    assert made.customer == invoice.customer == "cus_right"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("strasse@x.test", "straße@x.test"),
        ("mike@x.test", "mi\N{KELVIN SIGN}e@x.test"),
        ("\N{LATIN SMALL LETTER LONG S}am@x.test", "sam@x.test"),
        ("ada+shop@x.test", "ada@x.test"),
        ("ada@xn--mnchen-3ya.test", "ada@münchen.test"),
    ],
)
@pytest.mark.parametrize("mirrored", [True, False])
async def test_what_only_looks_like_the_address_is_another_person(
    desk: PaymentLinksOnFakes, ours: str, theirs: str, *, mirrored: bool
) -> None:
    desk.contact("ada", name="Ada", email=ours)
    await desk.customer("cus_9", email=theirs, mirrored=mirrored)
    assert (await desk.process().create()).customer_created


async def test_the_case_of_letters_beyond_ascii_is_no_difference_either(
    desk: PaymentLinksOnFakes,
) -> None:
    desk.contact("ada", name="Ada", email="ÄDA@x.test")
    await desk.customer("cus_9", email="äda@X.test")
    assert (await desk.process().create()).customer == "cus_9"


async def test_stripes_list_is_not_believed_blindly(desk: PaymentLinksOnFakes) -> None:
    other = await desk.customer("cus_9", email="b@x.test")

    async def everybody(*_: str) -> list[Customer]:
        return [other]

    desk.lookup.by_email = everybody  # type: ignore[method-assign]  # a Stripe that filters nothing
    assert (await desk.process().create()).customer_created


async def test_a_contact_that_an_event_links_while_it_is_sought_gets_no_second_customer(
    desk: PaymentLinksOnFakes,
) -> None:
    await desk.customer("cus_9", email="else@x.test", mirrored=False)

    async def overtake(where: str) -> None:
        if where == "stripe.list":
            desk.contacts.linked_to["acme", STRIPE, "cus_9"] = link("cus_9", "ada")

    desk.lookup.pause = overtake
    made = await desk.process().create()
    assert (made.customer, made.customer_created) == ("cus_9", False)
    assert list(desk.stripe.customers) == ["cus_9"], "none is left over"


async def told_country(desk: PaymentLinksOnFakes, country: str) -> None:
    account = StripeAccount(STRIPE, NOON, True, True, True, "usd", country, {})
    told = Snapshot(STRIPE, STRIPE, Version.of_event(1), account)
    await desk.mirror.replace(STRIPE_ACCOUNTS, [(told, 0)])


async def test_the_link_comes_before_the_address(desk: PaymentLinksOnFakes) -> None:
    await desk.customer("cus_1", email="ada@x.test")
    await desk.customer("cus_9", email="else@x.test", age=99)
    desk.contact("ada", email="else@x.test", name="Ada")
    assert (await desk.process().create()).customer == "cus_9"
    desk.contact("ada", email="ada@x.test", name="Ada")
    assert (await desk.process().create("two")).customer == "cus_9"


async def test_a_customer_of_another_contact_is_never_taken(desk: PaymentLinksOnFakes) -> None:
    desk.contact("zoe", email="zoe@x.test", phone="+14155552671")
    await desk.customer("cus_zoe", email="zoe@x.test", phone="+14155552671")
    zoe = replace(WANTED, contact="zoe")
    assert (await desk.process().create("zoe", zoe)).customer == "cus_zoe"
    zoes = desk.stripe.customers["cus_zoe"]
    desk.stripe.customers["cus_zoe"] = replace(zoes, email="Ada@x.test")
    link = await desk.process().create()
    assert link.customer_created
    assert desk.linked("zoe") == "cus_zoe"


async def test_somebody_who_links_the_candidate_first_has_it(desk: PaymentLinksOnFakes) -> None:
    await desk.customer("cus_9", email="ada@x.test")
    desk.contact("zoe", email="zoe@x.test")

    async def snatch(where: str) -> None:
        if where == "stripe.get" and not desk.contacts.linked_to:
            desk.objects.pause = no_pause
            desk.contacts.linked_to["acme", STRIPE, "cus_9"] = link("cus_9", "zoe")

    desk.objects.pause = snatch
    made = await desk.process().create()
    assert made.customer_created
    assert desk.linked() == made.customer != "cus_9"


async def test_a_deleted_customer_gives_its_contact_free(desk: PaymentLinksOnFakes) -> None:
    await desk.customer("cus_9", email="ada@x.test")
    assert (await desk.process().create()).customer == "cus_9"
    del desk.stripe.customers["cus_9"]
    desk.stripe.deleted.add("cus_9")
    link = await desk.process().create("two")
    assert link.customer_created
    assert desk.linked() == link.customer


async def test_a_new_customer_is_matched_to_the_contact_that_it_was_made_for(
    desk: PaymentLinksOnFakes,
) -> None:
    """Its event may link it before we do, and another contact may have the same address."""
    desk.contact("aaa", email="ada@x.test")
    named = await desk.customer("cus_9", email="ada@x.test")
    others = matching(desk.contacts, desk.mirror, desk.clock)
    for metadata, contact in (({CONTACT_KEY: "ada"}, "ada"), ({CONTACT_KEY: "gone"}, "aaa")):
        found = await others.link(CONNECTION, replace(named, metadata=metadata), "")
        assert found is not None
        assert found.contact == contact
        desk.contacts.linked_to.clear()


async def test_the_accounts_mapping_says_where_a_contacts_values_stand(
    desk: PaymentLinksOnFakes,
) -> None:
    desk.contact("ada", mail=" ada@x.test ", full_name="A" * 300, phone="1" * 21, name="no")
    desk.contacts.settings["acme"] = ContactSync("acme", {"mail": "email", "full_name": "name"})
    await desk.process().create()
    made = desk.stripe.customers["cus_1"]
    assert (made.email, made.name, made.phone) == ("ada@x.test", "A" * 256, None)


@pytest.mark.parametrize("email", ["", "nobody", "a b@x.test", "a" * 510 + "@x.test"])
async def test_nobody_without_an_address_is_billed(desk: PaymentLinksOnFakes, email: str) -> None:
    desk.contact("ada", name="Ada", email=email, phone="+14155552671")
    await desk.customer("cus_mute", phone="+14155552671")
    assert await violations(desk) == ["contact"]
    assert desk.invoices.created == desk.stripe.sends == []
    assert desk.linked() is None
    await desk.customer("cus_9", phone="+14155552671", email="b@x.test")
    assert (await desk.process().create("two")).customer == "cus_9"


async def violations(
    desk: PaymentLinksOnFakes, wanted: NewPaymentLink = WANTED, request_id: str = "one"
) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        await desk.process().create(request_id, wanted)
    return [violation.field for violation in refused.value.violations]


ITEM = InvoiceItemFields("Work", unit_amount=100)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"contact": ""}, ["contact"]),
        ({"contact": "a b", "currency": "xxx"}, ["contact", "currency"]),
        ({"items": ()}, ["items"]),
        ({"items": (ITEM,) * 251}, ["items"]),
        ({"items": (ITEM, replace(ITEM, unit_amount=-100))}, ["items"]),
        ({"items": (replace(ITEM, unit_amount=0),)}, ["items"]),
        ({"items": (ITEM, replace(ITEM, quantity=0))}, ["items[1].quantity"]),
        ({"days_until_due": -1}, ["days_until_due"]),
        ({"days_until_due": 3_651}, ["days_until_due"]),
        ({"memo": "m" * 1_501}, ["memo"]),
        ({"metadata": {"billing_request": "x"}}, ["metadata"]),
        ({"metadata": {f"k{number}": "v" for number in range(49)}}, ["metadata"]),
        ({"metadata": {f"k{number}": "v" for number in range(50)}}, ["metadata"]),
    ],
)
async def test_everything_is_checked_before_anything_is_made(
    desk: PaymentLinksOnFakes, changes: dict[str, Any], fields: list[str]
) -> None:
    assert await violations(desk, replace(WANTED, **changes)) == fields
    assert desk.log.records == {}
    assert desk.stripe.sends == []


async def test_every_violation_is_told_at_once(desk: PaymentLinksOnFakes) -> None:
    wanted, read = NewPaymentLink("", "", (), -1), [FieldViolation("read", "wrong")]
    with pytest.raises(InvalidArgument) as refused:
        await desk.process().payment_links.create(CALLER, "", wanted, read)
    told = [violation.field for violation in refused.value.violations]
    assert told == ["read", "request_id", "contact", "currency", "items", "days_until_due"]


async def test_prices_that_come_to_nothing_leave_no_draft(desk: PaymentLinksOnFakes) -> None:
    free = replace(WANTED, items=(InvoiceItemFields(price="price_free"),))
    assert await violations(desk, free) == ["items"]
    assert desk.invoices.deleted == ["in_1"]
    assert desk.invoices.invoices == {}


async def test_an_unknown_contact_is_not_found(desk: PaymentLinksOnFakes) -> None:
    with pytest.raises(NotFound) as refused:
        await desk.process().create("one", replace(WANTED, contact="nobody"))
    assert refused.value.metadata == {"resource": "contact", "id": "nobody"}


REFUSAL = InvalidArgument([FieldViolation("items[0].price", "is refused by Stripe")])


@pytest.mark.parametrize("step", ["add_lines", "finalize"])
async def test_what_stripe_refuses_takes_the_draft_with_it(
    desk: PaymentLinksOnFakes, step: str
) -> None:
    desk.invoices.refusals = {step: [REFUSAL]}
    for _ in range(2):
        assert await violations(desk) == ["items[0].price"]
    assert desk.invoices.deleted == ["in_1"]
    assert (await desk.process().create("two")).customer == desk.linked() == "cus_1"


async def test_a_draft_that_somebody_has_finalized_is_left_to_him(
    desk: PaymentLinksOnFakes,
) -> None:
    desk.invoices.refusals = {
        "add_lines": [REFUSAL], "delete": [WrongState("invoice", "in_1", "open")],
    }  # fmt: skip
    assert await violations(desk) == ["items[0].price"]


async def test_a_refused_draft_is_told_in_the_callers_words(desk: PaymentLinksOnFakes) -> None:
    refusal = InvalidArgument([FieldViolation("description", "no"), FieldViolation("currency", "")])
    desk.invoices.refusals = {"create": [refusal]}
    assert await violations(desk) == ["memo", "currency"]
    assert desk.invoices.deleted == []


async def test_a_tag_tells_whose_customer_it_is(desk: PaymentLinksOnFakes) -> None:
    await desk.process().create()
    assert len(desk.stripe.customers["cus_1"].metadata[REQUEST_TAG]) == 40
