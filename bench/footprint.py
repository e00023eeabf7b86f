"""How much memory the service holds after the demo's history.

    python -m bench.footprint

The processes are those of `billing demo`; memory is the service's resident set, read when the
mirror equals Stripe. Beside it stands a bare server of the same libraries (bench/bare_server.py) as
it has started. Wanted: at most 125 MiB.
"""

import io
from typing import Final

import psutil
import uvloop
from rich.console import Console

from bench.start import BARE_SERVER, start
from bootstrap import sandbox
from sandbox.demo import run as run_demo

RESIDENT_MIB: Final = 125


async def measure(console: Console) -> None:
    """Start, play, read, stop."""
    floor = start(BARE_SERVER).resident
    async with sandbox.started() as world:
        service = _service()
        console.print(f"resident after the start: {_resident(service):.0f} MiB")
        ended_well = await run_demo(world, Console(file=io.StringIO()))
        resident = _resident(service)
    console.print(f"resident after the demo: {resident:.0f} MiB (wanted: {RESIDENT_MIB} at most)")
    console.print(f"of a bare server's {floor:.0f} MiB: {resident / floor:.2f}")
    console.print(f"mirror = Stripe: {ended_well}")


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1024 / 1024)


def _service() -> psutil.Process:
    children = psutil.Process().children()
    return next(child for child in children if "serve" in child.cmdline())


if __name__ == "__main__":
    uvloop.run(measure(Console()))
