"""Shadows: second stores beside the live one, in which a mirror is made anew."""

import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from application.background.checkpoints import Checkpoints
from application.mirror.ports import Mirror
from domain.connections import STRIPE_ACCOUNT_ID

MAX_NAME_CHARACTERS: Final = 12

_NAME: Final = re.compile(rf"[0-9a-f]{{1,{MAX_NAME_CHARACTERS}}}")


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a rebuild needs of a second store. The live one knows nothing of it."""

    mirror: Mirror
    checkpoints: Checkpoints


class Shadows(Protocol):
    """Opens and discards second stores, each named by its Stripe account and a name of its own.

    The boundary is here because a second store is a file for one database and a database for the
    other. A rebuild has a name of its own, so that what is left of an earlier one, or of a process
    that does not know yet that it has lost it, never mixes with it. Every method raises Unavailable
    (STORE_UNAVAILABLE) when the store does not answer, and ValueError for a name that is none.
    """

    def open(self, stripe_account: str, name: str) -> AbstractAsyncContextManager[Shadow]:
        """A shadow, open for as long as the context is: made empty, or as it was left.

        Several may be open at once, of one or of several accounts; none twice in a process.
        """
        ...

    async def discard(self, stripe_account: str, name: str) -> None:
        """Remove a shadow and all that is in it, for good. Idempotent. Not while it is open here.

        Where a process crashes in the middle, `names` still tells of it.
        """
        ...

    async def names(self, stripe_account: str) -> Sequence[str]:
        """The names of the shadows that an account has, in order."""
        ...


def check_shadow(stripe_account: str, name: str = "0") -> None:
    """ValueError for what is no Stripe account or no name: both become part of a path."""
    if not STRIPE_ACCOUNT_ID.fullmatch(stripe_account):
        raise ValueError("stripe_account: an id of Stripe's is needed, such as acct_1Abc")
    if not _NAME.fullmatch(name):
        raise ValueError(f"name: 1 to {MAX_NAME_CHARACTERS} hexadecimal digits are needed")
