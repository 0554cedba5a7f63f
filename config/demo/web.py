"""Where the demo answers, and whether it does."""

import http.client
import socket

HOST = "127.0.0.1"
PORTS_TRIED = 20


def free_port(wanted: int) -> int | None:
    """`wanted`, or the next port above it that nobody uses; None if there is none among twenty."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    return None


def status_of(port: int, path: str) -> int | None:
    """The HTTP status of a page of ours; None while nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
