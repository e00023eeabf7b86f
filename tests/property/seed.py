"""Where the random tests of a run start: BILLING_TEST_SEED repeats a run."""

import os
import secrets
from typing import Final

SEED: Final = int(os.environ.get("BILLING_TEST_SEED") or secrets.randbits(32))
