"""Telephone numbers: one number has many spellings."""

from collections.abc import Sequence
from typing import Protocol


class PhoneNumbers(Protocol):
    """Knows the numbering plans of the world. No I/O.

    `region` is the ISO 3166-1 alpha-2 code of where a number without a country's code belongs;
    empty: then only numbers that bear one are understood.
    """

    def e164(self, text: str | None, region: str) -> str | None:
        """The number as E.164 writes it, such as `+14155552671`; None for what can be no number."""
        ...

    def spellings(self, text: str | None, region: str) -> Sequence[str]:
        """How people and programs write the number, E.164 first; empty for what can be no number.

        As it was given, E.164 with and without its plus, the international and the national form,
        and the national digits. They are what an exact search is asked for; whoever compares two
        numbers compares their `e164`.
        """
        ...
