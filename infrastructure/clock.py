"""The machine's clock."""

import datetime as dt


class SystemClock:
    """The `Clock` port: the machine's time in UTC, cut to whole milliseconds."""

    def now(self) -> dt.datetime:
        """The instant, aware UTC."""
        now = dt.datetime.now(dt.UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
