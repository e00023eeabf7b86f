"""How fast the service starts, and what is asked of it often: the manual, the version, a token's.

    python -m bench.start [--rounds 7]

Each process beside its floor, in turn: `billing serve` on a new SQLite file beside a bare server of
the same libraries (bench/bare_server.py), from the fork to the line that says where it listens; the
commands beside an interpreter that imports typer and rich, to their end. Medians. Wanted: 1.3 s and
0.3 s on two idle cores; with anything else at work, read the CPU.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console
from rich.table import Table

START_SECONDS: Final = 1.3
COMMAND_SECONDS: Final = 0.3
STOP_SECONDS: Final = 30.0

BILLING: Final = (sys.executable, "-m", "bootstrap.cli")
BARE_SERVER: Final = (sys.executable, "-m", "bench.bare_server")
BARE_COMMAND: Final = (sys.executable, "-c", "import typer, rich")
COMMANDS: Final = (("--help",), ("--version",), ("token", "--help"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a start took: seconds on the clock, seconds of CPU; and what was resident then, in MiB.

    Of a process that ended the last is not known: 0.
    """

    seconds: float
    cpu: float
    resident: float = 0.0


def settings(folder: Path) -> dict[str, str]:
    """The environment of a service of one's own, on a new file, whose Stripe does not answer."""
    ours = ("BILLING_", "STRIPE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **clean,
        "STRIPE_SECRET_KEY": "sk_test_51Bench",
        "BILLING_CALLER_KEYS": f"bench:{'0' * 64}",
        "BILLING_WEBHOOK_SECRETS_CONNECT": "whsec_12345678",
        "BILLING_SQLITE_PATH": str(folder / "billing.db"),
        "BILLING_STRIPE_URL": "http://127.0.0.1:9",
        "BILLING_GRPC_ADDRESS": "127.0.0.1:0",
        "BILLING_HTTP_ADDRESS": "127.0.0.1:0",
        "BILLING_REFLECTION": "true",
        "BILLING_LOG_LEVEL": "error",
    }


def start(command: Sequence[str]) -> Reading:
    """Start a server, read what it took, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with subprocess.Popen(
            command,
            env=settings(Path(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            line = server.stdout.readline()
            seconds = time.perf_counter() - began
            assert line.startswith(b"{"), "it did not start"
            process = psutil.Process(server.pid)
            cpu, memory = process.cpu_times(), process.memory_info()
            server.stdin.close()
            server.wait(STOP_SECONDS)
    return Reading(seconds, cpu.user + cpu.system, memory.rss / 1024 / 1024)


def run(command: Sequence[str]) -> Reading:
    """Run a command to its end."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Reading(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def median(readings: Sequence[Reading]) -> Reading:
    """Of each figure its median."""
    return Reading(
        statistics.median(reading.seconds for reading in readings),
        statistics.median(reading.cpu for reading in readings),
        statistics.median(reading.resident for reading in readings),
    )


def measure(rounds: int) -> Mapping[str, Reading]:
    """The medians by what was started; each once a round, so that all share what the machine does.

    A round before the first is not counted: it compiles, and reads what is read from the disk.
    """
    readings: dict[str, list[Reading]] = {}
    for _ in range(rounds + 1):
        turn = {"a bare server": start(BARE_SERVER), "serve": start((*BILLING, "serve", "--child"))}
        turn["typer and rich"] = run(BARE_COMMAND)
        turn |= {" ".join(command): run((*BILLING, *command)) for command in COMMANDS}
        for name, reading in turn.items():
            readings.setdefault(name, []).append(reading)
    return {name: median(taken[1:]) for name, taken in readings.items()}


def shown(medians: Mapping[str, Reading]) -> Table:
    """A row a process, beside its floor."""
    table = Table()
    for column in ("", "s", "wanted", "CPU s", "of the floor's CPU", "MiB", "of the floor's MiB"):
        table.add_column(column, justify="left" if not column else "right")
    for name, reading in medians.items():
        server = bool(reading.resident)
        floor = medians["a bare server" if server else "typer and rich"]
        wanted = "" if reading is floor else str(START_SECONDS if server else COMMAND_SECONDS)
        table.add_row(
            name,
            f"{reading.seconds:.2f}",
            wanted,
            f"{reading.cpu:.2f}",
            f"{reading.cpu / floor.cpu:.2f}",
            f"{reading.resident:.0f}" if server else "",
            f"{reading.resident / floor.resident:.2f}" if server else "",
        )
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    Console().print(shown(measure(parser.parse_args().rounds)))
