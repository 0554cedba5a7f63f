"""Where a server's unix socket lives, and whether somebody listens there."""

import hashlib
import os
import socket
import tempfile
from pathlib import Path

# sun_path holds 107 bytes on Linux and 103 on macOS; "/.s.PGSQL.5432" needs 14 of them.
FOLDER_LENGTH_MAX = 89


def socket_dir(data: Path) -> Path:
    """The folder of the sockets of the servers in `data`: `data` itself, or, where that path is too
    long for a socket, a private folder below the temporary one. Nothing is created here."""
    data = Path(data).resolve()
    if len(os.fsencode(data)) <= FOLDER_LENGTH_MAX:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"billing-{os.getuid()}-{name}"


def make_private(folder: Path) -> Path:
    """Create `folder` for its owner only; refuse one that somebody else put there first."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() and os.getuid() != 0:
        raise RuntimeError(f"{folder} belongs to another user: remove it, or set TMPDIR.")
    return folder


def answers(path: Path) -> bool:
    """Whether a process listens on the socket; a socket file alone may be left over from a crash."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True
