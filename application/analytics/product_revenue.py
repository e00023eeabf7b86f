"""Revenue by product: what was captured, shared by the lines of what it paid for."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from application.analytics.asking import Asking, Figures, first_sum
from application.analytics.fact_figures import FactFigures, FactSum
from application.analytics.metrics import GROSS_VOLUME
from application.analytics.questions import Asked, Compared, Question
from application.mirror.nouns import PRODUCTS
from application.mirror.ports import Mirror
from application.requests.callers import Caller
from domain.errors import FieldViolation
from domain.facts import SCALE, Series
from domain.mirror import LAST, Row
from domain.products import Product
from domain.revenue_lines import CAPTURED, PENDING, PRODUCT, REFUNDED

DEFAULT_PRODUCTS: Final = 100
MAX_PRODUCTS: Final = 1_000
"""How many products of a currency are told by name at most; the others are one row."""

OTHERS: Final = "other_products"


@dataclass(frozen=True, slots=True)
class ProductRow:
    """What a product brought, in minor units: captured, and refunded of what it ever brought.

    `kind` is `product`, or says what else it is (`domain.revenue_lines.KINDS`, `pending`, and
    `other_products` of those that are not told by name).
    """

    kind: str
    product: str
    captured: int
    refunded: int
    previous_captured: int
    previous_refunded: int
    name: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class CurrencyProducts:
    """All rows of a currency, the greatest product first; captured they add up to `gross`."""

    currency: str
    rows: Sequence[ProductRow]

    @property
    def gross(self) -> int:
        """Gross volume of the period."""
        return sum(row.captured for row in self.rows)

    @property
    def previous_gross(self) -> int:
        """That of the period before."""
        return sum(row.previous_captured for row in self.rows)


@dataclass(frozen=True, slots=True)
class ProductRevenue:
    """Revenue by product, by currency in order of its code."""

    time: Compared
    currencies: Sequence[CurrencyProducts]


class ProductAnalytics:
    """Answers what was sold."""

    def __init__(self, asking: Asking, facts: FactFigures, mirror: Mirror) -> None:
        self._asking = asking
        self._facts = facts
        self._mirror = mirror

    async def product_revenue(
        self,
        caller: Caller,
        question: Question,
        most: int = 0,
        violations: Sequence[FieldViolation] = (),
    ) -> ProductRevenue:
        """The products that brought most, at most `most` a currency, and all else in rows."""
        asked = await self._asking.asked(caller, question, [*violations, *_violations(most)])
        now, before, gross = await asyncio.gather(
            self._over(asked, asked.edges),
            self._over(asked, asked.edges_before),
            self._asking.figures(asked, GROSS_VOLUME),
        )
        pending = gross.where(lambda row: not row.group[0])
        codes = {row.currency for row in (*now, *before)} | {*pending.codes}
        if question.currency:
            codes &= {question.currency}
        rows = {code: _rows(code, now, before, pending) for code in sorted(codes)}
        told = {code: _cut(each, most or DEFAULT_PRODUCTS) for code, each in rows.items()}
        names = await self._names(asked, told.values())
        return ProductRevenue(
            asked.time, [CurrencyProducts(code, _named(told[code], names)) for code in told]
        )

    async def _over(self, asked: Asked, edges: Sequence[Any]) -> Sequence[FactSum]:
        whole = (edges[0], edges[-1])
        return await self._facts.sums(asked.stripe_account, Series.REVENUE_LINE, whole)

    async def _names(
        self, asked: Asked, told: Sequence[Any] | Any
    ) -> dict[str, tuple[str | None, bool]]:
        ids = sorted({row.product for rows in told for row in rows if row.product})
        names: dict[str, tuple[str | None, bool]] = {}
        for first in range(0, len(ids), MAX_PRODUCTS):
            found = await self._mirror.fetch(
                PRODUCTS, asked.stripe_account, ids[first : first + MAX_PRODUCTS]
            )
            names |= {id_: _name(row) for id_, row in found.items()}
        return names


def _violations(most: int) -> Iterator[FieldViolation]:
    if not 0 <= most <= MAX_PRODUCTS:
        yield FieldViolation("max_products", f"0 to {MAX_PRODUCTS:,}; 0 is {DEFAULT_PRODUCTS}")


def _rows(
    code: str, now: Sequence[FactSum], before: Sequence[FactSum], pending: Figures
) -> list[ProductRow]:
    """The rows of a currency: products by what they brought, then all else by name."""
    sums = Counter[tuple[str, str, str, int]]()
    for place, facts in enumerate((now, before)):
        for each in facts:
            if each.currency == code:
                sums[each.kind, each.product, each.cause, place] += each.amount // SCALE
    own = pending.of(code)
    for place, rows in enumerate((own.now, own.before)):
        sums[PENDING, "", CAPTURED, place] += sum(first_sum(row) for row in rows)
    keys = {(kind, product) for (kind, product, _, _), amount in sums.items() if amount}
    found = [
        ProductRow(
            kind, product, sums[kind, product, CAPTURED, 0], sums[kind, product, REFUNDED, 0],
            sums[kind, product, CAPTURED, 1], sums[kind, product, REFUNDED, 1],
        )
        for kind, product in keys
    ]  # fmt: skip
    return sorted(
        found, key=lambda row: (row.kind != PRODUCT, -row.captured, row.kind, row.product)
    )


def _cut(rows: Sequence[ProductRow], most: int) -> list[ProductRow]:
    """The first products, all others as one row, and what is no product."""
    products = [row for row in rows if row.kind == PRODUCT]
    others = products[most:]
    figures = ("captured", "refunded", "previous_captured", "previous_refunded")
    summed = [
        ProductRow(OTHERS, "", *(sum(getattr(row, name) for row in others) for name in figures))
    ]
    return [*products[:most], *(summed if others else ()), *rows[len(products) :]]


def _named(
    rows: Sequence[ProductRow], names: dict[str, tuple[str | None, bool]]
) -> Sequence[ProductRow]:
    return [
        ProductRow(
            row.kind, row.product, row.captured, row.refunded, row.previous_captured,
            row.previous_refunded, *names.get(row.product, (None, False)),
        )
        for row in rows
    ]  # fmt: skip


def _name(row: Row[Product]) -> tuple[str | None, bool]:
    """What a product is called, of a deleted one what it was called last."""
    product = None if row.snapshot is None else row.snapshot.object
    last = row.derived.get(LAST)
    name = product.name if product else (last.values.get("name") if last else None)
    return name, row.snapshot is not None and row.snapshot.deleted
