"""What buyers pay of the platform's prices."""

from collections.abc import Callable

from application.wallet.ports import WalletSettingsStore
from application.wallet.whose import Wallets
from domain.accounts import Account


class Multipliers:
    """Finds the multipliers that a parent has set for a sub-account (UpdateRebilling)."""

    def __init__(self, wallets: Wallets, settings: WalletSettingsStore) -> None:
        self._wallets = wallets
        self._settings = settings

    async def of(self, buyer: Account) -> Callable[[str], str]:
        """The multiplier of each service, for a buyer; "1" where the platform sells.

        Where the deployment has no base currency there are no wallets, and nobody has set any.
        """
        if buyer.parent is None or not self._wallets.known:
            return lambda _: "1"
        kept = await self._settings.get(self._wallets.wallet_of(buyer).name)
        return (lambda _: "1") if kept is None else kept.settings.multiplier
