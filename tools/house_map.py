"""Write docs/map.md, where everything lives: rooms, mirrored nouns, and all other files by name.

python tools/house_map.py generate   write docs/map.md
python tools/house_map.py check      fail where it is not what would be written
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from application.mirror.nouns import NOUNS  # noqa: E402 - found by the line above
from infrastructure.stripe.translations import TRANSLATIONS  # noqa: E402

MAP: Final = ROOT / "docs" / "map.md"

SERVICES: Final = "proto/billing/v1"
ROOMS: Final = {
    "catalog": ("catalogue",),
    "connection": ("connections", "connecting"),
    "contact_link": ("contacts",),
    "mirror": ("upkeep", "operations"),
    "wallet": ("wallet",),
}
"""The application's rooms of services whose plural is not their name."""

LAYERS: Final = (
    "domain", "application", "infrastructure", "interfaces", "bootstrap", "sandbox",
)  # fmt: skip
SAME_NAMES: Final = frozenset(
    "use_cases commands violations ports translation gateway servicer mapping fields".split()
)
"""Files that stand in many rooms: the table of rooms leads to them."""

_HEAD: Final = """\
# Where everything lives

<!-- Written by `make map` from the code itself; edit that. -->

A room is a capability and bears the same name in every layer: `application/invoices/`,
`interfaces/grpc/invoices/`, `infrastructure/stripe/invoices/`. Its files have the same names in
each room: `use_cases.py`, `commands.py` (what callers ask for), `violations.py` (what is wrong with
it), `ports.py`; at Stripe `translation.py` and `gateway.py`; in gRPC `servicer.py` and
`mapping.py`.
"""


def written() -> str:
    """The document."""
    return "\n".join((_HEAD, *_rooms(), "", *_nouns(), "", *_others())) + "\n"


def _rooms() -> Iterator[str]:
    """A row a service of the contract."""
    yield "## Rooms\n"
    yield "| service | contract | application | gRPC | Stripe | stores | command line | emulator |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for proto in sorted((ROOT / SERVICES).glob("*_service.proto")):
        noun = proto.stem.removesuffix("_service")
        service = "".join(word.title() for word in proto.stem.split("_"))
        rooms = ROOMS.get(noun, (plural(noun),))
        first = rooms[0] if noun != "mirror" else "mirror"
        stores = [
            f"infrastructure/{store}/{room}" for store in ("sqlite", "mongo") for room in rooms
        ]
        cells = (
            [proto],
            [f"application/{room}" for room in rooms],
            [f"interfaces/grpc/{first}"],
            [f"infrastructure/stripe/{room}" for room in rooms],
            stores,
            [f"interfaces/cli/{first}"],
            [f"sandbox/emulator/{room}" for room in rooms],
        )
        yield f"| {service} | {' | '.join(_links(cell) for cell in cells)} |"


def plural(noun: str) -> str:
    """The room of a noun's service."""
    return noun if noun.endswith("s") else f"{noun}s"


def _nouns() -> Iterator[str]:
    """A row a noun that is mirrored from Stripe."""
    yield "## Mirrored nouns\n"
    yield (
        "Declared in [application/mirror/nouns.py](../application/mirror/nouns.py); a table or a"
        " collection each, made from the declaration.\n"
    )
    yield "| noun | domain | translation | rows in | emulator |"
    yield "| --- | --- | --- | --- | --- |"
    for noun in sorted(NOUNS, key=lambda noun: noun.name):
        shape = TRANSLATIONS[noun.name].shape
        cells = (
            _links([_file_of(inspect.getmodule(noun.type))]),
            _links([_file_of(inspect.getmodule(shape))]),
            f"`{noun.collection}`",
            _links([f"sandbox/emulator/{plural(noun.name.rpartition('.')[2])}"]),
        )
        yield f"| {noun.name} | {' | '.join(cells)} |"


def _others() -> Iterator[str]:
    """All other files by name, each with the first line that it says of itself."""
    yield "## Everything else, by name\n"
    yield "| what | where | |"
    yield "| --- | --- | --- |"
    files = [
        path
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
        if path.stem not in SAME_NAMES and not path.stem.startswith("_")
    ]
    for path in sorted(files, key=lambda path: (path.stem, str(path))):
        if line := first_line(path):
            shown = path.relative_to(ROOT)
            yield f"| {path.stem.replace('_', ' ')} | [{shown}](../{shown}) | {line} |"


def first_line(path: Path) -> str:
    """What a file says of itself, in its first sentence."""
    told = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(told.partition("\n\n")[0].split()).replace("|", "\\|")


def _links(places: Iterable[Path | str]) -> str:
    """Links to those of the places that are there, be they files or folders; a dash for none."""
    there = dict.fromkeys(path for place in places for path in _found(ROOT / place))
    shown = [path.relative_to(ROOT) for path in there]
    return ", ".join(f"[{path.name}](../{path})" for path in shown) or "-"


def _found(place: Path) -> Iterator[Path]:
    yield from (path for path in (place, place.with_suffix(".py")) if path.exists())


def _file_of(module: ModuleType | None) -> Path:
    if module is None or module.__file__ is None:
        raise LookupError("a noun of no file")
    return Path(module.__file__)


def generate() -> None:
    """Write the document."""
    MAP.write_text(written())


def check() -> None:
    """Fail where the document is not what would be written."""
    if not MAP.exists() or MAP.read_text() != written():
        sys.exit(f"stale map, run `make map`: {MAP.relative_to(ROOT)}")


if __name__ == "__main__":
    commands = {"generate": generate, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
