"""Preparing a payment method of the owner's for reloads."""

from dataclasses import dataclass, field
from typing import Final

from application.mutations.mutations import Mutations
from application.mutations.steps import Steps
from application.payment_methods.ports import NewSetupIntent, PaymentMethodGateway
from application.requests.callers import Caller
from application.requests.violations import refuse
from application.wallet.buying import Buying
from application.wallet.violations import preparation_violations
from application.wallet.whose import Wallets, is_creditor, not_creditor
from domain.payment_methods import SetupIntent

_OFF_SESSION: Final = "off_session"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is asked for: the customer that the creditor names, or empty."""

    customer: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A setup intent, where it is, and whose."""

    intent: SetupIntent
    stripe_account: str
    customer: str


@dataclass(frozen=True, slots=True)
class PreparedMethod:
    """The same as it stands, with the secret that lets the owner complete it."""

    intent: SetupIntent
    stripe_account: str
    customer: str
    client_secret: str = field(repr=False)


class MethodPreparation:
    """Begins to save a payment method of a wallet's owner at the creditor's Stripe account."""

    def __init__(
        self, wallets: Wallets, buying: Buying, mutations: Mutations, methods: PaymentMethodGateway
    ) -> None:
        self._wallets = wallets
        self._buying = buying
        self._methods = methods
        self._prepare = mutations.method(
            "WalletService.PrepareMethod", Preparation, Prepared, self._steps, connected=False
        )

    async def prepare(self, caller: Caller, request_id: str, customer: str) -> PreparedMethod:
        """Make a setup intent for the owner, and the owner a customer first if he is none.

        The record of the change is kept long, the secret must not be: it is read anew each time.
        """
        refuse(preparation_violations(request_id, customer))
        wallet = await self._wallets.of(caller.account)
        if customer and not is_creditor(caller, wallet):
            raise not_creditor()
        made = await self._prepare.run(caller, request_id, Preparation(customer))
        intent, secret = await self._methods.read_setup(made.stripe_account, made.intent.id)
        return PreparedMethod(intent, made.stripe_account, made.customer, secret)

    async def _steps(self, steps: Steps, wanted: Preparation) -> Prepared:
        wallet = await self._wallets.of(steps.account)
        # Once and for all: the parent may connect another one while this is under way.
        place = await steps.known("place", str, lambda _: self._buying.stripe_account(wallet))
        customer = await self._buying.ensure(steps, wallet, place, named=wanted.customer)
        intent = await steps.at(place).call_unmirrored(
            "setup",
            SetupIntent,
            NewSetupIntent(customer, usage=_OFF_SESSION),
            self._methods.create_setup,
            self._methods.find_setup,
        )
        return Prepared(intent, place, customer)
