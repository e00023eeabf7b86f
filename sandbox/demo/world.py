"""What the demo is given: where emulator and service listen, and the businesses that it plays."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Business:
    """A tenant of the platform with a Stripe account of its own.

    account: the platform's name of it, for which `token` is issued. stripe_account: `acct_…`,
    linked to the account in the service; the demo makes it at the emulator if it is not there.
    currency: lower-case ISO 4217. time_zone: IANA name. token: bearer token with the scopes of all
    that the demo does.
    """

    name: str
    account: str
    stripe_account: str
    country: str
    currency: str
    time_zone: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """A sub-account of the first of the businesses, without a Stripe account of its own."""

    name: str
    account: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class World:
    """An emulator and a service that run, know each other and hold no history yet.

    platform_key: the platform's key at the emulator. grpc_address: host:port of the service,
    without TLS. webhook_url: its `/webhooks/stripe`. webhook_secret: `whsec_…` of its Connect
    endpoint, which the service was started with. environment_file: address and token, for shells.
    operator: a token of the platform's own; empty: nothing is done that needs one. branch: who buys
    at the store, which is filled then; None: nobody does.
    """

    emulator_url: str
    platform_key: str = field(repr=False)
    grpc_address: str
    webhook_url: str
    webhook_secret: str = field(repr=False)
    businesses: tuple[Business, ...]
    environment_file: Path = Path()
    operator: str = field(default="", repr=False)
    branch: Branch | None = None
