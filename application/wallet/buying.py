"""As which customer an account buys credit, on which Stripe account."""

from typing import Final

from application.connections.platform import Platform
from application.connections.use_cases import Connections
from application.customers.ports import CustomerFields, CustomerGateway
from application.mirror.nouns import CUSTOMERS
from application.mutations.steps import Steps, shown
from application.requests.callers import Caller
from application.wallet.ports import Buyers
from application.wallet.whose import Wallets
from domain.errors import AlreadyExists, FailedPrecondition, Reason
from domain.wallets import Buyer, Wallet

_LINKED: Final = "the account is another customer there"


class Buying:
    """Finds where a wallet is paid, and the customer that its owner is there."""

    def __init__(
        self, wallets: Wallets, connections: Connections, platform: Platform, buyers: Buyers,
        customers: CustomerGateway,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._connections = connections
        self._platform = platform
        self._buyers = buyers
        self._customers = customers

    async def stripe_account(self, wallet: Wallet) -> str:
        """Where reloads are paid: on the platform's own account, or the parent's connected one.

        Raises FailedPrecondition (STRIPE_NOT_CONNECTED, STRIPE_CONNECTION_REVOKED), and what asking
        Stripe for the platform's account raises.
        """
        if wallet.parent is None:
            return await self._platform.stripe_account()
        parent = Caller("billing", wallet.parent, frozenset())
        return (await self._connections.of(parent)).stripe_account

    async def known_stripe_account(self, wallet: Wallet) -> str:
        """The same; empty where it is not known or not usable. Nothing is asked of Stripe."""
        if wallet.parent is None:
            return await self._platform.known_stripe_account()
        try:
            return await self.stripe_account(wallet)
        except FailedPrecondition:
            return ""

    async def customer(self, wallet: Wallet, stripe_account: str) -> str:
        """The customer that the owner is there; empty where there is none yet."""
        buyer = await self._buyers.get(wallet.account, stripe_account)
        return "" if buyer is None else buyer.customer

    async def ensure(
        self, steps: Steps, wallet: Wallet, stripe_account: str, *, named: str = ""
    ) -> str:
        """The customer that the owner is there: the known one, the `named` one, or a new one.

        Raises NotFound where Stripe does not have the named one, AlreadyExists (CUSTOMER_LINKED)
        where the owner is another one, or that one is another account.
        """
        customer = await self.customer(wallet, stripe_account)
        if not customer:
            there = steps.at(stripe_account)
            made = named or await self._made(there, wallet)
            if named:
                await there.standing(CUSTOMERS, named)
            buyer = Buyer(wallet.account, stripe_account, made, steps.started_at)
            customer = (await self._buyers.add(buyer)).customer
        if named and customer != named:
            raise AlreadyExists(
                Reason.CUSTOMER_LINKED, _LINKED, metadata={"resource": "customer", "id": customer}
            )
        return customer

    async def _made(self, steps: Steps, wallet: Wallet) -> str:
        account = await self._wallets.account(wallet.account)
        fields = CustomerFields(name=account.name)
        made = await steps.call(
            "customer", CUSTOMERS, fields, self._customers.create, self._customers.find_created
        )
        return shown(CUSTOMERS, made).id
