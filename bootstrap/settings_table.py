"""Every setting as a table, made from the class of the settings and from what commands read."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.table import Table
from rich.text import Text

from bootstrap.environment import FILE
from bootstrap.settings import SECRETS, Settings, environment_name
from interfaces.cli.output import table_of
from interfaces.cli.target import Target


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting as an operator reads it; empty text stands for none.

    `required_by` is what makes it necessary. `by_file` tells that `<name>_FILE` may name a file
    with the value.
    """

    name: str
    default: str
    purpose: str
    required_by: str
    by_file: bool


def service_rows() -> Iterator[SettingRow]:
    """The settings of the service."""
    for field, setting in Settings.model_fields.items():
        name = environment_name(field)
        yield SettingRow(
            name, _default(setting), str(setting.description), _required_by(setting),
            name in SECRETS,
        )  # fmt: skip


def command_rows() -> Iterator[SettingRow]:
    """What commands that ask the service read in the place of a flag."""
    for field in fields(Target):
        annotation: Any = field.type
        option = get_args(annotation)[-1] if get_origin(annotation) is Annotated else None
        if option is not None:
            flag = f"--{field.name.replace('_', '-')}"
            purpose = str(option.help).rstrip(".")
            # BILLING_TLS has another word for the service, so `reach` reads it, not the flag.
            name = option.envvar or f"BILLING_{field.name.upper()}"
            yield SettingRow(name, "", f"{flag}: {purpose}", "", name == "BILLING_TOKEN")


def as_json() -> dict[str, list[dict[str, Any]]]:
    """All of it as plain values."""
    return {
        "service": [asdict(row) for row in service_rows()],
        "commands": [asdict(row) for row in command_rows()],
    }


def settings_table(rows: Iterator[SettingRow]) -> Table:
    """Three lines at most a setting: its name and default, what it does, what needs it."""
    table = table_of("setting\ndefault", "what it does", ids=("setting\ndefault",), lines=True)
    for row in rows:
        needed = f"\nrequired by: {row.required_by}" if row.required_by else ""
        file = f"\nalso as a file: {row.name}{FILE}" if row.by_file else ""
        table.add_row(
            Text(f"{row.name}\n{row.default}".rstrip()), Text(f"{row.purpose}{needed}{file}")
        )
    return table


def _default(setting: FieldInfo) -> str:
    default = setting.default
    if setting.is_required() or isinstance(default, SecretStr):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _required_by(setting: FieldInfo) -> str:
    if setting.is_required():
        return "always"
    extra = setting.json_schema_extra
    return str(extra.get("required_by", "")) if isinstance(extra, dict) else ""
