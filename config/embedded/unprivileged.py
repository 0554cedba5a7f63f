"""Running PostgreSQL's programs when we are root, which they refuse.

They are run in an empty user namespace: there they see user 65534, while for the kernel the files
still belong to root. No account is created, and no folder above the data is opened to others. Where
namespaces are forbidden (Docker's default profile) a real unprivileged account is used instead.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"


def run(*command: object, owns: Path, log: Path | None = None) -> None:
    """Run one program of PostgreSQL, which must be able to own the folder `owns`.

    Raises RuntimeError with what the program (and the server's `log`) said when it fails.
    """
    prefix, identity = _somebody_but_root(owns)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # A file, not a pipe: the server inherits it, and we would wait for the end of a pipe forever.
    with tempfile.TemporaryFile("w+") as output:
        try:
            finished = subprocess.run(
                [*prefix, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment | {"LC_ALL": LOCALE, "TZ": "UTC"},
                cwd="/",
                **identity,
            )
        except PermissionError as error:
            raise RuntimeError(_closed_to_others(command[0])) from error
        if finished.returncode:
            output.seek(0)
            said = output.read() + (log.read_text()[-1500:] if log and log.exists() else "")
            hint = _closed_to_others(command[0]) if identity else ""
            raise RuntimeError(f"{Path(str(command[0])).name} failed: {said}{hint}")


def _somebody_but_root(owns: Path) -> tuple[list[str], dict]:
    if os.geteuid() != 0:
        return [], {}
    unshare = shutil.which("unshare")
    if unshare and subprocess.run([unshare, "--user", "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return [unshare, "--user"], {}
    nobody = pwd.getpwnam("nobody")
    for path in (owns, *owns.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return [], {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _closed_to_others(program: object) -> str:
    return (
        f"Root without user namespaces runs {program} as 'nobody', who must be able to reach the checkout. "
        "Work as a normal user instead, or set DATABASE_URL."
    )
