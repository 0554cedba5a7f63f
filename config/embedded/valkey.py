"""The embedded Valkey: the broker's doorbell and the rate limiter's counters, never a record."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from config.embedded.sharing import alone, hold, stop_by_signal
from config.embedded.sockets import answers, make_private, socket_dir
from config.embedded.wheels import valkey_program

START_SECONDS_MAX = 10


def valkey_url(data: Path, *, scheme: str) -> str:
    """Where the Valkey of `data` listens, started or not. Celery calls the scheme `redis+socket`,
    the limiter `redis+unix`, the client `unix`."""
    return f"{scheme}://{socket_dir(data) / 'valkey.sock'}"


def valkey(data: Path) -> str:
    """Make sure that the Valkey of `data` runs; return the broker's URL.

    Raises RuntimeError with the end of its log when it does not answer within ten seconds.
    """
    data = Path(data).resolve()
    folder = socket_dir(data)
    listening = folder / "valkey.sock"
    make_private(data)
    with alone(data):
        hold(data, lambda: stop_by_signal(listening, data / "valkey.pid", signal.SIGTERM))
        if folder != data:
            make_private(folder)
        if not answers(listening):
            _start(data, listening)
    return valkey_url(data, scheme="redis+socket")


def _start(data: Path, listening: Path) -> None:
    log = data / "valkey.log"
    options = {
        "port": 0,
        "unixsocket": listening,
        "unixsocketperm": 700,
        "dir": data,
        "appendonly": "yes",
        "daemonize": "yes",
        "pidfile": data / "valkey.pid",
        "logfile": log,
    }
    command = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    subprocess.run(
        [os.fspath(valkey_program()), *command],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_SECONDS_MAX
    while not _serves(listening):
        if time.monotonic() > deadline:
            raise RuntimeError(f"valkey-server does not answer: {log.read_text()[-1500:]}")
        time.sleep(0.02)


def _serves(listening: Path) -> bool:
    """Whether it takes commands: it listens earlier, while it is still reading its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(os.fspath(listening))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
