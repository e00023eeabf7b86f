"""Names of tables, columns and indexes."""

from typing import Final


def quoted(name: str) -> str:
    """A name as SQL spells it."""
    return '"' + name.replace('"', '""') + '"'


MIN_INTEGER: Final = -(2**63)
"""Every value of a live row's order column is above it, text too; null, a dead row's, is not."""
