"""Where log lines go, without anybody waiting for the output."""

import threading
import time
from collections import deque
from typing import Final, TextIO

MAX_WAITING: Final = 10_000
"""How many lines may wait for a slow output; what comes on top of them is dropped and counted."""

_LINGER_SECONDS: Final = 0.05
_CLOSE_SECONDS: Final = 2.0


class Lines:
    """A text output that is written by a thread of its own, many lines in one go.

    A full pipe would otherwise stop the event loop; and each write hands the interpreter to another
    thread, which costs more than the line. What was written in the last 50 ms is lost if the
    process is killed; `close` writes what waits.
    """

    def __init__(self, stream: TextIO, *, max_waiting: int = MAX_WAITING) -> None:
        self._stream = stream
        self._max_waiting = max_waiting
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._wakeup = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Take a line, its end included. May be called by any thread."""
        if len(self._waiting) >= self._max_waiting:
            self._dropped += 1
            return
        self._waiting.append(text)
        if not self._wakeup.is_set():
            self._wakeup.set()

    def flush(self) -> None:
        """Nothing: the thread flushes. It is here because loggers call it after each line."""

    def close(self) -> None:
        """Write what waits and end the thread. An output that does not move is given up."""
        self._closed = True
        self._wakeup.set()
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._write_waiting()

    def _run(self) -> None:
        while not self._closed:
            self._wakeup.wait()
            if not self._closed:
                time.sleep(_LINGER_SECONDS)
            self._wakeup.clear()
            self._write_waiting()

    def _write_waiting(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(f'{{"event": "log lines dropped", "count": {dropped}}}\n')
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            return  # the output is gone, and with it the place to say so
