"""The accounts: whose keys open what, and which ones the platform may act for."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sandbox.emulator.core.errors import account_invalid, masked, unauthenticated
from sandbox.emulator.core.values import JsonObject, Scope

_MODES: Final = {"sk_test_": False, "sk_live_": True, "rk_test_": False, "rk_live_": True}


@dataclass(slots=True)
class Accounts:
    """All accounts of this emulator; one of them is the platform.

    Accounts exist in both modes. A key is known by what follows `sk_test_` or `sk_live_`; the
    prefix chooses the mode, so one secret opens both.
    """

    platform: str
    _items: dict[str, JsonObject] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)
    _settlement: dict[str, frozenset[str]] = field(default_factory=dict)

    def add(self, item: JsonObject, secret: str = "") -> None:
        """Register an account; `secret` is the tail of its own keys, none when empty."""
        self._items[item["id"]] = item
        self._revoked.discard(item["id"])
        if secret:
            self._owners[secret] = item["id"]

    def get(self, identifier: str) -> JsonObject:
        """The account; KeyError when unknown."""
        return self._items[identifier]

    def settle_in(self, identifier: str, currencies: Iterable[str]) -> None:
        """Let an account settle in these currencies besides its own; KeyError when unknown."""
        self.get(identifier)
        self._settlement[identifier] = frozenset(currencies)

    def settlement(self, identifier: str, currency: str) -> str:
        """The currency that a payment in `currency` settles in; KeyError when unknown."""
        settles = currency in self._settlement.get(identifier, frozenset())
        default: str = self.get(identifier)["default_currency"]
        return currency if settles else default

    def all(self) -> list[JsonObject]:
        """Every account, the platform's own first."""
        return list(self._items.values())

    def connected(self, identifier: str) -> bool:
        """Whether the platform may act for this account."""
        return identifier in self._items and identifier not in self._revoked

    def connect(self, identifier: str, secret: str) -> None:
        """The account gives the platform access (again), by keys of its own, too."""
        self._revoked.discard(identifier)
        self._owners[secret] = identifier

    def revoke(self, identifier: str) -> None:
        """The account takes the platform's access away; KeyError when unknown."""
        self.get(identifier)
        self._revoked.add(identifier)

    def scope(self, key: str, on_behalf: str | None) -> Scope:
        """Whose objects a request works on.

        key: the API key, empty when none was sent. on_behalf: the `Stripe-Account` header.
        Raises ApiError 401, or 403 `account_invalid`.
        """
        if not key:
            raise unauthenticated(
                "You did not provide an API key. Send it in the Authorization header, "
                "as 'Authorization: Bearer YOUR_SECRET_KEY'."
            )
        livemode = _MODES.get(key[:8])
        owner = self._owners.get(key[8:])
        if livemode is None or owner is None:
            raise unauthenticated(f"Invalid API Key provided: {masked(key)}")
        if on_behalf is None or on_behalf == owner:
            return Scope(owner, livemode)
        if owner != self.platform or not self.connected(on_behalf):
            raise account_invalid(on_behalf, key)
        return Scope(on_behalf, livemode)
