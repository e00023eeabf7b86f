"""Identifiers with Stripe's prefixes and lengths, from one seedable source."""

import random
import string

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Ids:
    """Mints ids. A seed makes a history repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def text(self, length: int) -> str:
        """`length` random letters and digits."""
        return "".join(self._random.choices(_ALPHABET, k=length))

    def mint(self, prefix: str, length: int) -> str:
        """An id such as `cus_` and `length` characters."""
        return f"{prefix}_{self.text(length)}"
