"""The embedded PostgreSQL."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

from config.embedded import unprivileged
from config.embedded.sharing import alone, hold, holds, stop_by_signal
from config.embedded.sockets import answers, make_private, socket_dir
from config.embedded.wheels import postgres_programs

USER = "billing"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": 100,
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}
THROW_AWAY = {  # for tests: nobody needs the data after a power cut
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "autovacuum": "off",
}
START_ATTEMPTS_MAX = 6

_ready: set[tuple[int, Path, str]] = set()  # (process, data, database) known to exist


def postgres(data: Path, database: str, *, fast: bool = False) -> str:
    """Make sure that the server of `data` runs and has `database`; return its socket folder.

    Cheap when it does: one connect to the socket, so it may be called before every connection, which
    brings the server back after a crash. `fast` trades durability for speed when `data` is first made.
    Raises RuntimeError with PostgreSQL's own words when it will not start.
    """
    data = Path(data).resolve()
    folder = socket_dir(data)
    listening = folder / ".s.PGSQL.5432"
    known = (os.getpid(), data, database)
    if known in _ready and holds(data) and answers(listening):
        return str(folder)
    data.parent.mkdir(parents=True, exist_ok=True)
    with alone(data):
        hold(data, lambda: stop_by_signal(listening, data / "postmaster.pid", signal.SIGINT))
        if not (data / "PG_VERSION").exists():
            _initialise(data, fast=fast)
        if folder != data:
            make_private(folder)
        if not answers(listening):
            _start(data, folder)
        _ensure_database(folder, database)
    _ready.add(known)
    return str(folder)


def _initialise(data: Path, *, fast: bool) -> None:
    """Under another name first: an interrupted attempt must not be taken for a database."""
    unfinished = data.with_name(f"{data.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_private(unfinished)
    locale = ["--locale=en_US.UTF-8", "--lc-collate=C"] if sys.platform == "darwin" else ["--locale=C.UTF-8"]
    unprivileged.run(
        postgres_programs() / "initdb",
        f"--pgdata={unfinished}",
        f"--username={USER}",
        "--encoding=UTF8",
        *locale,
        "--auth=trust",
        "--no-instructions",
        *(["--no-sync"] if fast else []),
        owns=unfinished,
    )
    with (unfinished / "postgresql.conf").open("a") as file:
        file.writelines(
            f"{name} = '{value}'\n" for name, value in (SETTINGS | (THROW_AWAY if fast else {})).items()
        )
    unfinished.rename(data)


def _start(data: Path, folder: Path) -> None:
    log = data / "server.log"
    for attempt in range(1, START_ATTEMPTS_MAX + 1):
        try:
            unprivileged.run(
                postgres_programs() / "pg_ctl",
                f"--pgdata={data}",
                "--wait",
                "--timeout=60",
                f"--options=-k '{folder}'",
                f"--log={log}",
                "start",
                owns=data,
                log=log,
            )
        except RuntimeError:  # the children of a killed server may still be leaving
            if attempt == START_ATTEMPTS_MAX:
                raise
            time.sleep(0.5)
        else:
            return


def _ensure_database(folder: Path, database: str) -> None:
    with psycopg.connect(host=str(folder), user=USER, dbname="postgres", autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if not found:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
