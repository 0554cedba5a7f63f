"""Who uses a server: counted with flock(2), which the kernel drops even after kill -9, so that there
is no list of process numbers to go stale.

Two files stand beside each data folder. `<data>.mutex` is held exclusively while a server is started
or stopped; `<data>.users` is held shared by every process that uses it.
"""

import atexit
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config.embedded.sockets import answers

STOP_SECONDS_MAX = 20

_held: dict[Path, tuple[int, int, Callable[[], None]]] = {}  # data -> (process, descriptor, how to stop)


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Only one process at a time starts or stops the server of `data`."""
    descriptor = _open(f"{data}.mutex")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def holds(data: Path) -> bool:
    """Whether this very process (not the one it was forked from) is counted as a user."""
    return data in _held and _held[data][0] == os.getpid()


def hold(data: Path, stop: Callable[[], None]) -> None:
    """Count this process as a user until it ends; as the last one it calls `stop`. Call it `alone`."""
    if holds(data):
        return
    descriptor = _open(f"{data}.users")
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not any(process == os.getpid() for process, _, _ in _held.values()):
        atexit.register(let_go)
    _held[data] = (os.getpid(), descriptor, stop)


def let_go() -> None:
    """Stop using every server, and stop those that nobody else uses. Harmless when repeated."""
    for data in [data for data in _held if holds(data)]:
        _, descriptor, stop = _held.pop(data)
        if not data.exists():  # the whole checkout was deleted, the lock files with it
            os.close(descriptor)
            continue
        with alone(data):
            os.close(descriptor)
            if _nobody_uses(data):
                stop()


def _nobody_uses(data: Path) -> bool:
    descriptor = _open(f"{data}.users")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def stop_by_signal(socket_path: Path, pid_file: Path, signal_number: int) -> None:
    """Ask the server to leave and wait for it. No subprocess is used: Python refuses to start
    processes while it exits, and that is when this runs."""
    if not answers(socket_path):  # a stale pid file may name a stranger
        return
    try:
        os.kill(int(pid_file.read_text().split()[0]), signal_number)
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        return
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
