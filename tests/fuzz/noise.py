"""What the service logs while it is fuzzed, counted instead of kept."""

import logging
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

_LOGGERS: Final = ("application", "interfaces", "infrastructure", "aiohttp", "asyncio")
_MOST_KINDS: Final = 1_000


class Noise(logging.Handler):
    """Counts records by message and exception. It keeps no record, so its memory is bounded."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ValueError | HttpProcessingError):
            return  # what is no HTTP, and what no object of Stripe's looks like: it was refused
        kind = record.msg
        if error is not None:
            *_, frame = ("", *traceback.format_tb(error.__traceback__))
            kind = f"{kind}: {error!r:.200}\n{frame}"
        if kind in self.counts or len(self.counts) < _MOST_KINDS:
            self.counts[kind] += 1

    def take(self) -> Counter[str]:
        """The counts since the last call."""
        taken, self.counts = self.counts, Counter()
        return taken


@contextmanager
def counted_noise() -> Iterator[Noise]:
    """Count what the service's loggers say, and let nobody else hear it."""
    noise = Noise()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(noise)
        logger.propagate = False
    try:
        yield noise
    finally:
        for logger in loggers:
            logger.removeHandler(noise)
            logger.propagate = True
