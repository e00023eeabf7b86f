"""The callers' keys alone, read from the environment for a command that needs no other setting."""

import os
from collections.abc import Mapping
from typing import Final

from bootstrap.names import SettingsError, unknown_names
from infrastructure.security.tokens import caller_keys

NAME: Final = "BILLING_CALLER_KEYS"


def listed(raw: str) -> list[str]:
    """The parts of a setting that holds several, parted by commas."""
    return [part.strip() for part in raw.split(",") if part.strip()]


def read_caller_keys() -> Mapping[str, bytes]:
    """Secret by name, in the order given. SettingsError with a line a problem."""
    given = {name.upper(): value for name, value in os.environ.items() if value}
    misspelt = [unknown.name for unknown in unknown_names(given, {NAME}) if unknown.meant]
    lines = [f"{name}: is no setting; is {NAME} meant?" for name in misspelt]
    try:
        keys = caller_keys(listed(given[NAME]))
    except KeyError:
        lines = [f"{NAME}: is required", *lines]
    except ValueError as error:
        lines = [f"{NAME}: {error}", *lines]
    else:
        if not lines:
            return keys
    raise SettingsError("\n".join(lines))
