"""How an emulator is started."""

from dataclasses import dataclass
from typing import Final

PLATFORM_KEY: Final = "sk_test_emulator"
PLATFORM_ACCOUNT: Final = "acct_1EmulatorPlatfrm"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one emulator.

    port: 0 takes a free one. platform_key: the platform's API key; its live twin works, too
    (`sk_live_` and the same tail). start: the clock at the start, seconds since 1970, None for
    wall time. seed: makes ids, faults and delivery repeatable. currency, country, timezone: of the
    platform's account.
    """

    host: str = "127.0.0.1"
    port: int = 0
    platform_key: str = PLATFORM_KEY
    platform_account: str = PLATFORM_ACCOUNT
    currency: str = "usd"
    country: str = "US"
    timezone: str = "Etc/UTC"
    start: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.platform_key.startswith(("sk_test_", "sk_live_")) or len(self.platform_key) < 9:
            raise ValueError("the platform key begins with sk_test_ or sk_live_")
        if not self.platform_account.startswith("acct_"):
            raise ValueError("the platform's account id begins with acct_")
