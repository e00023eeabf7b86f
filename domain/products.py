"""Products: what is sold."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Product:
    """A mirrored product. Its id may be chosen by its owner and used again after a deletion.

    `marketing_features` are their names. `type` (`good` or `service`) is an old distinction.
    """

    id: str
    created: dt.datetime
    name: str
    active: bool
    description: str | None = None
    default_price: str | None = None
    images: tuple[str, ...] = ()
    updated: dt.datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tax_code: str | None = None
    unit_label: str | None = None
    statement_descriptor: str | None = None
    url: str | None = None
    marketing_features: tuple[str, ...] = ()
    type: str | None = None

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
