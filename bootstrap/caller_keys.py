"""The callers' keys alone, read from the environment for a command that needs no other setting."""

from collections.abc import Mapping
from typing import Final

from bootstrap.environment import Given
from bootstrap.names import SettingsError, unknown_names
from infrastructure.security.tokens import caller_keys

NAME: Final = "BILLING_CALLER_KEYS"
CALLERS: Final = "BILLING_CALLERS"


def listed(raw: str) -> list[str]:
    """The parts of a setting that holds several, parted by commas."""
    return [part.strip() for part in raw.split(",") if part.strip()]


def either_of_callers(*, keys: bool, path: bool) -> str:
    """What is wrong with what is given of the two; empty where it is one of them."""
    if keys and path:
        return f"{CALLERS} is given, too; keep only one of them"
    return "" if keys or path else f"is required, or {CALLERS}"


def caller_keys_of(given: Given) -> Mapping[str, bytes]:
    """Secret by name, in the order given. SettingsError with a line a problem."""
    known = {NAME, f"{NAME}_FILE", CALLERS}
    unknown = [unknown for unknown in unknown_names({*given.names}, known) if unknown.meant]
    lines = [f"{name.name}: is no setting; is {name.meant} meant?" for name in unknown]
    lines = [*(line for line in given.problems if line.startswith(NAME)), *lines]
    try:
        keys = caller_keys(listed(given.values[NAME]))
    except KeyError:
        required = f"{NAME}: {either_of_callers(keys=False, path=False)}"
        lines = lines if given.problems else [required, *lines]
    except ValueError as error:
        lines = [f"{NAME}: {error}", *lines]
    else:
        if not lines:
            return keys
    raise SettingsError("\n".join(lines))
