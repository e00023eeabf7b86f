"""Ids that merchants chose, and any other that an object at Stripe may have."""

from typing import Final

from hypothesis import strategies as st

LONGEST: Final = "\N{GRINNING FACE}" * 255

ODD_IDS: Final = (
    "user-7", "desk@example.com", "Gold plan 12 monthly", "tier/2", "größe-m", "gro\u0308ße-m",
    "a b", "a%20b", "a+b", "A B", " a", "a ", " ", "-", "--help", "../account", "a/../b", "..a",
    "$set", "$$ROOT", "a.b", "'\"`\\", "<>&?#=;:,|", "[bold]x[/bold]", ":smile:", "null", "0",
    "acct_1Ours-cus_1", "acct_1Theirs/cus_1", "\u2028", "\u202e\ufeff", "\N{GRINNING FACE}",
    "x" * 255, LONGEST,
)  # fmt: skip
"""Each of them another one, however alike some are."""

DOTS: Final = (".", "..", "...", "." * 255)
"""Ids like any other, but that no path of a request can hold."""

NO_IDS: Final = ("", "\n", "cus_1\n", "a\x00b", "\t", "\x1f", "\x7f", "\x80", "\x9f", "x" * 256)

object_ids: Final = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255
)
