"""What is read of a wallet, and what its owner and its creditor set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.background.clock import Clock
from application.mutations.mutations import Mutations
from application.mutations.steps import Steps
from application.payment_methods.ports import MethodPlace, PaymentMethodGateway
from application.payment_methods.use_cases import OwnedMethod
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
from application.wallet.buying import Buying
from application.wallet.commands import (
    AutoReloadValues,
    ListEntries,
    RebillingChange,
    SettingsChange,
)
from application.wallet.ports import Journal, WalletSettingsStore
from application.wallet.violations import rebilling_violations, settings_violations
from application.wallet.whose import Wallets
from domain.errors import Conflict, FieldViolation, Reason
from domain.ledger_entries import Entry
from domain.wallets import AutoReload, Wallet, WalletSettings

MAX_METHODS: Final = 100
_TRIES: Final = 10
"""How often a change is tried that always somebody else forestalls."""


@dataclass(frozen=True, slots=True)
class WalletView:
    """A wallet as it stands; `head` is its last entry."""

    wallet: Wallet
    head: Entry | None
    settings: WalletSettings
    stripe_account: str
    customer: str
    methods: Sequence[OwnedMethod] = ()


class AccountWallets:
    """Reads wallets, and changes their settings."""

    def __init__(
        self, wallets: Wallets, journal: Journal, settings: WalletSettingsStore, buying: Buying,
        methods: PaymentMethodGateway, mutations: Mutations, page_tokens: PageTokens, clock: Clock,
    ) -> None:  # fmt: skip
        self._wallets = wallets
        self._journal = journal
        self._settings = settings
        self._buying = buying
        self._methods = methods
        self._page_tokens = page_tokens
        self._clock = clock
        self._update = mutations.method(
            "WalletService.UpdateWalletSettings",
            SettingsChange, WalletSettings, self._update_steps, connected=False,
        )  # fmt: skip
        self._rebill = mutations.method(
            "WalletService.UpdateRebilling",
            RebillingChange, WalletSettings, self._rebill_steps, connected=False,
        )  # fmt: skip

    async def get(self, caller: Caller, *, methods: bool = False) -> WalletView:
        """The wallet; with the owner's payment methods, if asked for, which Stripe is asked for.

        Raises with `methods` what the creditor's connection and Stripe are refused with.
        """
        wallet = await self._wallets.of(caller.account)
        head = await self._journal.head(wallet.name)
        settings = await self.settings_of(wallet)
        if not methods:
            place = await self._buying.known_stripe_account(wallet)
            customer = await self._buying.customer(wallet, place) if place else ""
            return WalletView(wallet, head, settings, place, customer)
        place = await self._buying.stripe_account(wallet)
        customer = await self._buying.customer(wallet, place)
        owned = await self._methods_of(place, customer) if customer else ()
        return WalletView(wallet, head, settings, place, customer, owned)

    async def entries(self, caller: Caller, query: ListEntries) -> Page[Entry]:
        """A page of entries, newest first."""
        refuse(page_size_violations(query.page_size))
        wallet = await self._wallets.of(caller.account)
        scope = digest("wallet_entries", wallet.name)
        place = self._page_tokens.read(query.page_token, scope)
        size = query.page_size or DEFAULT_PAGE_SIZE
        after = None if place is None else int(place.value)
        # One more than asked for tells whether there is a next page.
        entries = await self._journal.list(
            wallet.name, after=after, newest_first=True, limit=size + 1
        )
        page = entries[:size]
        last = Position(page[-1].sequence, "") if len(entries) > size else None
        return Page(page, self._page_tokens.write(scope, last))

    async def update_settings(
        self, caller: Caller, request_id: str, values: AutoReloadValues | None, etag: str,
        mask: Sequence[str] = (), violations: Sequence[FieldViolation] = (),
    ) -> WalletSettings:  # fmt: skip
        """Set when the wallet reloads itself; for its owner.

        Raises InvalidArgument, PermissionDenied (NOT_OWNER), Conflict (ETAG_MISMATCH).
        """
        refuse([*violations, *settings_violations(request_id, values, mask)])
        await self._wallets.owned(caller)
        auto_reload = None if values is None else AutoReload(
            values.threshold, values.amount, values.payment_method, values.most_per_charge,
            values.most_per_day,
        )  # fmt: skip
        return await self._update.run(caller, request_id, SettingsChange(auto_reload, etag))

    async def update_rebilling(
        self, caller: Caller, request_id: str, multipliers: Mapping[str, str], etag: str,
        violations: Sequence[FieldViolation] = (),
    ) -> WalletSettings:  # fmt: skip
        """Set what a sub-account pays of the platform's prices; for its parent.

        Raises InvalidArgument, PermissionDenied (NOT_CREDITOR), Conflict (ETAG_MISMATCH).
        """
        wallet = await self._wallets.of(caller.account)
        is_sub_account = wallet.parent is not None
        wrong = rebilling_violations(request_id, multipliers, is_sub_account=is_sub_account)
        refuse([*violations, *wrong])
        await self._wallets.credited(caller)
        change = RebillingChange(dict(multipliers), etag)
        return await self._rebill.run(caller, request_id, change)

    async def settings_of(self, wallet: Wallet) -> WalletSettings:
        """The settings of a wallet; those of revision 1, with nothing set, where none are kept."""
        kept = await self._settings.get(wallet.name)
        return kept.settings if kept is not None else self._unset(wallet)

    async def _update_steps(self, steps: Steps, change: SettingsChange) -> WalletSettings:
        def changed(settings: WalletSettings) -> WalletSettings:
            return replace(settings, auto_reload=_armed(settings.auto_reload, change.auto_reload))

        return await self._change(steps, change.etag, changed)

    async def _rebill_steps(self, steps: Steps, change: RebillingChange) -> WalletSettings:
        def changed(settings: WalletSettings) -> WalletSettings:
            return replace(settings, multipliers=change.multipliers)

        return await self._change(steps, change.etag, changed)

    async def _change(
        self, steps: Steps, etag: str, changed: Callable[[WalletSettings], WalletSettings]
    ) -> WalletSettings:
        wallet = await self._wallets.of(steps.account)
        tag = steps.tag("change")
        for _ in range(_TRIES):
            settings = await self.settings_of(wallet)
            if tag in settings.changes:
                return settings  # done in an earlier run, which did not live to say so
            if etag not in ("", settings.etag):
                raise _changed_since(wallet)
            following = changed(settings).next(tag, self._clock.now())
            if await self._settings.put(following):
                return following
        raise Conflict(Reason.REQUEST_IN_FLIGHT, "other calls keep changing it; call again")

    def _unset(self, wallet: Wallet) -> WalletSettings:
        return WalletSettings(wallet.name, self._clock.now(), revision=0)

    async def _methods_of(self, stripe_account: str, customer: str) -> Sequence[OwnedMethod]:
        default = await self._methods.default_of(stripe_account, customer)
        page = await self._methods.page(stripe_account, customer, MethodPlace(), MAX_METHODS)
        return [OwnedMethod(method, method.id == default) for method in page.items]


def _armed(before: AutoReload | None, after: AutoReload | None) -> AutoReload | None:
    """What was given up stays so until another payment method is to be charged."""
    if before is None or after is None or before.payment_method != after.payment_method:
        return after
    return replace(after, off_because=before.off_because)


def _changed_since(wallet: Wallet) -> Conflict:
    return Conflict(
        Reason.ETAG_MISMATCH,
        "somebody changed the settings since; read them again",
        metadata={"resource": "wallet", "id": wallet.name},
    )
