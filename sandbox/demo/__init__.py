"""The demo: ninety days of two businesses at the emulator, read back from the service.

It starts nothing and leaves nothing open: whoever calls `run` has started an emulator and a
service that know each other, and describes them in a `World`. `introduce` only makes them known to
each other; `open_accounts` lets the businesses exist at Stripe before the service asks for them.
"""

from sandbox.demo.play import run
from sandbox.demo.stage import introduce, open_accounts, open_plan, open_unconnected
from sandbox.demo.world import Branch, Business, World

__all__ = [
    "Branch",
    "Business",
    "World",
    "introduce",
    "open_accounts",
    "open_plan",
    "open_unconnected",
    "run",
]
