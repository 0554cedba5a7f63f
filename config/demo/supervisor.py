"""Starts the demo's processes, notices when one dies, and stops them in the order they were started.

Each process leads its own group, so that Ctrl-C in the terminal reaches only the supervisor, which
then decides the order. Should the supervisor itself be killed, its guard stops them (see `server_guard`).
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from config.env import ROOT

POLL_SECONDS = 0.2
LOG_TAIL_LINES = 15


@dataclass(frozen=True)
class Program:
    name: str
    command: Sequence[str]
    stop_seconds_max: int  # how long it may finish its work after SIGTERM


class Died(Exception):
    """A process ended although nobody asked it to."""


class Supervisor:
    def __init__(
        self, logs: Path, environment: Mapping[str, str], guard_arguments: Sequence[str] = ()
    ) -> None:
        """`guard_arguments` are arguments for the server guard: the servers that it must help to stop."""
        self._logs = logs
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._running: list[tuple[Program, subprocess.Popen]] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "config.demo.server_guard", *guard_arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        logs.mkdir(parents=True, exist_ok=True)

    def log_of(self, program: Program) -> Path:
        return self._logs / f"{program.name}.log"

    def start(self, program: Program) -> None:
        with self.log_of(program).open("w") as log:
            process = subprocess.Popen(
                program.command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._running.append((program, process))
        self._tell_guard(str(process.pid))

    def check(self) -> None:
        """Raise Died, with the end of its log, if a process has ended."""
        for program, process in self._running:
            if process.poll() is not None:
                raise Died(
                    f"{program.name} ended with status {process.returncode}. The end of its log:\n"
                    + last_lines(self.log_of(program))
                )

    def wait(self, until: Callable[[], bool], *, seconds_max: float | None = None) -> bool:
        """Watch the processes until `until` says so; False when that takes too long."""
        deadline = time.monotonic() + seconds_max if seconds_max else None
        while not until():
            self.check()
            if deadline and time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def stop(self, report: Callable[[str], None] = lambda name: None) -> None:
        """Stop what runs, in the order it was started: first nobody asks any more, then nobody works."""
        for program, process in self._running:
            report(program.name)
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(program.stop_seconds_max)
            with suppress(ProcessLookupError, PermissionError):  # macOS denies what is already gone
                os.killpg(process.pid, signal.SIGKILL)  # whatever it left behind
            process.wait()
        self._running.clear()
        self._tell_guard("done")
        self._guard.communicate()

    def _tell_guard(self, word: str) -> None:
        with suppress(BrokenPipeError):
            self._guard.stdin.write(f"{word}\n")
            self._guard.stdin.flush()


def last_lines(log: Path) -> str:
    with log.open(errors="replace") as lines:
        return "".join(f"    {line}" for line in deque(lines, LOG_TAIL_LINES)).rstrip() or "    (empty)"
