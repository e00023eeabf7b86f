"""Payment links: one customer and one bill, whoever comes at once, dies or does not answer."""

import asyncio

import pytest

from application.background.leases import LEASE
from application.mutations.stripe import Unanswered
from domain.errors import (
    AlreadyExists,
    BillingError,
    Conflict,
    FieldViolation,
    InvalidArgument,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Unavailable,
)
from tests.support.fakes.stores import Failing, no_pause, store_down
from tests.support.rooms.mutations import Gate
from tests.support.rooms.payment_links import STRIPE, PaymentLinksOnFakes, link


@pytest.fixture
def desk() -> PaymentLinksOnFakes:
    return PaymentLinksOnFakes()


async def test_many_at_once_over_several_processes_make_one_customer(
    desk: PaymentLinksOnFakes,
) -> None:
    async def yields(_: str) -> None:
        await asyncio.sleep(0)

    desk.pause(yields)
    processes = [desk.process() for _ in range(4)]
    links = await asyncio.gather(
        *(processes[number % 4].create(f"r-{number}") for number in range(20))
    )
    assert list(desk.stripe.customers) == ["cus_1"]
    assert sum(link.customer_created for link in links) == 1
    assert len({link.invoice for link in links}) == 20


async def test_while_nobody_knows_of_a_customer_no_second_one_is_made(
    desk: PaymentLinksOnFakes,
) -> None:
    desk.stripe.pause = Failing({0: Unanswered("lost")})
    with pytest.raises(OutcomeUnknown):
        await desk.process().create()
    with pytest.raises(Conflict) as refused:
        await desk.process(wait_seconds=0.05).create("two")
    assert refused.value.reason is Reason.REQUEST_IN_FLIGHT
    assert len(desk.stripe.sends) == 0
    desk.stripe.pause = no_pause
    desk.lookup.asked.clear()
    desk.objects.reads.clear()
    first = await desk.process().create()
    assert desk.lookup.asked + desk.objects.reads == [], (
        "what was sent is carried on, and nobody sought"
    )
    second = await desk.process().create("two")
    assert (first.customer_created, second.customer_created) == (True, False)
    assert list(desk.stripe.customers) == [first.customer] == [second.customer]


async def test_who_looked_before_another_had_done_looks_again(desk: PaymentLinksOnFakes) -> None:
    gate = Gate("checkpoints.load")
    desk.checkpoints.pause = gate
    late = asyncio.ensure_future(desk.process().create("late"))
    await gate.reached.wait()
    desk.checkpoints.pause = no_pause
    first = await desk.process().create()
    gate.open.set()
    assert (await late).customer == first.customer
    assert list(desk.stripe.customers) == [first.customer]


async def test_who_comes_after_the_lease_has_ended_is_followed(desk: PaymentLinksOnFakes) -> None:
    """The first never reached Stripe, and finds its contact linked when it is carried on."""
    desk.stripe.pause = Failing({0: Unanswered("lost")})
    with pytest.raises(OutcomeUnknown):
        await desk.process().create()
    desk.stripe.pause = no_pause
    desk.clock.instant += LEASE
    second = await desk.process().create("two")
    first = await desk.process().create()
    assert (first.customer, first.customer_created) == (second.customer, False)
    assert list(desk.stripe.customers) == [second.customer]


@pytest.mark.parametrize(
    "error",
    [
        RateLimited(Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1),
        Unavailable(Reason.STRIPE_UNAVAILABLE, "not sent"),
        InvalidArgument([FieldViolation("email", "is refused by Stripe")]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_customer_that_was_surely_not_made_holds_nobody_up(
    desk: PaymentLinksOnFakes, error: BillingError
) -> None:
    desk.stripe.refusals = [error]
    with pytest.raises(type(error)):
        await desk.process().create()
    assert (await desk.process(wait_seconds=0.0).create("two")).customer_created


async def test_a_new_customer_that_somebody_links_elsewhere_is_not_billed(
    desk: PaymentLinksOnFakes,
) -> None:
    async def snatch(where: str) -> None:
        if where == "contacts.link" and "cus_1" in desk.stripe.customers:
            desk.contacts.pause = no_pause
            desk.contacts.linked_to["acme", STRIPE, "cus_1"] = link("cus_1", "zoe")

    desk.contacts.pause = snatch
    with pytest.raises(AlreadyExists) as refused:
        await desk.process().create()
    assert refused.value.reason is Reason.CUSTOMER_LINKED
    assert refused.value.metadata == {"contact": "zoe"}
    assert desk.invoices.created == []


async def test_a_contact_that_somebody_links_meanwhile_is_billed_as_that_customer(
    desk: PaymentLinksOnFakes,
) -> None:
    async def snatch(where: str) -> None:
        if where == "contacts.link" and "cus_1" in desk.stripe.customers:
            desk.contacts.pause = no_pause
            await desk.customer("cus_9", email="else@x.test", mirrored=False)
            desk.contacts.linked_to["acme", STRIPE, "cus_9"] = link("cus_9", "ada")

    desk.contacts.pause = snatch
    made = await desk.process().create()
    assert (made.customer, made.customer_created) == ("cus_9", False)


async def test_once_a_draft_is_made_nobody_is_sought_again(desk: PaymentLinksOnFakes) -> None:
    desk.invoices.pause = Failing({1: Unanswered("made, and the answer lost")})
    with pytest.raises(OutcomeUnknown):
        await desk.process().create()
    desk.invoices.pause = no_pause
    desk.contacts.contacts.clear()
    desk.contacts.linked_to.clear()
    made = await desk.process().create()
    assert (made.customer, made.customer_created) == ("cus_1", True)
    assert list(desk.invoices.invoices) == [made.invoice]


def all_places() -> list[str]:
    """The places that making a link for a new customer passes through."""

    async def walk() -> list[str]:
        desk, walk = PaymentLinksOnFakes(), Failing()
        desk.pause(walk)
        await desk.process().create()
        return walk.calls

    return asyncio.run(walk())


PLACES = all_places()


def assert_one_of_each(desk: PaymentLinksOnFakes) -> None:
    """One customer, linked, and one open invoice of it."""
    (customer,) = desk.stripe.customers
    (invoice,) = desk.invoices.invoices.values()
    assert desk.linked() == customer == invoice.customer
    assert invoice.status == "open"
    assert len(desk.invoices.created) == 1


@pytest.mark.parametrize("place", range(len(PLACES)), ids=lambda n: f"{n}-{PLACES[n]}")
async def test_a_process_may_die_anywhere(place: int) -> None:
    desk = PaymentLinksOnFakes()
    desk.pause(Failing({place: asyncio.CancelledError()}))
    with pytest.raises(OutcomeUnknown):
        await desk.process().create()
    desk.pause(no_pause)
    await desk.settle()
    link = await desk.process().create()
    assert_one_of_each(desk)
    assert link.customer_created
    other = await desk.process(wait_seconds=0.0).create("two")
    assert (other.customer, other.customer_created) == (link.customer, False)


@pytest.mark.parametrize("place", range(len(PLACES)), ids=lambda n: f"{n}-{PLACES[n]}")
async def test_a_store_and_stripe_may_fail_anywhere(place: int) -> None:
    """Whoever is told that nothing was done can rely on it, and holds nobody up."""
    lost = Unanswered("lost") if PLACES[place].startswith("stripe.") else store_down()
    if PLACES[place] in ("stripe.get", "stripe.list"):
        lost = Unavailable(Reason.STRIPE_UNAVAILABLE, "Stripe does not answer")
    desk = PaymentLinksOnFakes()
    desk.pause(Failing({place: lost}))
    (told,) = await asyncio.gather(desk.process().create(), return_exceptions=True)
    assert isinstance(told, Unavailable | OutcomeUnknown), told
    desk.pause(no_pause)
    if isinstance(told, Unavailable):
        assert desk.stripe.customers == desk.invoices.invoices == {}
        assert (await desk.process(wait_seconds=0.0).create("two")).customer_created
        desk.invoices.created.clear()
        desk.invoices.invoices.clear()
    await desk.settle()
    await desk.process().create()
    assert_one_of_each(desk)
