"""Settings, read once, at the start: from the environment, an env file, and files of secrets.

A missing, malformed or misspelt setting stops the start with one line that names it and says what
to do. The values of secrets are in no message.
"""

import datetime as dt
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_settings import BaseSettings, SettingsConfigDict

from bootstrap.caller_keys import either_of_callers, listed
from bootstrap.environment import FILE, Given, read_environment
from bootstrap.names import SettingsError, UnknownName, unknown_names
from domain.connections import Mode
from domain.money import CURRENCIES
from infrastructure.security.token_rules import MIN_SECRET_BYTES
from infrastructure.security.tokens import caller_keys

COMMANDS_TLS: Final = frozenset({"1", "true", "yes", "on", "0", "false", "no", "off"})
"""What BILLING_TLS may be for commands that ask the service."""

SHORT_LINKS_PATH: Final = "/short-links"
"""Where API_BASE_URL makes short links, unless a setting names another address."""

PRICES_PATH: Final = "/prices"
"""Where API_BASE_URL tells prices, unless a setting names another address."""

PHONE_NUMBERS_PATH: Final = "/phone-numbers/prices"
"""Where API_BASE_URL tells prices of phone numbers, unless a setting names another address."""

_STRIPE_KEY: Final = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9]{1,255}")
_WEBHOOK_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,255}")
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})")
_HTTP_URL: Final = re.compile(r"https?://[^\s/?#]+")
_API_URL: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_REDIRECT_URI: Final = re.compile(r"https?://[^\s/?#@,]+(?:/[^\s#,]*)?")
_NATS_URL: Final = re.compile(r"(?:nats|tls)://\S+")
_MONGO_URL: Final = re.compile(r"mongodb(?:\+srv)?://\S+")


def _stripe_key(key: SecretStr) -> SecretStr:
    if not _STRIPE_KEY.fullmatch(key.get_secret_value()):
        raise ValueError("must be a secret key of Stripe, such as sk_test_... or sk_live_...")
    return key


def _listed(raw: SecretStr) -> list[str]:
    return listed(raw.get_secret_value())


def _webhook_secrets(raw: SecretStr) -> SecretStr:
    if not all(_WEBHOOK_SECRET.fullmatch(secret) for secret in _listed(raw)):
        raise ValueError("must be signing secrets of Stripe, whsec_..., with commas between them")
    return raw


def _caller_keys(raw: SecretStr) -> SecretStr:
    if raw.get_secret_value():
        caller_keys(_listed(raw))
    return raw


def _address(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    if not match or int(match[2]) > 65_535:
        raise ValueError("must be host:port, such as 127.0.0.1:50051; port 0 means any free port")
    return address


def _base_url(url: str) -> str:
    if url and not _HTTP_URL.fullmatch(url):
        raise ValueError("must be an address such as https://api.example.com, without a path")
    return url


def _api_url(url: str) -> str:
    if url and not _API_URL.fullmatch(url):
        raise ValueError("must be an address such as https://api.example.com/internal")
    return url.rstrip("/")


def _redirect_uris(raw: str) -> str:
    if not all(_REDIRECT_URI.fullmatch(uri) for uri in listed(raw)):
        raise ValueError(
            "must be addresses such as https://platform.example/connected, with commas between them"
        )
    return raw


def _mongo_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not _MONGO_URL.fullmatch(url.get_secret_value()):
        raise ValueError("must be an address such as mongodb://db1,db2/?replicaSet=rs0")
    return url


def _nats_url(url: SecretStr) -> SecretStr:
    if not all(_NATS_URL.fullmatch(one) for one in _listed(url)):
        raise ValueError("must be addresses such as nats://queue1:4222, with commas between them")
    return url


def _tls(choice: str) -> str:
    """The word for the service; words for commands (`--tls`) may stand there, too."""
    if choice.lower() not in ("", "terminated", *COMMANDS_TLS):
        raise ValueError("must be terminated, or be left out")
    return choice.lower()


def _currency(code: str) -> str:
    if code and code.lower() not in CURRENCIES:
        raise ValueError("the ISO 4217 code of a currency that Stripe knows is needed, such as usd")
    return code.lower()


def required_by(what: str) -> JsonDict:
    """What makes a setting necessary that has a default, for the table of settings."""
    return {"required_by": what}


_BY_INTERNAL_API: Final = (
    "BILLING_SHORT_LINKS, BILLING_PRICE_LIST or BILLING_PHONE_NUMBERS is internal_api"
)


def _told_somewhere(choice: str, info: ValidationInfo, address: str) -> str:
    """ValueError for `internal_api` without an address, its own or the API's, or without a secret.

    Where one of these is wrong itself, that is said instead.
    """
    if choice != "internal_api" or not {"api_base_url", "app_secret", address} <= {*info.data}:
        return choice
    if not info.data["api_base_url"] and not info.data[address]:
        raise ValueError(f"internal_api needs API_BASE_URL or BILLING_{address.upper()}")
    if len(info.data["app_secret"].get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"internal_api needs APP_SECRET of at least {MIN_SECRET_BYTES} bytes")
    return choice


Address = Annotated[str, AfterValidator(_address)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_webhook_secrets)]


class Settings(BaseSettings):
    """What a deployment sets. Each field's alias is its name in the environment."""

    model_config = SettingsConfigDict(
        env_prefix="BILLING_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    stripe_secret_key: Annotated[SecretStr, AfterValidator(_stripe_key)] = Field(
        validation_alias="STRIPE_SECRET_KEY",
        description="the platform's secret key at Stripe: sk_test_... (test) or sk_live_...",
    )
    callers_path: Path | None = Field(
        default=None,
        validation_alias="BILLING_CALLERS",
        description="the file of the callers: their keys, and what each of them may do",
        json_schema_extra=required_by("live mode"),
    )
    caller_keys: Annotated[SecretStr, AfterValidator(_caller_keys)] = Field(
        default=SecretStr(""),
        validate_default=True,
        description="test mode: keys for any token, name:secret,...; the first signs new tokens",
        json_schema_extra=required_by("always, unless BILLING_CALLERS is set"),
    )
    webhook_secrets_platform: WebhookSecrets = Field(
        default=SecretStr(""),
        description="whsec_...,... of the webhook endpoint for the platform's own events",
        json_schema_extra=required_by("always, unless BILLING_WEBHOOK_SECRETS_CONNECT is set"),
    )
    webhook_secrets_connect: WebhookSecrets = Field(
        default=SecretStr(""),
        validate_default=True,
        description="whsec_...,... of the webhook endpoint for events of connected accounts",
        json_schema_extra=required_by("always, unless BILLING_WEBHOOK_SECRETS_PLATFORM is set"),
    )
    store: Literal["sqlite", "mongo"] = Field(
        default="sqlite", description="the database: sqlite (embedded) or mongo"
    )
    sqlite_path: Path = Field(
        default=Path("var/billing.db"),
        description="the SQLite file; only one process may serve from it",
    )
    mongo_url: Annotated[SecretStr, AfterValidator(_mongo_url)] = Field(
        default=SecretStr(""),
        validate_default=True,
        description="mongodb://..., the MongoDB servers",
        json_schema_extra=required_by("BILLING_STORE=mongo"),
    )
    mongo_database: str = Field(
        default="billing",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="the name of the MongoDB database",
    )
    queue: Literal["embedded", "nats"] = Field(
        default="embedded",
        description="where jobs for other services go: embedded (this process) or nats",
    )
    nats_url: Annotated[SecretStr, AfterValidator(_nats_url)] = Field(
        default=SecretStr(""),
        validate_default=True,
        description="nats://...,nats://..., the NATS servers",
        json_schema_extra=required_by("BILLING_QUEUE=nats"),
    )
    nats_replicas: int = Field(
        default=1,
        ge=1,
        le=5,
        description="how many NATS servers store the stream, if Billing creates it",
    )
    effects_max_age_days: int = Field(
        default=7,
        ge=1,
        le=30,
        description="events older than this update the mirror, but send no messages and no jobs",
    )
    grpc_address: Address = Field(
        default="127.0.0.1:50051",
        description="the address where gRPC listens; port 0 means any free port",
    )
    http_address: Address = Field(
        default="127.0.0.1:8080", description="the address where webhooks arrive"
    )
    tls: Annotated[str, AfterValidator(_tls)] = Field(
        default="",
        description="terminated: TLS ends before the gRPC port, so it may be plain in live mode",
    )
    tls_cert: Path | None = Field(
        default=None, description="the file of the gRPC port's certificate chain (PEM)"
    )
    tls_key: Path | None = Field(
        default=None,
        validate_default=True,
        description="the file of that certificate's key (PEM)",
        json_schema_extra=required_by("BILLING_TLS_CERT"),
    )
    tls_client_ca: Path | None = Field(
        default=None,
        validate_default=True,
        description="if gRPC clients must have certificates: the file of their CA (PEM)",
    )
    http_tls_cert: Path | None = Field(
        default=None, description="the file of the webhook port's certificate chain (PEM)"
    )
    http_tls_key: Path | None = Field(
        default=None,
        validate_default=True,
        description="the file of that certificate's key (PEM)",
        json_schema_extra=required_by("BILLING_HTTP_TLS_CERT"),
    )
    reuse_port: bool = Field(
        default=False,
        description="several processes on one host share the ports; with BILLING_STORE=mongo",
    )
    reflection: bool = Field(default=False, description="whether gRPC reflection is on")
    stripe_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="", description="instead of Stripe's own addresses; files are at its path /files"
    )
    connect_redirect_uris: Annotated[str, AfterValidator(_redirect_uris)] = Field(
        default="",
        description="https://...,... where Stripe may send owners back to, exactly as at Stripe",
        json_schema_extra=required_by("connecting"),
    )
    stripe_requests_per_second: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="the limit for each Stripe account; 0 means 100 live, 25 test",
    )
    connect_client_id: str = Field(
        default="",
        pattern=r"^(ca_[A-Za-z0-9_]{1,100})?$",
        description="ca_..., the platform's client id at Stripe: connects, knows its payments",
        json_schema_extra=required_by("connecting and disconnecting"),
    )
    base_currency: Annotated[str, AfterValidator(_currency)] = Field(
        default="",
        validation_alias="BASE_CURRENCY",
        description="the currency, such as usd, of wallets and of exchange rates",
    )
    remembered_figures: int = Field(
        default=200_000,
        ge=0,
        le=10_000_000,
        description="how many figures of past days, weeks, months are remembered; 0 means none",
    )
    api_base_url: Annotated[str, AfterValidator(_api_url)] = Field(
        default="",
        validation_alias="API_BASE_URL",
        description="the address of the platform's internal API",
        json_schema_extra=required_by(_BY_INTERNAL_API),
    )
    app_secret: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="APP_SECRET",
        description="signs Billing's tokens for the internal API; at least 32 bytes",
        json_schema_extra=required_by(_BY_INTERNAL_API),
    )
    short_links_url: Annotated[str, AfterValidator(_api_url)] = Field(
        default="",
        description="the address that makes short links, if not API_BASE_URL/short-links",
    )
    short_links: Literal["off", "internal_api"] = Field(
        default="off",
        validate_default=True,
        description="what makes payment links short: off (they stay long) or internal_api",
    )
    price_list_file: Path = Field(
        default=Path("prices.json"), description="the file of prices, for BILLING_PRICE_LIST=file"
    )
    price_list_url: Annotated[str, AfterValidator(_api_url)] = Field(
        default="",
        description="the address that tells prices, if not API_BASE_URL/prices",
    )
    price_list: Literal["off", "file", "internal_api"] = Field(
        default="off",
        validate_default=True,
        description="what tells the prices of usage: off, file or internal_api",
    )
    phone_numbers_file: Path = Field(
        default=Path("phone_numbers.json"),
        description="the file of prices of phone numbers, for BILLING_PHONE_NUMBERS=file",
    )
    phone_numbers_url: Annotated[str, AfterValidator(_api_url)] = Field(
        default="",
        description="that of prices of numbers, if not API_BASE_URL/phone-numbers/prices",
    )
    phone_numbers: Literal["off", "file", "internal_api"] = Field(
        default="off",
        validate_default=True,
        description="what tells the prices of phone numbers: off, file or internal_api",
    )
    setup_product: str = Field(
        default="",
        validation_alias="SETUP_PRODUCT",
        max_length=255,
        description="the product of set-up fees on the platform's own Stripe account",
    )
    drain_seconds: float = Field(
        default=25,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="how many seconds running calls may take after SIGTERM",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the lowest level that is logged: debug, info, warning or error"
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="the format of the log: json, or console for people"
    )

    # Checks of one field against an earlier one, so that all problems are told at once: a check of
    # the whole would wait until every field alone is right. `info.data` lacks those that are not.

    @field_validator("caller_keys")
    @classmethod
    def _some_caller(cls, keys: SecretStr, info: ValidationInfo) -> SecretStr:
        if "callers_path" not in info.data:
            return keys
        problem = either_of_callers(
            keys=bool(keys.get_secret_value()), path=info.data["callers_path"] is not None
        )
        if problem:
            raise ValueError(problem)
        return keys

    @field_validator("webhook_secrets_connect")
    @classmethod
    def _some_endpoint(cls, connect: SecretStr, info: ValidationInfo) -> SecretStr:
        platform = info.data.get("webhook_secrets_platform")
        if platform is not None and not _listed(platform) and not _listed(connect):
            raise ValueError("is required, or BILLING_WEBHOOK_SECRETS_PLATFORM")
        return connect

    @field_validator("tls_key", "tls_client_ca", "http_tls_key")
    @classmethod
    def _beside_a_certificate(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        prefix = "http_tls" if info.field_name == "http_tls_key" else "tls"
        other = f"{prefix}_cert"
        if other not in info.data:
            return path
        setting, optional = environment_name(other), info.field_name == "tls_client_ca"
        if path is None and info.data[other] is not None and not optional:
            raise ValueError(f"is required with {setting}")
        if path is not None and info.data[other] is None:
            raise ValueError(f"needs {setting}")
        return path

    @field_validator("mongo_url")
    @classmethod
    def _mongo_somewhere(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("store") == "mongo" and not url.get_secret_value():
            raise ValueError("is required with BILLING_STORE=mongo")
        return url

    @field_validator("nats_url")
    @classmethod
    def _nats_somewhere(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        if info.data.get("queue") == "nats" and not _listed(url):
            raise ValueError("is required with BILLING_QUEUE=nats")
        return url

    @field_validator("short_links")
    @classmethod
    def _internal_api_known(cls, choice: str, info: ValidationInfo) -> str:
        return _told_somewhere(choice, info, "short_links_url")

    @field_validator("price_list")
    @classmethod
    def _prices_somewhere(cls, choice: str, info: ValidationInfo) -> str:
        if choice == "off" or "base_currency" not in info.data:
            return choice
        if not info.data["base_currency"]:
            raise ValueError(f"{choice} needs BASE_CURRENCY")
        return _told_somewhere(choice, info, "price_list_url")

    @field_validator("phone_numbers")
    @classmethod
    def _numbers_somewhere(cls, choice: str, info: ValidationInfo) -> str:
        return _told_somewhere(choice, info, "phone_numbers_url")

    @field_validator("reuse_port")
    @classmethod
    def _one_process_on_sqlite(cls, reuse: bool, info: ValidationInfo) -> bool:
        if reuse and info.data.get("store") == "sqlite":
            raise ValueError("needs BILLING_STORE=mongo: only one process may use SQLite")
        return reuse

    @property
    def mode(self) -> Mode:
        """The deployment's mode, by the prefix of the platform's key."""
        live = "_live_" in self.stripe_secret_key.get_secret_value()[:8]
        return Mode.LIVE if live else Mode.TEST

    @property
    def requests_per_second(self) -> int:
        """The budget of one Stripe account, Stripe's own limits where none is set."""
        return self.stripe_requests_per_second or (100 if self.mode is Mode.LIVE else 25)

    @property
    def tls_is_terminated(self) -> bool:
        """Whether something before the gRPC port speaks TLS for it."""
        return self.tls == "terminated"

    @property
    def effects_max_age(self) -> dt.timedelta:
        """The age from which facts have no effects."""
        return dt.timedelta(days=self.effects_max_age_days)

    @property
    def platform_webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets of the platform's endpoint."""
        return tuple(_listed(self.webhook_secrets_platform))

    @property
    def connect_webhook_secrets(self) -> tuple[str, ...]:
        """The signing secrets of the Connect endpoint."""
        return tuple(_listed(self.webhook_secrets_connect))

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """Where Stripe may send owners back to."""
        return tuple(listed(self.connect_redirect_uris))

    @property
    def short_links_address(self) -> str:
        """Where short links are made."""
        return self.short_links_url or f"{self.api_base_url}{SHORT_LINKS_PATH}"

    @property
    def price_list_address(self) -> str:
        """Where prices are told."""
        return self.price_list_url or f"{self.api_base_url}{PRICES_PATH}"

    @property
    def phone_numbers_address(self) -> str:
        """Where prices of phone numbers are told."""
        return self.phone_numbers_url or f"{self.api_base_url}{PHONE_NUMBERS_PATH}"

    @property
    def asks_internal_api(self) -> bool:
        """Whether anything is asked of the platform's internal API."""
        return "internal_api" in (self.short_links, self.price_list, self.phone_numbers)

    @property
    def callers(self) -> Mapping[str, bytes]:
        """The callers' keys: secret by name, in the order given; none where there is a file."""
        return caller_keys(_listed(self.caller_keys)) if self.callers_path is None else {}


def load(env_file: Path | None = None) -> Settings:
    """The settings of the environment and the env file. SettingsError with a line a problem."""
    given = read_environment(SECRETS, env_file)
    lines = [
        *given.problems,
        *(
            f"{unknown.name}: is no setting; is {unknown.meant} meant?"
            for unknown in _unknown(given)
            if unknown.meant
        ),
    ]
    unread = {line.partition(":")[0].removesuffix(FILE) for line in given.problems}
    try:
        settings = Settings(**_beside_the_environment(given))
    except ValidationError as error:
        told = [line for line in problems(error) if line.partition(":")[0] not in unread]
        lines = [*told, *lines]
    else:
        if not lines:
            return settings
    raise SettingsError("\n".join(lines))


def ignored_names(env_file: Path | None = None) -> list[str]:
    """The names that begin as settings do, and are none, nor nearly one."""
    given = read_environment(SECRETS, env_file)
    return [unknown.name for unknown in _unknown(given) if not unknown.meant]


def _beside_the_environment(given: Given) -> dict[str, Any]:
    """What an env file and the files of secrets say, by field; the rest pydantic reads itself."""
    own = {name.upper() for name, value in os.environ.items() if value}
    return {
        field: given.values[name]
        for field in Settings.model_fields
        if (name := environment_name(field)) in given.values and name not in own
    }


def _unknown(given: Given) -> Iterator[UnknownName]:
    known = {environment_name(field) for field in Settings.model_fields}
    # A setting with a name of its own is read by its field's name, too.
    known |= {f"BILLING_{field.upper()}" for field in Settings.model_fields}
    known |= {f"{name}{FILE}" for name in SECRETS}
    return unknown_names({*given.names}, known)


def problems(error: ValidationError) -> list[str]:
    """A line for each setting that is wrong, without its value."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        words = "is required" if problem["type"] == "missing" else problem["msg"]
        lines.append(f"{environment_name(str(problem['loc'][0]))}: {_without_prefix(words)}")
    return lines


def environment_name(field: str) -> str:
    """What a field of Settings (or its alias) is called in the environment."""
    alias = Settings.model_fields[field].validation_alias if field.islower() else field
    return str(alias or f"BILLING_{field.upper()}")


SECRETS: Final = frozenset(
    environment_name(name)
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr
)
"""The settings that may be given by a file, as `<name>_FILE`."""


def _without_prefix(words: str) -> str:
    return words.removeprefix("Value error, ")
