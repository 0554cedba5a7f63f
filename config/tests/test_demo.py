"""The demo: its processes, their order, their deaths; and once the whole of it."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from config.demo.server_guard import stop_groups
from config.demo.supervisor import Died, Program, Supervisor, last_lines
from config.demo.web import HOST, PORTS_TRIED, free_port, status_of
from config.env import ROOT
from config.management.commands.demo import box, programs

slow = pytest.mark.slow

SAYS_GOODBYE = """
import signal, sys, time
def leave(*_):
    print(f"{sys.argv[1]} left", file=open(sys.argv[2], "a"), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
while True:
    time.sleep(1)
"""


def program(name: str, script: str, *words: object) -> Program:
    return Program(name, [sys.executable, "-c", script, *map(str, words)], stop_seconds_max=10)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@slow
def test_processes_are_stopped_in_the_order_they_were_started(tmp_path):
    supervisor = Supervisor(tmp_path, {})
    names = ["web", "worker", "beat"]
    for name in names:
        supervisor.start(program(name, SAYS_GOODBYE, name, tmp_path / "goodbyes"))
    logs = [tmp_path / f"{name}.log" for name in names]
    assert supervisor.wait(lambda: all(log.read_text() == "up\n" for log in logs), seconds_max=30)
    told = []
    supervisor.stop(report=told.append)
    assert told == names
    assert (tmp_path / "goodbyes").read_text().splitlines() == [f"{name} left" for name in names]


@slow
def test_a_process_that_dies_ends_the_wait_with_the_end_of_its_log(tmp_path):
    supervisor = Supervisor(tmp_path, {"WHY": "no memory"})
    supervisor.start(program("worker", "import os, sys; print(os.environ['WHY']); sys.exit(3)"))
    with pytest.raises(Died, match=r"(?s)worker ended with status 3\..*no memory"):
        supervisor.wait(lambda: False, seconds_max=30)
    supervisor.stop()


@slow
def test_waiting_gives_up_after_its_time(tmp_path):
    supervisor = Supervisor(tmp_path, {})
    supervisor.start(program("web", "import time; time.sleep(60)"))
    assert supervisor.wait(lambda: False, seconds_max=0.1) is False
    supervisor.stop()


@slow
def test_what_a_process_leaves_behind_is_stopped_with_it(tmp_path):
    supervisor = Supervisor(tmp_path, {})
    leaves_a_child = (
        "import subprocess, sys, time; "
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); "
        "time.sleep(60)"
    )
    supervisor.start(program("worker", leaves_a_child))
    log = tmp_path / "worker.log"
    assert supervisor.wait(lambda: log.read_text().endswith("\n"), seconds_max=30)
    supervisor.stop()
    assert_ends(int(log.read_text()))


@slow
def test_the_guard_stops_the_processes_of_a_supervisor_that_was_killed(tmp_path):
    script = f"""
import pathlib, sys, time
from config.demo.supervisor import Program, Supervisor
supervisor = Supervisor(pathlib.Path({str(tmp_path)!r}), {{}})
command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
supervisor.start(Program("web", command, 10))
log = pathlib.Path({str(tmp_path)!r}) / "web.log"
supervisor.wait(lambda: log.read_text().endswith("\\n"))
print("started", flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "started\n"
    child = int((tmp_path / "web.log").read_text())
    assert is_running(child)
    parent.kill()
    parent.communicate()
    assert_ends(child)


def assert_ends(process: int) -> None:
    """Within twenty seconds. (An orphan that nobody collects is dead, but still listed.)"""
    deadline = time.monotonic() + 20
    while is_running(process) and not is_zombie(process):
        assert time.monotonic() < deadline, f"process {process} still runs"


def is_zombie(process: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return listed.stdout.strip().startswith("Z")


def test_groups_that_are_gone_already_are_nothing_to_stop():
    gone = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    gone.wait()
    stop_groups([gone.pid])


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = free_port(port)
        assert found is None or port < found < port + PORTS_TRIED
        assert status_of(free_port(port + 1) or port + 1, "/ready") is None


def test_the_last_lines_of_a_long_log_are_shown_and_an_empty_one_is_named(tmp_path):
    log = tmp_path / "web.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    assert last_lines(log).splitlines() == [f"    line {n}" for n in range(85, 100)]
    log.write_text("")
    assert last_lines(log) == "    (empty)"


def test_the_box_is_as_wide_as_its_longest_line():
    assert box(["one", "", "three"]) == "┌───────┐\n│ one   │\n│       │\n│ three │\n└───────┘"


def test_the_web_server_starts_first_and_stops_first():
    assert [program.name for program in programs(8000)] == ["web", "worker", "beat"]


@slow
def test_the_whole_demo_answers_takes_the_tour_and_stops_cleanly():
    with tempfile.TemporaryDirectory(prefix="eb-") as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
            "DJANGO_SETTINGS_MODULE": "config.settings.local",
            "BILLING_VAR": folder,
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "PORT": str(free_port(18000)),
        }
        demo = subprocess.Popen(
            [sys.executable, "manage.py", "demo"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = ""
        for line in demo.stdout:
            said += line
            if "Ctrl-C stops" in line:
                port = int(re.search(r"http://localhost:(\d+)/admin/", said).group(1))
                assert status_of(port, "/ready") == 200
                tour = take_tour(environment | {"PORT": str(port)})
                demo.send_signal(signal.SIGINT)
        assert demo.wait() == 0, said
        assert tour.returncode == 0, tour.stdout + tour.stderr
        assert "issued=13 failed=0" in tour.stdout
        assert tour.stdout.endswith("differences=0\nviolations=0\n")
        order = re.findall(r"Stopping (\w+)", said)
        assert order == ["web", "worker", "beat"]
        assert status_of(port, "/ready") is None
        assert not (Path(folder) / "pg" / "postmaster.pid").exists()
        assert not (Path(folder) / "valkey" / "valkey.pid").exists()


def take_tour(environment: dict[str, str]) -> subprocess.CompletedProcess:
    """The README's five minutes, as they stand in docs/tour.sh."""
    return subprocess.run(
        ["sh", "docs/tour.sh"],
        cwd=ROOT,
        env=environment | {"TOUR_PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
