"""What the environment gives: its own variables, those of an env file, and secrets kept in files.

The standard library alone, but where there is an env file: `billing token` is to be quick.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootstrap.names import SettingsError

ENV_FILE: Final = "BILLING_ENV_FILE"
FILE: Final = "_FILE"
"""Behind the name of a secret: the file that holds it."""

MAX_SECRET_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Given:
    """Values by name, in capitals, none of them empty; `names` as they were written.

    `problems` are lines for an operator.
    """

    values: Mapping[str, str]
    names: tuple[str, ...]
    problems: tuple[str, ...] = ()


def read_environment(secrets: Collection[str], env_file: Path | None = None) -> Given:
    """The environment before the env file (BILLING_ENV_FILE where none is given); secrets by file.

    `secrets` are the names that may be given as `<name>_FILE`, which is then the path of a file
    whose content is the value, without the newline at its end. Raises SettingsError where the env
    file cannot be read.
    """
    own = {name: value for name, value in os.environ.items() if value}
    values = {name.upper(): value for name, value in own.items()}
    path = env_file or (Path(values[ENV_FILE]) if ENV_FILE in values else None)
    of_file = _of_file(path) if path else {}
    values = {**{name.upper(): value for name, value in of_file.items()}, **values}
    problems: list[str] = []
    for name in sorted({*secrets} & {name.removesuffix(FILE) for name in values}):
        if f"{name}{FILE}" in values:
            problems += _take_secret(values, name)
    return Given(values, (*own, *of_file), tuple(problems))


def _take_secret(values: dict[str, str], name: str) -> Iterator[str]:
    """Put the content of a secret's file into its place; a line where that cannot be done."""
    path = values[f"{name}{FILE}"]
    if name in values:
        yield f"{name}: {name}{FILE} is given, too; keep only one of them"
        return
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode()
    except OSError as error:
        yield f"{name}{FILE}: {path} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        yield f"{name}{FILE}: {path} is no text in UTF-8"
    else:
        if len(content) > MAX_SECRET_BYTES:
            yield f"{name}{FILE}: {path} is longer than {MAX_SECRET_BYTES:,} bytes"
        values[name] = text.removesuffix("\n").removesuffix("\r")


def _of_file(path: Path) -> Mapping[str, str]:
    """The variables of an env file: lines such as `NAME=value`, `export NAME='value'`, `# ...`."""
    from pydantic_settings import BaseSettings, DotEnvSettingsSource

    if not path.is_file():
        raise SettingsError(f"{ENV_FILE}: {path} is no file (--env-file)")
    try:
        found = DotEnvSettingsSource(BaseSettings, env_file=path, case_sensitive=True).env_vars
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SettingsError(f"{ENV_FILE}: {path} cannot be read: {words}") from None
    return {name: value for name, value in found.items() if value}
