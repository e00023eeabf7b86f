"""Ids of objects at Stripe: opaque text.

Stripe makes most of them, such as `cus_NffrFeUfNV2Hib`, but merchants chose many: of customers
before 2018, of plans, which are prices now, of products and coupons. `user-7`, `desk@example.com`,
`Gold plan 12 monthly`, `tier/2` and `größe` are all ids. So they have one rule, whatever their noun
is, and what one call gives, every call takes.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

ID_PATTERN: Final = r"\A[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,255}\Z"
"""What holds a control character is cut short elsewhere; surrogates are no characters at all."""

ID_RULE: Final = "1 to 255 characters, without control characters"

UTF8: Final = ":utf8"
"""The mark of a text that is percent-encoded: see `spellings`."""

_ID: Final = re.compile(ID_PATTERN)


def is_object_id(text: str) -> bool:
    """Whether an object at Stripe may have this id."""
    return _ID.search(text) is not None


def spellings(id_: str) -> Iterator[tuple[str, str]]:
    """How an id may be written where not every text may stand: a mark of the spelling, and a text.

    First as it is, without a mark; then percent-encoded; at last as its SHA-256, which always fits.
    The mark belongs where no id is: `a%20b` may be an id, too, and not be that of `a b`.
    """
    yield "", id_
    yield UTF8, quote(id_)
    yield ":sha256", hashlib.sha256(id_.encode()).hexdigest()
