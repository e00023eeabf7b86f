"""The log's line for what is not understood: one for many, since a page may hold nothing else."""

import logging
from collections.abc import Sequence
from typing import Final

from domain.oddities import Oddity

_NAMED: Final = 10
"""How many objects one line names."""

_log = logging.getLogger(__name__)


def log_oddities(stripe_account: str, oddities: Sequence[Oddity]) -> None:
    """Write a line about objects that are not understood, if there are any."""
    if not oddities:
        return
    objects = [f"{one.noun} {one.id}: {one.why}" for one in oddities[:_NAMED]]
    facts = {"stripe_account": stripe_account, "count": len(oddities), "objects": objects}
    _log.warning("objects are not understood", extra=facts)
