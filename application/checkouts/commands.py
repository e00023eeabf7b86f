"""What callers ask of the store and of checkouts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListStoreProducts:
    """A page of what the store offers."""

    page_size: int = 0
    page_token: str = ""
