"""A connection that goes to the address that was checked, and ends at a deadline.

urllib3 resolves names by itself, and its timeouts are per read: a server that sends one byte a
second never meets them. Host name, SNI and certificate check stay those of the URL.
"""

import socket
import threading
import time

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError


class PinnedConnection:
    """One call's way out. `open`: the connection (and TLS) stood, so something may have been sent."""

    def __init__(self, addresses: list[tuple], *, deadline: int) -> None:
        self.addresses, self.deadline = addresses, deadline
        self.open = self.expired = False
        self._handle: socket.socket | None = None
        self._watch = threading.Timer(max(deadline - time.monotonic(), 0), self._cut)
        self._watch.daemon = True

    def __enter__(self) -> "PinnedConnection":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.cancel()
        self._watch.join()
        if self._handle:
            self._handle.close()

    def check_deadline(self) -> None:
        """A body without a length looks complete when the connection is cut."""
        if self.expired:
            raise TimeoutError

    def connect(self, connection: HTTPConnection) -> socket.socket:
        failure: OSError | None = None
        for family, target in self.addresses:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.expired = True
                break
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.settimeout(left)
                sock.connect(target)
            except OSError as error:
                sock.close()
                failure = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # TLS will take the socket over; a copy of its handle is enough to hang up.
            self._handle = sock.dup()
            return sock
        if self.expired or isinstance(failure, TimeoutError):
            self.expired = True
            raise ConnectTimeoutError(connection, "no connection in time")
        raise NewConnectionError(connection, f"no connection: {failure}")

    def _cut(self) -> None:
        self.expired = True
        if self._handle:
            try:
                self._handle.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side was quicker
                return


class PinnedAdapter(HTTPAdapter):
    def __init__(self, pinned: PinnedConnection) -> None:
        self._pinned = pinned
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args, **kwargs) -> None:
        super().init_poolmanager(*args, **kwargs)
        pinned = self._pinned

        class Pinned:
            def _new_conn(self):
                return pinned.connect(self)

            def connect(self):
                super().connect()
                pinned.open = True

        class Plain(Pinned, HTTPConnection):
            pass

        class Secure(Pinned, HTTPSConnection):
            pass

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
