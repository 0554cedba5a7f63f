"""How often a record has come before in a file, without keeping the file in memory."""

import sqlite3
from types import TracebackType


class Occurrences:
    """Counts digests in a private scratch file that goes away with the object."""

    def __enter__(self) -> "Occurrences":
        self._scratch = sqlite3.connect("", isolation_level=None)
        self._scratch.execute("PRAGMA journal_mode = OFF")
        self._scratch.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, times INTEGER) WITHOUT ROWID")
        self._scratch.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()

    def next(self, digest: str) -> int:
        """1 the first time, 2 the second, and so on."""
        [(times,)] = self._scratch.execute(
            "INSERT INTO seen VALUES (?, 1) ON CONFLICT (digest) DO UPDATE SET times = times + 1"
            " RETURNING times",
            [bytes.fromhex(digest)],
        ).fetchall()
        return times
