"""Where the random tests of a run start, and how hard they try.

BILLING_TEST_SEED repeats a run; BILLING_TEST_EFFORT (1) multiplies what the longer ones do.
"""

import os
import secrets
from typing import Final

SEED: Final = int(os.environ.get("BILLING_TEST_SEED") or secrets.randbits(32))
EFFORT: Final = int(os.environ.get("BILLING_TEST_EFFORT") or 1)

FIGURES: Final[list[str]] = []
"""What tests have to say at the end of a run, a line each."""
