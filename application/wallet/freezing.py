"""Freezing: what a reload comes to is fixed before Stripe is asked for money."""

import datetime as dt
from typing import Final

from application.analytics.ports import Rates
from application.background.clock import Clock
from application.mutations.steps import Steps
from application.payment_intents.ports import PaymentIntentGateway
from application.payment_methods.ports import CustomersMethod, PaymentMethodGateway
from application.processes.starting import Frozen
from application.requests.callers import OPERATOR
from application.wallet.buying import Buying
from application.wallet.commands import ReloadOrder
from application.wallet.reload_terms import ReloadTerms, claim
from application.wallet.whose import Wallets
from domain.connections import Mode
from domain.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound, Reason
from domain.payment_methods import is_legacy
from domain.rates import Rate
from domain.reloads import credit_of, rate_time, usable_rate
from domain.wallets import MAX_AMOUNT, Wallet

_PLATFORM: Final = "platform"
_DAY: Final = dt.timedelta(days=1)


class Freezing:
    """Fixes the terms of a reload that an owner asks for."""

    def __init__(
        self, wallets: Wallets, buying: Buying, payments: PaymentIntentGateway,
        methods: PaymentMethodGateway, rates: Rates, clock: Clock, mode: Mode,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._buying = buying
        self._payments = payments
        self._methods = methods
        self._rates = rates
        self._clock = clock
        self._livemode = mode is Mode.LIVE

    async def freeze(self, steps: Steps, order: ReloadOrder) -> Frozen[ReloadTerms]:
        """The terms; the customer is made last, by a step, where the owner is none yet.

        Raises InvalidArgument, NotFound, FailedPrecondition (RATE_UNAVAILABLE, NO_PAYMENT_METHOD),
        and what the creditor's connection and Stripe are refused with.
        """
        wallet = await self._wallets.of(steps.account)
        rate = await self._rate(wallet, order.currency)
        credit = _credit(order, rate, wallet)
        # Once and for all: the parent may connect another one while this is under way.
        place = await steps.known("place", str, lambda _: self._buying.stripe_account(wallet))
        customer = await self._buying.customer(wallet, place)
        method = await self.method(place, customer, order.payment_method)
        if not customer:
            customer = await self._buying.ensure(steps, wallet, place)
        terms = ReloadTerms(
            account=wallet.account,
            parent=wallet.parent,
            wallet_currency=wallet.currency,
            stripe_account=place,
            livemode=self._livemode,
            customer=customer,
            payment_method=method,
            amount=order.amount,
            currency=order.currency,
            credit=credit,
            rate=rate.rate if rate else "",
            rate_source=_source(wallet) if rate else "",
            rate_time=rate_time(rate) if rate else None,
            keeps_method=order.keeps_method,
        )
        return Frozen(terms, place, (claim(wallet),))

    async def _rate(self, wallet: Wallet, currency: str) -> Rate | None:
        """The creditor's rate: who gives the credit says what it costs.

        Raises FailedPrecondition (RATE_UNAVAILABLE).
        """
        if currency == wallet.currency:
            return None
        now = self._clock.now()
        today = now.astimezone(dt.UTC).date()
        rates = await self._rates.find(
            wallet.parent or OPERATOR, wallet.currency, [currency], today - _DAY, today
        )
        rate = usable_rate(rates, now)
        if rate is None:
            words = f"no rate of {currency} is known that is at most 24 hours old"
            raise FailedPrecondition(Reason.RATE_UNAVAILABLE, words, subject="rate")
        return rate

    async def method(self, place: str, customer: str, asked_for: str) -> str:
        """The payment method to charge: the owner's, or nobody's yet.

        Raises NotFound for another's, FailedPrecondition (NO_PAYMENT_METHOD) without any.
        """
        if asked_for and is_legacy(asked_for):
            return (await self._methods.read(place, CustomersMethod(customer, asked_for))).id
        if asked_for:
            method = await self._payments.method(place, asked_for)
            if method.customer not in (None, customer):
                raise NotFound("payment_method", asked_for)
            return method.id
        default = await self._methods.default_of(place, customer) if customer else ""
        if not default:
            words = "the owner has no default payment method there; name one, or prepare one"
            raise FailedPrecondition(Reason.NO_PAYMENT_METHOD, words, subject="payment_method")
        return default


def _source(wallet: Wallet) -> str:
    return wallet.parent or _PLATFORM


def _credit(order: ReloadOrder, rate: Rate | None, wallet: Wallet) -> int:
    """What it buys. Raises InvalidArgument where that is nothing, or more than a wallet holds."""
    credit = credit_of(order.paid, rate.rate if rate else "", wallet.currency)
    if not 1 <= credit <= MAX_AMOUNT:
        rule = f"worth 1 to {MAX_AMOUNT:,} minor units of {wallet.currency}"
        raise InvalidArgument([FieldViolation("amount.amount", rule)])
    return credit
