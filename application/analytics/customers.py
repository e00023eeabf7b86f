"""Top customers: who spent most in a period."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from application.analytics.asking import Asking
from application.analytics.metrics import SPEND
from application.analytics.ports import TopRow
from application.analytics.questions import Compared, Question
from application.mirror.nouns import CUSTOMERS
from application.mirror.ports import Mirror
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from domain.customers import Customer
from domain.errors import FieldViolation
from domain.mirror import LAST, Row


@dataclass(frozen=True, slots=True)
class Spender:
    """A customer and what he spent: an amount in minor units, and the charges that make it up.

    `name` is None where nobody has told one; of a deleted customer it is the last that he had.
    """

    customer: str
    amount: int
    count: int
    name: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class TopCustomers:
    """A page of them, who spent most first. `unnamed` is what charges without a customer took.

    That is there on the first page alone.
    """

    time: Compared
    currency: str
    customers: Sequence[Spender]
    unnamed: Spender | None
    next_page_token: str


class CustomerAnalytics:
    """Answers who spends."""

    def __init__(self, asking: Asking, mirror: Mirror, page_tokens: PageTokens) -> None:
        self._asking = asking
        self._mirror = mirror
        self._page_tokens = page_tokens

    async def top_customers(
        self,
        caller: Caller,
        question: Question,
        page_size: int,
        page_token: str,
        violations: Sequence[FieldViolation] = (),
    ) -> TopCustomers:
        """A page of the customers who spent most in one currency."""
        wrong = [*violations, *_violations(question, page_size)]
        asked = await self._asking.asked(caller, question, wrong)
        period, code = asked.time.period, question.currency
        scope = digest(
            "top_customers", asked.account, asked.stripe_account, period.start, period.end, code
        )
        place = self._page_tokens.read(page_token, scope)
        size = page_size or DEFAULT_PAGE_SIZE
        found = await self._asking.analytics.top(
            SPEND,
            asked.stripe_account,
            (period.start, period.end),
            code,
            after=None if place is None else (int(place.value), place.id),
            limit=size + 1,
        )
        page = found.rows[:size]
        last = Position(page[-1].sum, page[-1].value) if len(found.rows) > size else None
        rows = await self._mirror.fetch(
            CUSTOMERS, asked.stripe_account, sorted(row.value for row in page)
        )
        none = found.without
        return TopCustomers(
            asked.time,
            code,
            [_spender(row, rows.get(row.value)) for row in page],
            None if none is None else Spender("", none.sum, none.count),
            self._page_tokens.write(scope, last),
        )


def _violations(question: Question, page_size: int) -> Iterator[FieldViolation]:
    yield from page_size_violations(page_size)
    if not question.currency:
        rule = "is required: amounts of two currencies have no order"
        yield FieldViolation("currency", rule)


def _spender(spent: TopRow, row: Row[Customer] | None) -> Spender:
    if row is None:
        return Spender(spent.value, spent.sum, spent.count)
    customer = None if row.snapshot is None else row.snapshot.object
    last = row.derived.get(LAST)
    name = customer.name if customer else (last.values.get("name") if last else None)
    deleted = row.snapshot is not None and row.snapshot.deleted
    return Spender(spent.value, spent.sum, spent.count, name, deleted)
