"""Everything at once on this machine: servers, sample data, console, API, worker and scheduler."""

import fcntl
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config import embedded
from config.demo.supervisor import Died, Program, Supervisor, last_lines
from config.demo.web import HOST, PORTS_TRIED, free_port, status_of

READY_SECONDS_MAX = 60


class Command(BaseCommand):
    help = (
        "Start the demo: the embedded PostgreSQL and Valkey (or DATABASE_URL and REDIS_URL), sample data, "
        "the web server, a worker and the scheduler. Ctrl-C stops them; the data is kept for the next time. "
        "PORT chooses the port (8000, or the next free one)."
    )

    def handle(self, **options: object) -> None:
        started = time.monotonic()
        for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(asked, _interrupt)
        try:
            with only_one():
                self._run(started)
        except KeyboardInterrupt:
            self._say("Stopped. The data is kept; run the demo again to go on.")
        except Died as death:
            raise CommandError(str(death)) from death
        finally:
            connection.close()
            embedded.let_go()

    def _run(self, started: float) -> None:
        port = free_port(settings.DEMO_PORT)
        if port is None:
            raise CommandError(
                f"The ports {settings.DEMO_PORT} to {settings.DEMO_PORT + PORTS_TRIED - 1} are all taken: "
                "choose another one with PORT=9000 make demo."
            )
        guard_arguments = self._start_servers()
        self._say("Bringing the tables up to date ...")
        call_command("migrate", interactive=False, verbosity=0)
        self._say("Making sure of the sample data ...")
        sign_ins = io.StringIO()
        call_command("seed_demo", stdout=sign_ins)
        supervisor = Supervisor(settings.VAR / "log", child_environment(port), guard_arguments)
        try:
            web, *others = programs(port)
            self._say("Starting the web server, the worker and the scheduler ...")
            supervisor.start(web)
            if not supervisor.wait(lambda: status_of(port, "/ready") == 200, seconds_max=READY_SECONDS_MAX):
                raise Died(
                    f"{web.name} answers /ready with {status_of(port, '/ready')} after {READY_SECONDS_MAX} "
                    f"seconds. The end of its log:\n{last_lines(supervisor.log_of(web))}"
                )
            for program in others:
                supervisor.start(program)
            self._say(welcome(port, sign_ins.getvalue(), seconds=time.monotonic() - started))
            supervisor.wait(lambda: False)
        finally:
            for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(asked, signal.SIG_IGN)  # each step below has its own time limit
            self._say("")
            supervisor.stop(report=lambda name: self._say(f"Stopping {name} ..."))

    def _start_servers(self) -> list[str]:
        """Start what no URL was given for; the guard's arguments to stop the same."""
        guard_arguments = []
        if here := settings.DATABASES["default"].get("EMBEDDED"):
            self._say("Starting PostgreSQL ...")
            embedded.postgres(here["data"], here["name"])
            guard_arguments += ["--postgres", str(here["data"])]
        if settings.EMBEDDED_VALKEY:
            self._say("Starting Valkey ...")
            embedded.valkey(settings.EMBEDDED_VALKEY)
            guard_arguments += ["--valkey", str(settings.EMBEDDED_VALKEY)]
        return guard_arguments

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def only_one() -> Iterator[None]:
    """Two demos of one checkout would share a database and write over each other's logs."""
    settings.VAR.mkdir(exist_ok=True)
    with (settings.VAR / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("The demo of this checkout is running already.") from None
        yield


def child_environment(port: int) -> dict[str, str]:
    """The demo shows what a user would see, not Django's debug pages."""
    return {
        "DEBUG": os.environ.get("DEBUG") or "false",
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://localhost:{port}",
    }


def programs(port: int) -> list[Program]:
    """In the order they start and stop."""
    python = [sys.executable, "-m"]
    web = (
        f"granian --interface wsgi --host {HOST} --port {port} --workers 1 --blocking-threads 4 --access-log"
    )
    worker = "celery -A config worker --pool prefork --concurrency 2 --without-mingle --without-gossip"
    return [
        Program("web", [*python, *web.split(), "config.wsgi:application"], stop_seconds_max=10),
        Program("worker", [*python, *worker.split()], stop_seconds_max=30),
        Program("beat", [*python, "celery", "-A", "config", "beat"], stop_seconds_max=10),
    ]


def welcome(port: int, sign_ins: str, *, seconds: float) -> str:
    address = f"http://localhost:{port}"
    return box(
        [
            f"The billing back office is ready ({seconds:.0f} s).",
            "",
            f"Console            {address}/admin/",
            f"API documentation  {address}/docs",
            f"API                {address}/api/v1/enterprise-billing/",
            "",
            *sign_ins.strip().splitlines(),
            "",
            "Logs: var/log/web.log, worker.log, beat.log.   Ctrl-C stops everything.",
        ]
    )


def box(lines: list[str]) -> str:
    width = max(map(len, lines))
    middle = "\n".join(f"│ {line.ljust(width)} │" for line in lines)
    return f"┌{'─' * (width + 2)}┐\n{middle}\n└{'─' * (width + 2)}┘"
