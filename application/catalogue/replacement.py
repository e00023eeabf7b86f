"""Replacing a price: a new one takes its place, and what was sold before stays as it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

from application.background.leases import Leases
from application.catalogue.alone import alone
from application.catalogue.commands import (
    Replacement,
    ReplacePrice,
    SubscriberCounts,
)
from application.catalogue.hydration import Hydration
from application.catalogue.ports import (
    NewPrice,
    PriceChange,
    PriceFields,
    PriceGateway,
    ProductChange,
    ProductFields,
    ProductGateway,
)
from application.catalogue.subscribers import Subscribers
from application.catalogue.violations import new_price_violations, replacement_violations
from application.connections.use_cases import Connections
from application.mirror.nouns import PRICES, PRODUCTS
from application.mutations.failures import is_definite
from application.mutations.mutations import Mutations, request_id_violations
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.requests.violations import RESERVED, refuse
from domain.errors import BillingError, FieldViolation, NotFound, WrongState
from domain.ids import is_object_id
from domain.price_rules import PriceTerms, terms_of
from domain.prices import Price

_COSTS: Final = ("unit_amount", "unit_amount_decimal", "tiers", "custom_unit_amount")
"""The ways to say what a unit costs: one takes the place of another."""

_TERMS: Final = (
    "currency", "unit_amount", "unit_amount_decimal", "tiers_mode", "tiers", "transform_quantity",
    "custom_unit_amount", "tax_behavior", "recurring", "currency_options",
)  # fmt: skip

_EMPTY: Final[Mapping[str, Any]] = {"currency": "", "tiers": (), "currency_options": {}}
"""What a term is without a value, where that is not None."""


@dataclass(frozen=True, slots=True)
class _Before:
    """The price as it stood, and whether it was its product's default."""

    price: Price
    is_default: bool


class PriceReplacement:
    """Makes a price like an old one but for what is given, and archives the old one."""

    def __init__(
        self,
        connections: Connections,
        mutations: Mutations,
        hydration: Hydration,
        subscribers: Subscribers,
        prices: PriceGateway,
        products: ProductGateway,
        leases: Leases,
    ) -> None:
        self._connections = connections
        self._hydration = hydration
        self._subscribers = subscribers
        self._prices = prices
        self._products = products
        self._leases = leases
        self._replace = mutations.method(
            "CatalogService.ReplacePrice", ReplacePrice, Replacement, self._replace_steps
        )

    async def replace(
        self,
        caller: Caller,
        request_id: str,
        command: ReplacePrice,
        violations: Sequence[FieldViolation] = (),
    ) -> tuple[Replacement, SubscriberCounts]:
        """The new price and the old one, and how many subscriptions stay on the old one.

        WrongState for a price that is archived.
        """
        wrong = [
            *violations, *request_id_violations(request_id), *replacement_violations(command),
        ]  # fmt: skip
        refuse(chain(wrong, await self._terms_violations(caller, command)))
        done = await self._replace.run(caller, request_id, command)
        connection = await self._connections.of(caller)
        counts = await self._subscribers.of(connection.stripe_account, {"": [done.replaced.id]})
        return done, counts[""]

    async def _terms_violations(
        self, caller: Caller, command: ReplacePrice
    ) -> Sequence[FieldViolation]:
        """What is wrong with the new price as a whole, as far as the old one is known."""
        if not is_object_id(command.id):
            return []
        connection = await self._connections.of(caller)
        row = await self._hydration.price(connection.stripe_account, command.id)
        if row is None or row.snapshot is None or row.snapshot.object is None:
            raise NotFound(PRICES.name, command.id)
        return list(_violations(row.snapshot.object, command))

    async def _replace_steps(self, steps: Steps, command: ReplacePrice) -> Replacement:
        """One at a time a price: whoever comes second finds it archived."""
        async with alone(self._leases, steps, f"replace/{command.id}"):
            return await self._steps(steps, command)

    async def _steps(self, steps: Steps, command: ReplacePrice) -> Replacement:
        before = await steps.known("before", _Before, lambda _: _before(steps, command.id))
        old = before.price
        if not old.active:
            raise WrongState(PRICES.name, old.id, "archived")
        refuse(_violations(old, command))
        prices = self._prices
        wanted = successor(old, command)
        answer = await steps.call("create", PRICES, wanted, prices.create, prices.find_created)
        new = shown(PRICES, answer)
        if before.is_default:
            await self._make_default(steps, old, new)
        replaced = await self._change_price(steps, "archive", PriceChange(old.id, active=False))
        return Replacement(new, replaced, before.is_default, bool(old.lookup_key))

    async def _make_default(self, steps: Steps, old: Price, new: Price) -> None:
        """Make the new price the default; where Stripe refuses that, all is as it was before."""
        change = ProductChange(old.product, ProductFields(default_price=new.id))
        products = self._products
        try:
            await steps.call("default", PRODUCTS, change, products.update, products.find_updated)
        except BillingError as error:
            if is_definite(error):
                await self._take_back(steps, old, new)
            raise

    async def _take_back(self, steps: Steps, old: Price, new: Price) -> None:
        if old.lookup_key:
            key = PriceFields(lookup_key=old.lookup_key)
            change = PriceChange(old.id, key, transfer_lookup_key=True)
            await self._change_price(steps, "give_back_key", change)
        await self._change_price(steps, "take_back", PriceChange(new.id, active=False))

    async def _change_price(self, steps: Steps, name: str, change: PriceChange) -> Price:
        prices = self._prices
        answer = await steps.call(name, PRICES, change, prices.update, prices.find_updated)
        return shown(PRICES, answer)


def successor(old: Price, command: ReplacePrice) -> NewPrice:
    """The new price: like the old one but for what the command names."""
    named = command.mask or command.given
    given = command.price
    own = {key: text for key, text in old.metadata.items() if not key.startswith(RESERVED)}
    return NewPrice(
        terms=_terms(old, given.terms, named),
        product=old.product,
        nickname=given.nickname if "nickname" in named else old.nickname or "",
        lookup_key=old.lookup_key or "",
        transfer_lookup_key=bool(old.lookup_key),
        metadata=given.metadata if "metadata" in named else own,
    )


def _terms(old: Price, given: PriceTerms, named: Sequence[str]) -> PriceTerms:
    terms = terms_of(old)
    if any(_has(given, name) for name in _COSTS if name in named):
        terms = replace(
            terms, unit_amount=None, unit_amount_decimal=None, tiers=(), custom_unit_amount=None,
            tiers_mode=old.tiers_mode if "tiers" in named else None,
        )  # fmt: skip
    values: dict[str, Any] = {
        name: getattr(given, name) if _has(given, name) else _EMPTY.get(name)
        for name in _TERMS
        if name in named
    }
    if "recurring" in named:
        values["trial_period_days"] = given.trial_period_days
    return replace(terms, **values)


def _has(terms: PriceTerms, name: str) -> bool:
    """Whether terms have a value: zero is one."""
    value = getattr(terms, name)
    return bool(value) or (isinstance(value, int) and not isinstance(value, bool))


def _violations(old: Price, command: ReplacePrice) -> Sequence[FieldViolation]:
    named = command.mask or command.given
    found = list(new_price_violations(successor(old, command), "price."))
    if "currency" in named and not any(name in named for name in _COSTS):
        found.append(FieldViolation("price.unit_amount", "is needed with another currency"))
    return found


async def _before(steps: Steps, price_id: str) -> _Before:
    price = await steps.standing(PRICES, price_id)
    product = await steps.standing(PRODUCTS, price.product)
    return _Before(price, product.default_price == price.id)
