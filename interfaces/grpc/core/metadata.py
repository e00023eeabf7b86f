"""Metadata of Stripe's objects, as callers see it."""

from collections.abc import Mapping

from application.requests.violations import RESERVED


def callers_own(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata without the keys that are Billing's own, which callers neither see nor write."""
    return {key: value for key, value in metadata.items() if not key.startswith(RESERVED)}
