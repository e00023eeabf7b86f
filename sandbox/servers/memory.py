"""Where what a server writes stays in memory: durability is not what most tests are about."""

import shutil
from pathlib import Path
from typing import Final

_SHM: Final = Path("/dev/shm")  # noqa: S108 - memory, not a guessable temporary file
_BYTES: Final = 1_500_000_000


def memory() -> Path | None:
    """A folder in memory with room for a server's data; None where the machine has none."""
    return _SHM if _SHM.is_dir() and shutil.disk_usage(_SHM).free > _BYTES else None
