"""Run the emulator as a process: prints one JSON line with its port when it listens."""

import argparse
import json
import sys

import uvloop

from sandbox.emulator.server import serve
from sandbox.emulator.settings import PLATFORM_ACCOUNT, PLATFORM_KEY, Settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--platform-key", default=PLATFORM_KEY, help="its sk_live_ twin works, too")
    parser.add_argument("--platform-account", default=PLATFORM_ACCOUNT)
    parser.add_argument("--currency", default="usd", help="of the platform's account")
    parser.add_argument("--country", default="US")
    parser.add_argument("--timezone", default="Etc/UTC")
    parser.add_argument("--start", type=int, help="the clock, in seconds since 1970")
    parser.add_argument("--seed", type=int, help="makes ids, faults and delivery repeatable")
    parser.add_argument("--print-port", action="store_true", help="print the bare port instead")
    return parser.parse_args()


def main() -> None:
    """Parse the arguments and serve until SIGTERM."""
    arguments = vars(_arguments())
    bare: bool = arguments.pop("print_port")

    def listening(url: str) -> None:
        port = int(url.rpartition(":")[2])
        line = str(port) if bare else json.dumps({"port": port, "url": url})
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    uvloop.run(serve(Settings(**arguments), listening))


if __name__ == "__main__":
    main()
