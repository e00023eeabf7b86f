"""Quotes as callers hold them: signed texts."""

from typing import Protocol

from domain.quotes import Seal


class QuoteSigner(Protocol):
    """Signs what was quoted, so that nobody alters a price on its way.

    The boundary is here because what signs is the deployment's affair. Pure: nothing is kept.
    """

    def write(self, seal: Seal) -> str:
        """The text for the caller, of at most 128 characters: it travels in errors, too."""
        ...

    def read(self, text: str) -> Seal | None:
        """The seal that a text stands for; None for one that this deployment did not sign.

        Whose it is and whether it is expired is not looked at: `domain.quotes.seal_refusal`.
        """
        ...
