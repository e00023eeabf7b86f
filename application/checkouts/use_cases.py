"""What the store offers to an account, at what the account pays."""

from dataclasses import dataclass
from fractions import Fraction

from application.accounts.ports import Accounts
from application.checkouts.commands import ListStoreProducts
from application.checkouts.multipliers import Multipliers
from application.checkouts.ports import MAX_OFFERS, StoreCatalogue
from application.requests.callers import Caller
from application.requests.paging import (
    DEFAULT_PAGE_SIZE,
    Page,
    PageTokens,
    Position,
    digest,
    page_size_violations,
)
from application.requests.violations import refuse
from domain.accounts import Account
from domain.errors import NotFound
from domain.money import Money
from domain.rebilling import rebilled
from domain.store_products import Offer


@dataclass(frozen=True, slots=True)
class StoreItem:
    """An offer, and what one unit of it costs the account; None where that depends on more."""

    offer: Offer
    unit_amount: Money | None


class StoreProducts:
    """Lists the store to an account."""

    def __init__(
        self, accounts: Accounts, catalogue: StoreCatalogue, multipliers: Multipliers,
        page_tokens: PageTokens,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._catalogue = catalogue
        self._multipliers = multipliers
        self._page_tokens = page_tokens

    async def list(self, caller: Caller, query: ListStoreProducts) -> Page[StoreItem]:
        """What is sold to the account, in order of the price's id.

        A page looks at as many prices as it may hold; those that are not offered to the account
        are left out.
        """
        refuse(page_size_violations(query.page_size, most=MAX_OFFERS))
        account = await self._account(caller.account)
        scope = digest("store_products", account.id)
        place = self._page_tokens.read(query.page_token, scope)
        page = await self._catalogue.list(
            after="" if place is None else place.id, limit=query.page_size or DEFAULT_PAGE_SIZE
        )
        multipliers = await self._multipliers.of(account)
        items = [
            _item(offer, multipliers(offer.product.rebilled_as))
            for offer in page.offers
            if offer.active and offer.product.offered_to(account)
        ]
        beyond = Position("", page.after) if page.after else None
        return Page(items, self._page_tokens.write(scope, beyond))

    async def _account(self, account: str) -> Account:
        known = await self._accounts.get(account)
        if known is None:
            raise NotFound("account", account)
        return known


def _item(offer: Offer, multiplier: str) -> StoreItem:
    amount, currency = offer.price.unit_amount, offer.price.currency
    if amount is None:
        return StoreItem(offer, None)
    return StoreItem(offer, rebilled(Fraction(amount), multiplier, currency))
