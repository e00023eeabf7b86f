"""Payment methods: what may be asked, what is asked of Stripe, and what is kept of it."""

from dataclasses import replace
from typing import Any
from unittest.mock import create_autospec

import pytest

from application.background.tasks import Tasks
from application.connections.use_cases import Connections
from application.mirror.nouns import CUSTOMERS
from application.mirror.reader import MirrorReader
from application.mirror.writer import MirrorWriter
from application.mutations.mutations import Mutations
from application.mutations.stripe import Unanswered
from application.payment_methods.ports import (
    CustomersMethod,
    MethodPage,
    MethodPlace,
    NewSetupIntent,
    PaymentMethodGateway,
)
from application.payment_methods.use_cases import ListPaymentMethods, OwnedMethod, PaymentMethods
from application.requests.callers import Caller
from application.requests.paging import PageTokens
from domain.connections import Connection, ConnectionKind, Mode
from domain.customers import Customer
from domain.errors import (
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Unavailable,
)
from domain.mirror import Snapshot, Version
from domain.payment_methods import PaymentMethod, SetupIntent
from tests.support.fakes.logs import FakeMutationLog
from tests.support.fakes.objects import FakeObjects
from tests.support.fakes.stores import (
    NOON,
    FakeClock,
    FakeConnections,
    FakeMirror,
    FakeStripeAccounts,
)

CALLER = Caller("service", "acme", frozenset())
CONNECTION = Connection("acme", "acct_1", Mode.TEST, ConnectionKind.MANUAL, NOON)
WANTED = CustomersMethod("cus_1", "pm_1")
VISA = PaymentMethod("pm_1", "card", "cus_1", "visa", last4="4242")
CARD = PaymentMethod("card_1", "card", "cus_1", "visa", last4="4242")
SECRET = "seti_1_secret_x"


class PaymentMethodsOnFakes:
    """The use case and what it works with."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.mirror = FakeMirror()
        self.stripe = create_autospec(PaymentMethodGateway, instance=True)
        other = replace(CONNECTION, account="other", stripe_account="acct_2")
        connections = Connections(
            FakeConnections(CONNECTION, other), FakeStripeAccounts(), self.mirror, clock, Mode.TEST
        )
        self.writer = MirrorWriter(self.mirror)
        self.log = FakeMutationLog()
        self.there = Customer("cus_1", NOON)
        self.objects = FakeObjects(clock, lambda _: self.there)
        mutations = Mutations(self.log, connections, self.writer, clock, Tasks(), self.objects)
        tokens = PageTokens(b"k", clock)
        reader = MirrorReader(self.mirror, tokens)
        self.methods = PaymentMethods(reader, connections, mutations, self.stripe, tokens)
        self.stripe.default_of.return_value = "card_1"
        self.stripe.read.return_value = VISA
        self.stripe.attach.return_value = VISA
        self.stripe.detach.return_value = WANTED
        self.stripe.set_default.return_value = self.snapshot("pm_1")
        self.stripe.create_setup.return_value = SetupIntent("seti_1", "requires_payment_method")
        self.stripe.read_setup.return_value = (SetupIntent("seti_1", "succeeded"), SECRET)

    @staticmethod
    def snapshot(default: str) -> Snapshot[Customer]:
        customer = Customer("cus_1", NOON, default_payment_method=default)
        return Snapshot("acct_1", "cus_1", Version.of_event(1), customer)


@pytest.fixture
def desk() -> PaymentMethodsOnFakes:
    return PaymentMethodsOnFakes()


async def violations(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def test_pages_go_on_where_the_one_before_ended(desk: PaymentMethodsOnFakes) -> None:
    places = [MethodPlace(after="pm_1"), MethodPlace(sources=True), None]
    desk.stripe.page.side_effect = [
        MethodPage([method], place)
        for method, place in zip([VISA, CARD, CARD], places, strict=True)
    ]
    query = ListPaymentMethods("cus_1", 1)
    found: list[OwnedMethod] = []
    while True:
        page = await desk.methods.list(CALLER, query)
        found += page.items
        if not page.next_page_token:
            break
        query = replace(query, page_token=page.next_page_token)
    assert found == [OwnedMethod(VISA, False), OwnedMethod(CARD, True), OwnedMethod(CARD, True)]
    asked = [request.args for request in desk.stripe.page.await_args_list]
    assert asked == [
        ("acct_1", "cus_1", place, 1) for place in (MethodPlace(), places[0], places[1])
    ]


async def test_a_page_token_is_of_one_customer_of_one_tenant(desk: PaymentMethodsOnFakes) -> None:
    desk.stripe.page.return_value = MethodPage([VISA], MethodPlace(after="pm_1"))
    token = (await desk.methods.list(CALLER, ListPaymentMethods("cus_1"))).next_page_token
    for caller, customer in ((CALLER, "cus_2"), (replace(CALLER, account="other"), "cus_1")):
        with pytest.raises(InvalidArgument) as refused:
            await desk.methods.list(caller, ListPaymentMethods(customer, page_token=token))
        assert refused.value.reason is Reason.INVALID_PAGE_TOKEN


async def test_an_unknown_customer_has_no_list(desk: PaymentMethodsOnFakes) -> None:
    desk.stripe.default_of.side_effect = NotFound("customer", "cus_1")
    with pytest.raises(NotFound):
        await desk.methods.list(CALLER, ListPaymentMethods("cus_1"))


async def test_what_is_wrong_is_told_all_at_once(desk: PaymentMethodsOnFakes) -> None:
    use, nothing = desk.methods, CustomersMethod("", "x\n")
    query = ListPaymentMethods("a\n", 101)
    assert await violations(use.list(CALLER, query)) == ["customer", "page_size"]
    for call in (
        use.attach(CALLER, "", nothing),
        use.detach(CALLER, "", nothing),
        use.set_default(CALLER, "", nothing),
    ):
        assert await violations(call) == ["request_id", "customer", "id"]
    for types in (("card",) * 21, ("Card",), ("",)):
        wanted = NewSetupIntent("", types, "often")
        assert await violations(use.create_setup(CALLER, "", wanted)) == [
            "request_id", "customer", "payment_method_types", "usage",
        ]  # fmt: skip


async def test_a_source_is_not_attached(desk: PaymentMethodsOnFakes) -> None:
    for source in ("card_1", "src_1", "ba_1"):
        wanted = CustomersMethod("cus_1", source)
        assert await violations(desk.methods.attach(CALLER, "r-1", wanted)) == ["id"]


@pytest.mark.parametrize(("default", "is_default"), [("pm_1", True), ("pm_2", False)])
async def test_whether_what_was_attached_is_the_default_the_mirror_tells(
    desk: PaymentMethodsOnFakes, default: str, *, is_default: bool
) -> None:
    assert await desk.methods.attach(CALLER, "r-1", WANTED) == OwnedMethod(VISA, False)
    await desk.writer.observe(CUSTOMERS, [desk.snapshot(default)])
    assert await desk.methods.attach(CALLER, "r-1", WANTED) == OwnedMethod(VISA, is_default)
    assert len(desk.stripe.attach.await_args_list) == 1


async def test_what_the_customer_has_not_is_neither_detached_nor_made_the_default(
    desk: PaymentMethodsOnFakes,
) -> None:
    desk.stripe.read.side_effect = NotFound("payment_method", "pm_1")
    for call in (
        desk.methods.detach(CALLER, "r-1", WANTED),
        desk.methods.set_default(CALLER, "r-1", WANTED),
    ):
        with pytest.raises(NotFound):
            await call
    assert not desk.stripe.detach.await_args_list + desk.stripe.set_default.await_args_list


async def test_a_detachment_of_our_own_is_not_taken_for_another(
    desk: PaymentMethodsOnFakes,
) -> None:
    desk.stripe.detach.side_effect = Unanswered("lost")
    with pytest.raises(OutcomeUnknown):
        await desk.methods.detach(CALLER, "r-1", WANTED)
    desk.stripe.read.side_effect = NotFound("payment_method", "pm_1")
    desk.stripe.detach.side_effect = None
    await desk.methods.detach(CALLER, "r-1", WANTED)
    with pytest.raises(NotFound):
        await desk.methods.detach(CALLER, "r-2", WANTED)


@pytest.mark.parametrize("left", ["pm_1", "pm_2", None])
async def test_what_became_of_the_default_is_read_after_a_detachment(
    desk: PaymentMethodsOnFakes, left: str | None
) -> None:
    await desk.writer.observe(CUSTOMERS, [desk.snapshot("pm_1")])
    desk.there = replace(desk.there, default_payment_method=left)
    await desk.methods.detach(CALLER, "r-1", WANTED)
    assert desk.objects.reads == ["cus_1"]
    rows = await desk.writer.rows(CUSTOMERS, [("acct_1", "cus_1")])
    snapshot = rows["acct_1", "cus_1"].snapshot
    assert snapshot is not None
    assert snapshot.object == desk.there


async def test_a_detachment_is_done_though_the_customer_cannot_be_read(
    desk: PaymentMethodsOnFakes,
) -> None:
    desk.objects.error = Unavailable(Reason.STRIPE_UNAVAILABLE, "no answer")
    await desk.methods.detach(CALLER, "r-1", WANTED)
    assert desk.stripe.detach.await_count == 1


async def test_a_default_that_was_set_is_no_other_for_a_detachment_since(
    desk: PaymentMethodsOnFakes,
) -> None:
    """Between two runs the method is detached; what was sent is told as it was sent."""
    desk.stripe.set_default.side_effect = Unanswered("lost")
    with pytest.raises(OutcomeUnknown):
        await desk.methods.set_default(CALLER, "r-1", WANTED)
    desk.stripe.read.side_effect = NotFound("payment_method", "pm_1")
    desk.stripe.set_default.side_effect = None
    assert await desk.methods.set_default(CALLER, "r-1", WANTED) == OwnedMethod(VISA, True)


async def test_a_look_before_the_first_send_counts_as_nothing_sent(
    desk: PaymentMethodsOnFakes,
) -> None:
    desk.stripe.set_default.side_effect = slow = RateLimited(
        Reason.STRIPE_RATE_LIMITED, "slow", retry_after_seconds=1
    )
    with pytest.raises(RateLimited) as refused:
        await desk.methods.set_default(CALLER, "r-1", WANTED)
    assert refused.value.__cause__ is slow or refused.value is slow
    (logged,) = desk.log.records.values()
    assert [step.sent_at for step in logged.record.steps.values()] == [None, None]


async def test_the_default_is_mirrored_at_once(desk: PaymentMethodsOnFakes) -> None:
    assert await desk.methods.set_default(CALLER, "r-1", WANTED) == OwnedMethod(VISA, True)
    row = (await desk.mirror.fetch(CUSTOMERS, "acct_1", ["cus_1"]))["cus_1"]
    assert row.snapshot == desk.snapshot("pm_1")


async def test_a_secret_is_read_for_each_answer_and_never_kept(desk: PaymentMethodsOnFakes) -> None:
    wanted = NewSetupIntent("cus_1", ("card",), "on_session")
    for _ in range(2):
        made = await desk.methods.create_setup(CALLER, "r-1", wanted)
        assert (made.intent.status, made.client_secret) == ("succeeded", SECRET)
        assert SECRET not in repr(made)
    assert len(desk.stripe.create_setup.await_args_list) == 1
    assert SECRET not in repr(vars(desk.log))
    desk.stripe.read_setup.side_effect = Unavailable(Reason.STRIPE_UNAVAILABLE, "no")
    with pytest.raises(Unavailable):
        await desk.methods.create_setup(CALLER, "r-1", wanted)
