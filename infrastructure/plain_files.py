"""Files that somebody else writes, read so that nobody waits for them and nothing grows."""

import errno
import os
import stat
from pathlib import Path


def read_plain(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file.

    Raises OSError where it cannot be read, also for what is no plain file: who opens a pipe that
    nobody writes to waits without end, and a device may have no end. ValueError for no path at all.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "It is no plain file")
        return file.read(most)
