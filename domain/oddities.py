"""Oddities: objects at Stripe that are not understood, each told by its name, none decisive.

A list of a thousand objects holds one whose currency is a word: the 999 others are read, and that
one is named, with what is wrong with it. Nothing is concluded from it: it is there, its row in the
mirror stays as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from domain.errors import BillingError, InvalidArgument, NotFound, NotUnderstood, Reason

MAX_NAMED: Final = 100
"""How many oddities are named at most; all are counted."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """One object that is not understood: which, and why.

    `id` is as Stripe shows it, as far as that can be written: empty where none can be read. `why`
    names a field and its rule, never its value. `ends_noun`: a whole page was not understood, and
    what is older of the noun was not listed.
    """

    noun: str
    id: str
    why: str
    ends_noun: bool = False


@dataclass(frozen=True, slots=True)
class Oddities:
    """All that was not understood: counted, and the first MAX_NAMED of them named, each once.

    The end of a noun is always named.
    """

    count: int = 0
    named: tuple[Oddity, ...] = ()

    def plus(self, more: Iterable[Oddity]) -> "Oddities":
        """These and others; of an object that is named already nothing is added."""
        count, named = self.count, {(one.noun, one.id): one for one in self.named if one.id}
        kept = list(self.named)
        for one in more:
            if (one.noun, one.id) in named:
                continue
            count += 1
            if len(kept) < MAX_NAMED or one.ends_noun:
                kept.append(one)
                if one.id:
                    named[one.noun, one.id] = one
        return Oddities(count, tuple(kept))

    def without_ends(self) -> "Oddities":
        """Those that are objects: the nouns that ended early are tried again."""
        left = tuple(one for one in self.named if not one.ends_noun)
        return Oddities(self.count - (len(self.named) - len(left)), left)


def is_hopeless(error: BillingError) -> bool:
    """Whether it is about what was asked for alone, and no waiting mends it."""
    return isinstance(error, NotUnderstood | InvalidArgument | NotFound)


def oddity_of(noun: str, object_id: str, error: BillingError) -> Oddity:
    """The oddity that an object is which could not be read for this error.

    Raises the error where it is about more than that object: Stripe, the store, the connection.
    """
    if isinstance(error, NotUnderstood):
        return Oddity(noun, object_id, error.why)
    if is_hopeless(error):
        return Oddity(noun, object_id, "id: nothing can be read at Stripe under it")
    if error.reason is Reason.STRIPE_REFUSED:
        return Oddity(noun, object_id, "Stripe refuses to show it")
    raise error
