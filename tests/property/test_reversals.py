"""Whatever order a payment's refunds and disputes come in, its wallet ends where Stripe stands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from domain.disputes import Dispute
from domain.ledger_amounts import share
from domain.money import Money
from domain.refunds import Refund
from domain.reloads import Lost, credit_of, lost_of
from tests.support.rooms.ledger import NOON, Books, reload, reversal

HAPPENINGS = ("refund", "second_refund", "fails", "disputed", "won", "lost")


@dataclass
class AtStripe:
    """A payment, its refunds and its dispute, as far as they have come."""

    paid: int
    parts: tuple[int, int, int]
    refunds: dict[str, Refund] = field(default_factory=dict)
    dispute: Dispute | None = None

    def happens(self, happening: str) -> None:
        """One of HAPPENINGS, where it may be now; else it is as if it had not been told yet."""
        first, second, third = self.parts
        match happening:
            case "refund":
                self.refunds["one"] = self._refund(first)
            case "second_refund":
                self.refunds["two"] = self._refund(second)
            case "fails" if "two" in self.refunds:
                self.refunds["two"] = replace(self.refunds["two"], status="failed")
            case "disputed" if self.dispute is None:
                self.dispute = Dispute(
                    "dp_1", NOON, Money(third, "eur"), "needs_response",
                    balance_transactions=("txn_1",),
                )  # fmt: skip
            case "won" if self.dispute is not None:
                self.dispute = replace(
                    self.dispute, status="won", balance_transactions=("txn_1", "txn_2")
                )
            case "lost" if self.dispute is not None:
                self.dispute = replace(self.dispute, status="lost", balance_transactions=("txn_1",))

    @property
    def lost(self) -> Lost:
        disputes = [] if self.dispute is None else [self.dispute]
        return lost_of(self.paid, self.refunds.values(), disputes)

    def _refund(self, amount: int) -> Refund:
        return Refund("re_1", NOON, Money(amount, "eur"), "succeeded")


def credited(paid: int, rate: str) -> tuple[Books, int]:
    """A wallet with a reload in euros."""
    books, credit = Books(), credit_of(Money(paid, "eur"), rate, "usd")
    books.append(reload("r", credit, Money(paid, "eur"), rate))
    return books, credit


def follow(books: Books, targets: Iterable[Lost]) -> None:
    """Post what each look comes to; nothing where nothing is new."""
    before, number = Lost(), 0
    for lost in targets:
        if lost != before:
            before, number = lost, number + 1
            books.append(reversal("r", number, lost.gone, lost.withheld))


def assert_at(books: Books, paid: int, credit: int, lost: Lost) -> None:
    """The balance is what the targets say, on each account."""
    left, gone = share(credit, lost.left, paid), share(credit, lost.gone, paid)
    assert books.available == credit - left
    sums = books.sums()
    assert sums.get(("disputed", "usd"), 0) == left - gone
    assert sums.get(("stripe", "eur"), 0) == lost.gone - paid


def test_every_order_of_refunds_failures_and_disputes_ends_at_the_targets() -> None:
    """Each look sees all that has happened so far, in 720 orders, each told twice."""
    for order in permutations(HAPPENINGS):
        stripe = AtStripe(999, (100, 333, 999))
        looks: list[Lost] = []
        for happening in order:
            stripe.happens(happening)
            looks += [stripe.lost, stripe.lost]
        books, credit = credited(999, "1.0837")
        follow(books, looks)
        assert_at(books, 999, credit, stripe.lost)


@given(
    st.integers(50, 10**8), st.sampled_from(["1.0842", "0.0067", "117.3", "1"]),
    st.lists(st.sampled_from(HAPPENINGS), max_size=12), st.data(),
)  # fmt: skip
def test_looks_may_be_missed_and_the_rate_odd(
    paid: int, rate: str, happenings: Sequence[str], data: st.DataObject
) -> None:
    parts = (
        data.draw(st.integers(1, paid)), data.draw(st.integers(1, paid)),
        data.draw(st.integers(1, paid)),
    )  # fmt: skip
    stripe = AtStripe(paid, parts)
    if credit_of(Money(paid, "eur"), rate, "usd") == 0:
        return
    books, credit = credited(paid, rate)
    looks: list[Lost] = []
    for happening in happenings:
        stripe.happens(happening)
        if data.draw(st.booleans()):
            looks.append(stripe.lost)
    looks.append(stripe.lost)
    follow(books, looks)
    assert_at(books, paid, credit, stripe.lost)
    assert 0 <= books.available <= credit, "parts never add to more or less than the credit"
