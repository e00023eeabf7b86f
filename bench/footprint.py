"""How fast the service starts, and how much memory it holds after the demo's history.

    python -m bench.footprint

Both processes are those of `billing demo`; memory is the service's resident set, read when the
mirror equals Stripe. Wanted: healthy in under 2 s, under 150 MiB.
"""

import io
import time

import psutil
import uvloop
from rich.console import Console

from bootstrap import sandbox
from sandbox.demo import run as run_demo


async def measure(console: Console) -> None:
    """Start, play, read, stop."""
    began = time.perf_counter()
    async with sandbox.started() as world:
        both = time.perf_counter() - began
        service = _service()
        started = time.time() - both
        console.print(f"emulator, accounts and service started in {both:.2f} s")
        console.print(
            f"the service was healthy {_age(service, started, both):.2f} s after its start"
        )
        ended_well = await run_demo(world, Console(file=io.StringIO()))
        resident = service.memory_info().rss / 1024 / 1024
        console.print(f"resident after the demo: {resident:.0f} MiB; mirror = Stripe: {ended_well}")


def _service() -> psutil.Process:
    children = psutil.Process().children()
    return next(child for child in children if "serve" in child.cmdline())


def _age(service: psutil.Process, started: float, both: float) -> float:
    """From the service's fork to the moment at which the sandbox had its ports."""
    return started + both - service.create_time()


if __name__ == "__main__":
    uvloop.run(measure(Console()))
