"""The callers' keys alone, read from the environment for a command that needs no other setting."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bootstrap.environment import Given, read_environment
from bootstrap.names import SettingsError, unknown_names
from infrastructure.security.tokens import caller_keys

NAME: Final = "BILLING_CALLER_KEYS"


def listed(raw: str) -> list[str]:
    """The parts of a setting that holds several, parted by commas."""
    return [part.strip() for part in raw.split(",") if part.strip()]


def read_caller_keys(env_file: Path | None = None) -> Mapping[str, bytes]:
    """Secret by name, in the order given. SettingsError with a line a problem."""
    return caller_keys_of(read_environment((NAME,), env_file))


def caller_keys_of(given: Given) -> Mapping[str, bytes]:
    """The same of an environment that was read already."""
    misspelt = [unknown.name for unknown in unknown_names({*given.names}, {NAME}) if unknown.meant]
    lines = [f"{name}: is no setting; is {NAME} meant?" for name in misspelt]
    lines = [*(line for line in given.problems if line.startswith(NAME)), *lines]
    try:
        keys = caller_keys(listed(given.values[NAME]))
    except KeyError:
        lines = lines if given.problems else [f"{NAME}: is required", *lines]
    except ValueError as error:
        lines = [f"{NAME}: {error}", *lines]
    else:
        if not lines:
            return keys
    raise SettingsError("\n".join(lines))
