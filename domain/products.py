"""Products: what is sold."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Product:
    """A mirrored product. Its id may be chosen by its owner and used again after a deletion."""

    id: str
    created: dt.datetime
    name: str
    active: bool
    description: str | None = None
    default_price: str | None = None
    images: tuple[str, ...] = ()
    updated: dt.datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id: must not be empty")
