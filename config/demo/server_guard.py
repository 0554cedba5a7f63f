"""Stops the demo's processes when the supervisor is killed and cannot do it itself.

`python -m config.demo.server_guard [--postgres FOLDER] [--valkey FOLDER]` reads process numbers from its
standard input, one per line. If that ends with the word "done", everything was stopped in good order;
if it just ends, the supervisor is dead: the guard stops the processes and lets the servers go.
Works the same on every system, unlike the signals that some kernels offer for the death of a parent.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from config.embedded import postgres, valkey

STOP_SECONDS_MAX = 10


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", type=Path)
    parser.add_argument("--valkey", type=Path)
    servers = parser.parse_args()
    if servers.postgres:
        postgres(servers.postgres, "billing")
    if servers.valkey:
        valkey(servers.valkey)
    words = [line.strip() for line in sys.stdin]
    if words[-1:] != ["done"]:
        stop_groups([int(word) for word in words if word.isdigit()])


def stop_groups(leaders: Iterable[int]) -> None:
    """Ask the groups of processes to end, and end those that have not after ten seconds."""
    remaining = _told(leaders, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while remaining and time.monotonic() < deadline:
        time.sleep(0.1)
        remaining = _told(remaining, 0)
    _told(remaining, signal.SIGKILL)


def _told(leaders: Iterable[int], signal_number: int) -> list[int]:
    """Those of the groups that still exist."""
    present = []
    for leader in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal_number)
            present.append(leader)
    return present


if __name__ == "__main__":
    main()
