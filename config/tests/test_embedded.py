"""The embedded servers, with real processes: shared, counted, stopped by the last, back after a crash."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded import sharing, unprivileged
from config.embedded.sockets import FOLDER_LENGTH_MAX, answers
from config.env import ROOT

slow = pytest.mark.slow

USES_POSTGRES = """
import pathlib, sys
from config.embedded import postgres
print(postgres(pathlib.Path(sys.argv[1]), "books", fast=True), flush=True)
sys.stdin.read()
"""
USES_DURABLE_POSTGRES = USES_POSTGRES.replace(", fast=True", "")
USES_VALKEY = """
import pathlib, sys
from config.embedded import valkey
print(valkey(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder():
    """A short path, unlike pytest's own: the socket lies beside the data."""
    path = Path(tempfile.mkdtemp(prefix="eb-"))
    yield path
    shutil.rmtree(path)
    for lock in path.parent.glob(f"{path.name}.*"):
        lock.unlink()


@contextmanager
def user_of(data: Path, script: str = USES_POSTGRES):
    """A process that uses the server of `data` until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(data)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        process.answer = process.stdout.readline().strip()
        yield process
    finally:
        process.communicate("")


def rows_of(data: Path) -> list:
    with psycopg.connect(host=str(embedded.socket_dir(data)), user="billing", dbname="books") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept SELECT count(*) FROM kept")
        return [n for (n,) in connection.execute("SELECT n FROM kept ORDER BY n")]


@slow
def test_processes_share_one_postgresql_and_the_last_one_stops_it(folder):
    data = folder / "pg"
    with user_of(data) as first:
        server = (data / "postmaster.pid").read_text().split()[0]
        with user_of(data) as second:
            assert first.answer == second.answer == str(data)
            assert (data / "postmaster.pid").read_text().split()[0] == server
            assert rows_of(data) == [0]
            second.kill()  # its lock goes with it: nobody is left to be counted
            second.wait()
        assert answers(data / ".s.PGSQL.5432")
        assert rows_of(data) == [0, 1]
    assert first.returncode == 0
    assert not answers(data / ".s.PGSQL.5432")
    assert not (data / "postmaster.pid").exists()


@slow
def test_a_killed_postgresql_is_started_again_by_the_next_call_and_has_lost_nothing(folder):
    data = folder / "pg"
    with user_of(data, USES_DURABLE_POSTGRES):
        assert rows_of(data) == [0]
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        with user_of(data, USES_DURABLE_POSTGRES) as second:
            assert second.answer == str(data)
            assert rows_of(data) == [0, 1]


@slow
def test_one_process_notices_that_its_postgresql_was_killed(folder):
    data = folder / "pg"
    script = """
import os, pathlib, signal, sys
from config.embedded import postgres
data = pathlib.Path(sys.argv[1])
postgres(data, "books", fast=True)
os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
while True:
    try:
        os.kill(int((data / "postmaster.pid").read_text().split()[0]), 0)
    except ProcessLookupError:
        break
print(postgres(data, "books", fast=True), flush=True)
sys.stdin.read()
"""
    with user_of(data, script) as process:
        assert process.answer == str(data)
        assert rows_of(data) == [0]


@slow
def test_a_path_too_long_for_a_socket_moves_the_socket_not_the_data(folder):
    data = folder / ("long" * 30) / "pg"
    with user_of(data) as process:
        moved = embedded.socket_dir(data)
        assert process.answer == str(moved) != str(data)
        assert moved.stat().st_mode & 0o777 == 0o700
        assert rows_of(data) == [0]
        assert (data / "PG_VERSION").exists()
    assert not answers(moved / ".s.PGSQL.5432")
    moved.rmdir()


@slow
def test_an_interrupted_first_start_is_begun_anew(folder):
    data = folder / "pg"
    unfinished = folder / "pg.new"
    unfinished.mkdir(mode=0o700)
    (unfinished / "PG_VERSION").write_text("18\n")
    with user_of(data):
        assert rows_of(data) == [0]
    assert not unfinished.exists()


@slow
def test_processes_share_one_valkey_and_its_data_outlives_a_kill(folder):
    data = folder / "valkey"

    def say(*words: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(data / "valkey.sock"))
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(100)

    with user_of(data, USES_VALKEY) as first, user_of(data, USES_VALKEY) as second:
        assert first.answer == second.answer == f"redis+socket://{data}/valkey.sock"
        assert say("SET", "told", "yes") == b"+OK\r\n"
        assert say("WAITAOF", "1", "0", "30000") == b"*2\r\n:1\r\n:0\r\n"
        os.kill(int((data / "valkey.pid").read_text()), signal.SIGKILL)
        with user_of(data, USES_VALKEY):
            assert say("GET", "told") == b"$3\r\nyes\r\n"
    assert not answers(data / "valkey.sock")


def test_a_short_path_holds_its_own_socket_also_before_it_exists(folder):
    assert embedded.socket_dir(folder / "nothing" / "here") == folder / "nothing" / "here"
    assert list(folder.iterdir()) == []


def test_the_longest_socket_path_fits_into_a_socket_address():
    at_the_limit = Path("/" + "x" * (FOLDER_LENGTH_MAX - 1))
    assert embedded.socket_dir(at_the_limit) == at_the_limit
    assert len(str(at_the_limit / ".s.PGSQL.5432")) == 103
    assert embedded.socket_dir(Path(f"{at_the_limit}x")).parent == Path(tempfile.gettempdir())


def test_the_same_long_path_always_gives_the_same_folder_and_another_path_another():
    one, other = Path("/" + "x" * 200), Path("/" + "y" * 200)
    assert embedded.socket_dir(one) == embedded.socket_dir(one) != embedded.socket_dir(other)


def test_three_schemes_name_the_same_valkey(folder):
    urls = [embedded.valkey_url(folder, scheme=s) for s in ("redis+socket", "redis+unix", "unix")]
    assert [url.partition("://")[2] for url in urls] == [f"{folder}/valkey.sock"] * 3


def test_letting_go_stops_a_server_that_nobody_else_uses_and_only_once(folder, monkeypatch):
    monkeypatch.setattr(sharing, "_held", {})
    stopped = []
    sharing.hold(folder, lambda: stopped.append("stopped"))
    sharing.let_go()
    sharing.let_go()
    assert stopped == ["stopped"]


def test_letting_go_leaves_a_server_that_another_still_uses(folder, monkeypatch):
    monkeypatch.setattr(sharing, "_held", {})
    stopped = []
    sharing.hold(folder, lambda: stopped.append("stopped"))
    another = sharing._open(f"{folder}.users")
    sharing.fcntl.flock(another, sharing.fcntl.LOCK_SH)
    sharing.let_go()
    os.close(another)
    assert stopped == []


def test_a_stale_pid_file_does_not_cost_a_stranger_his_life(folder):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (folder / "pid").write_text(str(stranger.pid))
    sharing.stop_by_signal(folder / "no.sock", folder / "pid", signal.SIGKILL)
    assert stranger.poll() is None
    stranger.communicate(b"\n")
    assert stranger.returncode == 0


def test_a_program_that_fails_is_quoted(folder):
    with pytest.raises(RuntimeError, match="sh failed: it broke"):
        unprivileged.run("/bin/sh", "-c", "echo it broke; exit 3", owns=folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_namespaces_becomes_nobody(folder, monkeypatch):
    monkeypatch.setattr(unprivileged.shutil, "which", lambda name: None)
    folder.chmod(0o755)
    owned = folder / "owned"
    owned.mkdir(mode=0o700)
    unprivileged.run("/bin/sh", "-c", f"test $(id -u) != 0 && touch {owned}/made", owns=owned)
    assert (owned / "made").stat().st_uid == owned.stat().st_uid != 0
